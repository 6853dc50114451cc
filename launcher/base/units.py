"""Sizes, durations and means as people read them."""

from __future__ import annotations

from batchrl.contract.interval import Interval

# Of means and estimates.
LEAST_DECIMALS = 2


def duration(seconds: float) -> str:
    """``45 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    whole = max(0, round(seconds))
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {name}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def size(count: float | None) -> str:
    """``512 B``, ``3.4 MB`` (powers of 1000, as disks are sold); empty when unknown."""
    if count is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def with_error(mean: float, error: float | None) -> str:
    """``21.65 +- 0.50 (s.e.)``: a mean with its standard error, where it has one, in digits that say something."""
    if error is None:
        return f"{mean:.{LEAST_DECIMALS}f}"
    decimals = Interval(mean - error, mean + error).decimals(LEAST_DECIMALS)
    return f"{mean:z.{decimals}f} +- {error:.{decimals}f} (s.e.)"
