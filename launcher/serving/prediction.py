"""What a model server answers, checked line by line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchrl.contract import jsontext
from batchrl.contract.errors import DamagedContent, shortened

# Of an integer beyond all floats none can be made.
LARGEST = 10**300
# How far from 1 probabilities may sum, which left the server as 32 bit floats.
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Prediction:
    """What the policy says about ``N`` states; A is the number of actions.

    A state that the server could not take has an entry in ``errors`` and None everywhere else.

    Args:
        probabilities: of each action, under the policy that is deployed, ``[N, A]``.
        actions: the action that it chose, ``[N]``: its number, or its name where the log called actions by name.
        values: what the model expects of the state; None where it has no value, ``[N]``.
        masks: which actions are allowed; None where the policy has no mask, ``[N, A]``.
        errors: what was wrong with a state; None for nothing, ``[N]``.
    """

    probabilities: Sequence[Sequence[float] | None]
    actions: Sequence[int | str | None]
    values: Sequence[float | None]
    masks: Sequence[Sequence[bool] | None]
    errors: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.actions)

    @classmethod
    def of(cls, answers: Iterable[AnswerLine]) -> Prediction:
        """The prediction that checked lines make up."""
        held = list(answers)
        return cls(
            probabilities=tuple(answer.probabilities for answer in held),
            actions=tuple(answer.action for answer in held),
            values=tuple(answer.value for answer in held),
            masks=tuple(answer.mask for answer in held),
            errors=tuple(answer.error for answer in held),
        )


@dataclass(frozen=True)
class AnswerLine:
    """One line of an answer, as ``Prediction`` has it."""

    probabilities: Sequence[float] | None = None
    action: int | str | None = None
    value: float | None = None
    mask: Sequence[bool] | None = None
    error: str | None = None


def read_lines(content: bytes, rows: int, first: int, source: str) -> list[dict[str, Any]]:
    """The lines of an answer, one object a row.

    Args:
        content: lines of JSON.
        rows: how many there must be (contract 167).
        first: index of the first row, from 0, for messages.
        source: who answered, for messages.

    Raises:
        DamagedContent: there are more or fewer, or one is no JSON object.
    """
    lines = [line for line in content.split(b"\n") if line.strip()]
    if len(lines) != rows:
        raise DamagedContent(f"{source} answered {rows} rows, from row {first + 1} on, with {len(lines)} lines.")
    found = []
    for index, line in enumerate(lines, first):
        try:
            value = jsontext.parsed(line)
        except ValueError as error:
            raise DamagedContent(f"{source} answered row {index + 1} with no JSON: {line[:80]!r}.") from error
        if not isinstance(value, dict):
            raise DamagedContent(f"{source} answered row {index + 1} with no JSON object: {line[:80]!r}.")
        found.append(value)
    return found


def check(line: Mapping[str, Any], row: int, source: str) -> AnswerLine:
    """One line, checked.

    Args:
        line: the object.
        row: its row, from 1, for messages.
        source: who answered, for messages.

    Raises:
        DamagedContent: it is no answer of our model server.
    """
    if "error" in line:
        return AnswerLine(error=str(line["error"]))
    where = f"{source} answered row {row} with"
    probabilities = line.get("predictions")
    if isinstance(probabilities, list) and len(probabilities) == 1:
        probabilities = probabilities[0]
    if not isinstance(probabilities, list) or not probabilities or not all(map(_is_number, probabilities)):
        raise DamagedContent(f"{where} no action probabilities: {shortened(repr(line.get('predictions')))}.")
    if abs(sum(probabilities) - 1) > SUM_TOLERANCE or min(probabilities) < 0:
        raise DamagedContent(f"{where} probabilities that do not sum to 1: {shortened(probabilities)}.")
    action, value, mask = line.get("action"), line.get("value"), line.get("mask")
    is_number = isinstance(action, int) and not isinstance(action, bool) and 0 <= action < len(probabilities)
    if not is_number and not isinstance(action, str):
        raise DamagedContent(f"{where} the action {shortened(repr(action))}; there are {len(probabilities)}.")
    if value is not None and not _is_number(value):
        raise DamagedContent(f"{where} the value {shortened(repr(value))}.")
    if mask is not None and not _is_mask(mask, len(probabilities)):
        raise DamagedContent(f"{where} the mask {shortened(repr(mask))}; it needs {len(probabilities)} truth values.")
    return AnswerLine(probabilities, action, value, mask)


def _is_number(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < LARGEST
    return isinstance(value, float) and math.isfinite(value)


def _is_mask(value: object, actions: int) -> bool:
    return isinstance(value, list) and len(value) == actions and all(isinstance(each, bool) for each in value)
