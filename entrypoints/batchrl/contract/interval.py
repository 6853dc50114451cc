"""An interval, and how a figure is written with one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

UNDEFINED = "-"


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

    def overlaps(self, other: Interval) -> bool:
        """Whether a value lies within both."""
        one, two = self.ends, other.ends
        return one is not None and two is not None and one[0] <= two[1] and two[0] <= one[1]

    def __format__(self, spec: str) -> str:
        """``[17.2, 21.5]``, each end by the format; a dash where it is undefined."""
        return UNDEFINED if self.ends is None else f"[{', '.join(format(end, spec) for end in self.ends)}]"


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
