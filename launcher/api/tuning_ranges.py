"""The hyperparameters that a tuning job chooses and their ranges: read from its request, written for a training job."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchrl.contract.errors import shortened
from launcher.api.errors import ApiError, validation

LINEAR, LOGARITHMIC, REVERSE_LOGARITHMIC, AUTO = "Linear", "Logarithmic", "ReverseLogarithmic", "Auto"
# Auto is Logarithmic for positive ranges whose ends are at least this far apart, else Linear.
AUTO_LOGARITHMIC_RATIO = 100.0
MOST_RANGES = 30
# Beyond it, a floating-point number does not tell neighbours apart.
MOST_INTEGER = 2**53
MOST_DIGITS = 256

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")


@dataclass(frozen=True)
class NumericRange:
    """Numbers from ``low`` to ``high``, both included.

    Args:
        name: the hyperparameter.
        low, high: its ends.
        scaling: Linear, Logarithmic or ReverseLogarithmic: on which scale values are equally likely at first.
        whole: whether they are integers.
    """

    name: str
    low: float
    high: float
    scaling: str
    whole: bool

    def text_of(self, value: float) -> str:
        """A value as the hyperparameter that a job gets, within the range."""
        inside = min(max(value, self.low), self.high)
        return str(round(inside)) if self.whole else repr(float(inside))

    def value_of(self, text: str) -> float | None:
        """The value that a job's hyperparameter has; None where it is no number of this range."""
        value = _number(text, self.whole)
        return value if value is not None and self.low <= value <= self.high else None


@dataclass(frozen=True)
class CategoricalRange:
    """One of some texts."""

    name: str
    values: tuple[str, ...]


Range = NumericRange | CategoricalRange


def ranges_in(given: Mapping[str, Any]) -> tuple[Range, ...]:
    """The ranges of a request's ``ParameterRanges``, in the order that it has them: integer, continuous, categorical.

    Raises:
        ApiError: the first one that cannot be searched, or two of one name.
    """
    found = tuple(_ranges(given))
    names = [one.name for one in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise validation(f"ParameterRanges: the hyperparameter '{twice}' is given more than once.")
    if len(found) > MOST_RANGES:
        raise validation(f"ParameterRanges: {len(found)} hyperparameters; a tuning job searches {MOST_RANGES} at most.")
    return found


def combinations(ranges: Sequence[Range]) -> int:
    """How many combinations categorical ranges have."""
    return math.prod(len(one.values) for one in ranges if isinstance(one, CategoricalRange))


def _ranges(given: Mapping[str, Any]) -> Iterator[Range]:
    for one in given.get("IntegerParameterRanges") or ():
        yield _numeric(one, whole=True)
    for one in given.get("ContinuousParameterRanges") or ():
        yield _numeric(one, whole=False)
    for one in given.get("CategoricalParameterRanges") or ():
        name, values = _named(one), tuple(one["Values"])
        if len(set(values)) < len(values):
            raise validation(f"CategoricalParameterRanges: '{name}' holds a value more than once.")
        yield CategoricalRange(name, values)


def _numeric(given: Mapping[str, Any], whole: bool) -> NumericRange:
    name = _named(given)
    where = f"{'Integer' if whole else 'Continuous'}ParameterRanges: '{name}'"
    low, high = (_end(where, end, given[end], whole) for end in ("MinValue", "MaxValue"))
    if low > high:
        raise _fault(where, f"MinValue {given['MinValue']} is above MaxValue {given['MaxValue']}.")
    scaling = given.get("ScalingType") or AUTO
    if scaling == AUTO:
        wide = low > 0 and high / low >= AUTO_LOGARITHMIC_RATIO
        scaling = LOGARITHMIC if wide else LINEAR
    if scaling == LOGARITHMIC and low <= 0:
        raise _fault(where, f"ScalingType {LOGARITHMIC} needs a MinValue above 0, not {given['MinValue']}.")
    if scaling == REVERSE_LOGARITHMIC and (whole or low < 0 or high >= 1):
        raise _fault(where, f"ScalingType {REVERSE_LOGARITHMIC} is for continuous ranges within 0 <= x < 1.")
    return NumericRange(name, low, high, scaling, whole)


def _named(given: Mapping[str, Any]) -> str:
    if not (name := str(given["Name"])):
        raise validation("ParameterRanges: a hyperparameter has an empty name.")
    return name


def _end(where: str, end: str, text: str, whole: bool) -> float:
    value = _number(text, whole)
    if value is None:
        what = f"an integer within ±{MOST_INTEGER}" if whole else "a number"
        raise _fault(where, f"{end} '{shortened(text)}' is not {what}.")
    return value


def _number(text: str, whole: bool) -> float | None:
    if whole:
        if _INTEGER.fullmatch(text) is None or abs(int(text)) > MOST_INTEGER:
            return None
        return int(text)
    if len(text) > MOST_DIGITS or _NUMBER.fullmatch(text) is None or not math.isfinite(value := float(text)):
        return None
    return value


def _fault(where: str, what: str) -> ApiError:
    return validation(f"{where}: {what}")
