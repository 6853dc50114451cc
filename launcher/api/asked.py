"""What of a request is refused, or recorded without effect: ``launcher.api.fields`` applied to what was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from launcher.api.errors import validation
from launcher.api.fields import LEAVE_OUT, TABLES, Decision, Kind, Table

_UNKNOWN = Decision(Kind.REFUSED, LEAVE_OUT)


def check(operation: str, request: Mapping[str, Any]) -> None:
    """Refuse what the local cloud does not do.

    Raises:
        ApiError: ValidationException, with every such field and what to do instead.
    """
    refused = [
        f"{path} is not supported by the local cloud: {decision.why}."
        for path, decision in _asked(TABLES.get(operation, {}), request, "")
        if decision.kind is Kind.REFUSED
    ]
    if refused:
        raise validation(" ".join(dict.fromkeys(refused)))


def without_effect(operation: str, request: Mapping[str, Any]) -> dict[str, str]:
    """The fields that are recorded and change nothing here, with the reason of each."""
    found = _asked(TABLES.get(operation, {}), request, "")
    return {path: decision.why for path, decision in found if decision.kind is Kind.TOLD}


def _asked(table: Table, value: Any, path: str) -> Iterator[tuple[str, Decision]]:
    if decision := table.get(path):
        if _asks(decision, value):
            yield path, decision
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _asked(table, inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from _asked(table, item, path)
    elif value:
        yield path, _UNKNOWN


def _asks(decision: Decision, value: Any) -> bool:
    """Whether a value asks for anything: what is empty, 0 or false does not."""
    if isinstance(value, Mapping):
        if decision.switch is not None and not value.get(decision.switch):
            return False
        if decision.off is not None and value.get(decision.off):
            return False
        return any(_asks(decision, inner) for inner in value.values()) if not decision.switch else True
    if isinstance(value, list):
        return any(_asks(decision, item) for item in value)
    return bool(value)
