"""What all builders of requests share: values left out, tags, and faults told together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    return listed("Key", "Value", tags)


def listed(key: str, value: str, pairs: Mapping[str, str]) -> list[dict[str, str]] | None:
    """A mapping as one of the API's lists of pairs; None where it is empty.

    Args:
        key, value: what the API calls the two halves of a pair.
        pairs: the mapping.
    """
    return [{key: name, value: text} for name, text in pairs.items()] or None


def mapped(values: object) -> dict[str, Any] | None:
    """A mapping of its own; None where it is empty.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(values, Mapping):
        raise ValueError("give a mapping")
    return dict(values) or None


def several(values: object) -> list[Any]:
    """A list of its own.

    Raises:
        ValueError: this is one text, or no sequence.
    """
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError("give a list")
    return list(values)


def both_or_none(first: Sequence[str] | None, second: Sequence[str] | None) -> tuple[Sequence[str] | None, ...]:
    """Two lists that a request holds together: one may be empty where the other is not; None for both if none is."""
    return (first or (), second or ()) if first or second else (None, None)


def as_tags(tags: object) -> dict[str, str]:
    """Tags given as a mapping or as the API's list of Key and Value.

    Raises:
        InputError: they are neither.
    """
    return _pairs("tags", tags, "Key", "Value")


def as_metrics(definitions: object) -> dict[str, str]:
    """Metric definitions given as a mapping or as the API's list of Name and Regex.

    Raises:
        InputError: they are neither.
    """
    return _pairs("metric_definitions", definitions, "Name", "Regex")


def _pairs(argument: str, given: object, key: str, value: str) -> dict[str, str]:
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {str(name): text for name, text in given.items()}
    if isinstance(given, list | tuple) and all(
        isinstance(item, Mapping) and set(item) == {key, value} for item in given
    ):
        return {item[key]: item[value] for item in given}
    raise InputError(f"{argument}: give a mapping, or a list of {{'{key}': ..., '{value}': ...}}.")
