"""How figures, times and lists are written in reports."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from batchrl.contract.interval import Interval, in_digits
from launcher.base import units
from launcher.base.units import LEAST_DECIMALS


def figure(found: Mapping[str, Any], sign: str = "") -> str:
    """A figure in JSON's types with its interval: ``3.72 [2.65, 4.75]``; a dash where it is undefined."""
    return in_digits(found["value"], Interval.of(found), LEAST_DECIMALS, sign)


def plain(value: float | None) -> str:
    """A number as people read it, four digits of it; a dash where there is none."""
    if value is None:
        return "-"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def with_error(mean: float, error: float | None) -> str:
    """``21.65 +- 0.50 (s.e.)``."""
    return plain(mean) if error is None else units.with_error(mean, error)


def percent(share: float) -> str:
    """``4.2 %``; what is rare keeps two digits."""
    return f"{100 * share:.2g} %" if 0 < share < 0.01 else f"{100 * share:.1f} %"


def moment(value: datetime | str | None) -> str:
    """``2026-11-30 08:00 UTC``; a dash for none."""
    if value is None:
        return "-"
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def bound(found: Mapping[str, Any], end: float | None) -> str:
    """An end of a figure's interval, in the digits of that figure; a dash where it is undefined."""
    return "-" if end is None else f"{end:z.{Interval.of(found).decimals(LEAST_DECIMALS)}f}"


def clause(text: str) -> str:
    """As ``sentence``, but going on after a colon: its first letter stays as it is."""
    text = text.strip()
    return text + ("" if text[-1:] in (".", "!", "?", ":", "") else ".")


def sentence(text: str) -> str:
    """With a capital at its beginning and a point at its end."""
    text = clause(text)
    return text[:1].upper() + text[1:]
