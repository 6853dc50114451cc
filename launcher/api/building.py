"""What all builders of requests share: values left out, tags, and faults told together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from batchrl.contract.errors import InputError


def refuse(what: str, faults: Iterable[str]) -> None:
    """Report every fault of a request at once.

    Args:
        what: what was to be requested, as ``the job 'x'``.
        faults: a sentence each; the same one may come twice.

    Raises:
        InputError: there are some.
    """
    lines = "\n".join(f"  {fault}" for fault in dict.fromkeys(faults))
    if lines:
        raise InputError(f"{what} cannot be requested:\n{lines}")


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are not None: what a request leaves out has the API's own default."""
    return {key: value for key, value in values.items() if value is not None}


def wire_tags(tags: Mapping[str, str]) -> list[dict[str, str]] | None:
    """Tags as the API lists them; None where there are none."""
    return [{"Key": key, "Value": value} for key, value in tags.items()] or None
