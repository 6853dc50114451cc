"""What may be chosen for a hyperparameter in a tuning job: some values, or numbers from one to another."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchrl.contract import hyperparameters as wire
from batchrl.contract.errors import InputError

AUTO = "Auto"
_SCALES = {"log": "Logarithmic", "linear": "Linear", "reverselog": "ReverseLogarithmic"}
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_INTERVAL = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::([a-z]+))?")


@dataclass(frozen=True)
class CategoricalParameter:
    """One of some values."""

    values: Sequence[wire.Value]

    def __post_init__(self) -> None:
        if not self.values:
            raise InputError("a hyperparameter that is to be tuned has no values to choose from.")

    @property
    def samples(self) -> Sequence[wire.Value]:
        """Values that have to be possible."""
        return self.values


@dataclass(frozen=True)
class _Numbers:
    """Numbers from one to another, both included; ``scaling_type`` is Auto, Linear, Logarithmic or, for continuous
    ones, ReverseLogarithmic."""

    min_value: float
    max_value: float
    scaling_type: str = AUTO

    def __post_init__(self) -> None:
        for value in (self.min_value, self.max_value):
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"the end of a range is no number: {value!r}.")
        if self.min_value >= self.max_value:
            raise InputError(f"a range from {self.min_value} to {self.max_value} holds nothing to choose from.")

    @property
    def samples(self) -> Sequence[wire.Value]:
        """Values that have to be possible."""
        return (self.min_value, self.max_value)


@dataclass(frozen=True)
class ContinuousParameter(_Numbers):
    __doc__ = _Numbers.__doc__


@dataclass(frozen=True)
class IntegerParameter(_Numbers):
    """Integers from one to another, both included; ``scaling_type`` is Auto, Linear or Logarithmic."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.min_value, int) and isinstance(self.max_value, int)):
            raise InputError(f"a range of integers ends at {self.min_value!r} and {self.max_value!r}.")


Parameter = CategoricalParameter | ContinuousParameter | IntegerParameter


def parameter_of(key: str, text: str) -> Parameter | None:
    """What a text such as ``0.1,0.3`` or ``1e-4..1e-2:log`` lets be chosen; None for one value.

    Args:
        key: the hyperparameter, for messages.
        text: commas within brackets or quotes separate nothing.

    Raises:
        InputError: a range is none.
    """
    if match := _INTERVAL.fullmatch(text.strip()):
        low, high, scale = match.groups()
        if scale is not None and scale not in _SCALES:
            raise InputError(f"--set {key}: the scale '{scale}' is unknown.", f"It may be {', '.join(_SCALES)}.")
        scaling = _SCALES[scale] if scale else AUTO
        try:
            if re.fullmatch("[+-]?[0-9]+", low) and re.fullmatch("[+-]?[0-9]+", high):
                return IntegerParameter(int(low), int(high), scaling)
            return ContinuousParameter(float(low), float(high), scaling)
        except InputError as error:
            raise InputError(f"--set {key}: {error.message}", error.hint) from error
    parts = list(_parts(text))
    if len(parts) < 2:
        return None
    if not all(parts):
        raise InputError(f"--set {key}={text}: one of the values is empty.", "Separate values by single commas.")
    return CategoricalParameter(tuple(wire.decode_value(part) for part in parts))


def to_wire(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """The API's ParameterRanges."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, one in parameters.items():
        if isinstance(one, CategoricalParameter):
            values = [wire.encode_value(value) for value in one.values]
            found.setdefault("CategoricalParameterRanges", []).append({"Name": name, "Values": values})
            continue
        member = "IntegerParameterRanges" if isinstance(one, IntegerParameter) else "ContinuousParameterRanges"
        ends = {"MinValue": json.dumps(one.min_value), "MaxValue": json.dumps(one.max_value)}
        found.setdefault(member, []).append({"Name": name, **ends, "ScalingType": one.scaling_type})
    return found


def _parts(text: str) -> Iterator[str]:
    """The parts of a text between its commas; those within brackets or quotes separate nothing."""
    depth, quoted, begin = 0, False, 0
    for at, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif not quoted and character in "[{":
            depth += 1
        elif not quoted and character in "]}":
            depth -= 1
        elif character == "," and depth == 0 and not quoted:
            yield text[begin:at].strip()
            begin = at + 1
    yield text[begin:].strip()
