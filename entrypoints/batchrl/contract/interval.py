"""An interval, and how a figure is written with one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

UNDEFINED = "-"
# Of an interval's width so many digits are shown, in its ends and in the figure itself.
# A width of less than this share of a figure is its arithmetic.
ROUNDING = 1e-9
DIGITS_OF_WIDTH = 2
MOST_DECIMALS = 12


@dataclass(frozen=True)
class Interval:
    """What a figure may be, as far as is known.

    Args:
        lower, upper: its ends; None or NaN where they are undefined, infinite where that side has no bound.
    """

    lower: float | None = None
    upper: float | None = None

    @classmethod
    def of(cls, figure: Mapping[str, float | None]) -> Interval:
        """That of a figure in JSON's types."""
        return cls(figure["lower"], figure["upper"])

    @classmethod
    def one_sided(cls, figure: Mapping[str, float | None]) -> Interval:
        """That of a figure in JSON's types whose ends are bounds of their own: where one is null there is none."""
        found = cls.of(figure)
        return cls(
            -math.inf if found.lower is None else found.lower,
            math.inf if found.upper is None else found.upper,
        )

    @property
    def ends(self) -> tuple[float, float] | None:
        """Lower and upper end; None where one is undefined, or neither is a bound."""
        if self.lower is None or self.upper is None or math.isnan(self.lower) or math.isnan(self.upper):
            return None
        return None if math.isinf(self.lower) and math.isinf(self.upper) else (self.lower, self.upper)

    @property
    def bounds(self) -> list[float]:
        """The ends that are bounds, of which there may be none."""
        return [end for end in (self.lower, self.upper) if end is not None and math.isfinite(end)]

    def contains(self, value: float) -> bool:
        """Whether a value lies within; of an interval that is undefined, none does."""
        return self.lower is not None and self.upper is not None and self.lower <= value <= self.upper

    def decimals(self, least: int = 0) -> int:
        """Digits after the point that say something about a figure with this interval: two of the interval's width.

        Args:
            least: what is shown at any rate; so many where the interval is undefined, one-sided, or of no width beside
                what sums of its numbers are rounded by.
        """
        ends = self.bounds
        width = abs(ends[1] - ends[0]) if len(ends) == 2 else 0.0
        if width <= ROUNDING * max(map(abs, ends), default=0.0):
            return least
        return min(MOST_DECIMALS, max(least, DIGITS_OF_WIDTH - 1 - math.floor(math.log10(width))))

    def overlaps(self, other: Interval) -> bool:
        """Whether a value lies within both."""
        one, two = self.ends, other.ends
        return one is not None and two is not None and one[0] <= two[1] and two[0] <= one[1]

    def __format__(self, spec: str) -> str:
        """``[17.2, 21.5]``, each end by the format; a dash where it is undefined."""
        return UNDEFINED if self.ends is None else f"[{', '.join(format(end, spec) for end in self.ends)}]"


def in_digits(value: float | None, interval: Interval, least: int = 0, sign: str = "") -> str:
    """A figure as people read it, in the digits that its interval leaves: ``0.0042 [0.0031, 0.0055]``, never ``-0.00``.

    Args:
        value: None or NaN where it is undefined: a dash.
        interval: left out where it is undefined.
        least: digits after the point that are shown at any rate.
        sign: ``+`` shows that of a positive value, too.
    """
    decimals = interval.decimals(least)
    if value and math.isfinite(value) and interval.ends is None:
        decimals = Interval(0.0, abs(value)).decimals(least)
    return with_interval(value, interval, f"{sign}z.{decimals}f", f"z.{decimals}f")


def with_interval(value: float | None, interval: Interval, spec: str, of_ends: str | None = None) -> str:
    """A figure as people read it: ``19.3 [17.2, 21.5]``.

    Args:
        value: None or NaN where it is undefined: a dash.
        interval: left out where it is undefined.
        spec: format of the value, such as ``.1f``.
        of_ends: that of the ends, where it is another.
    """
    if value is None or math.isnan(value):
        return UNDEFINED
    shown = format(value, spec)
    return shown if interval.ends is None else f"{shown} {format(interval, spec if of_ends is None else of_ends)}"
