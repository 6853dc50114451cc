"""Environment variables that a model's server reads: what each may be, for the server and for who starts one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from batchrl.contract.errors import InputError

# What the names of the product's own begin with.
PREFIX = "BATCHRL_"
EPSILON_GREEDY, SOFTMAX = "epsilon_greedy", "softmax"
KINDS = ("greedy", EPSILON_GREEDY, SOFTMAX)
RECORD, REJECT = "record", "reject"

Kind = TypeVar("Kind", int, float)


@dataclass(frozen=True)
class Number(Generic[Kind]):
    """A variable that holds a number.

    Args:
        name: of the variable.
        kind: ``int`` or ``float``.
        low, high: what it is from and to.
    """

    name: str
    kind: Callable[[str], Kind]
    low: float
    high: float

    def read(self, environ: Mapping[str, str]) -> Kind | None:
        """Its value; None where it is not set, or empty.

        Raises:
            InputError: it cannot be that.
        """
        text = environ.get(self.name, "").strip()
        if not text:
            return None
        try:
            value = self.kind(text)
        except ValueError:
            value = None
        if value is None or not self.low <= value <= self.high:
            what = "a whole number" if self.kind is int else "a number"
            raise InputError(f"{self.name} is '{text}'.", f"Give {what} from {self.low:g} to {self.high:g}.")
        return value


@dataclass(frozen=True)
class ChoiceVariable:
    """A variable that holds one of a few words."""

    name: str
    choices: tuple[str, ...]

    def read(self, environ: Mapping[str, str]) -> str | None:
        """As ``Number.read``."""
        text = environ.get(self.name, "").strip()
        if text and text not in self.choices:
            raise InputError(f"{self.name} is '{text}'.", f"It may be {', '.join(self.choices)}.")
        return text or None


TARGET_POLICY = ChoiceVariable("BATCHRL_TARGET_POLICY", KINDS)
EPSILON = Number("BATCHRL_EPSILON", float, 0, 1)
TEMPERATURE = Number("BATCHRL_TEMPERATURE", float, 1e-9, 1e9)
BAD_RECORDS = ChoiceVariable("BATCHRL_BAD_RECORDS", (RECORD, REJECT))
OWN: tuple[ChoiceVariable | Number[float], ...] = (TARGET_POLICY, EPSILON, TEMPERATURE, BAD_RECORDS)
# The kind of target policy that a number belongs to.
BELONGS_TO = {EPSILON.name: EPSILON_GREEDY, TEMPERATURE.name: SOFTMAX}


def mistakes(environ: Mapping[str, Any]) -> list[str]:
    """What a server would refuse of its own variables, or read in vain: a sentence each; others are not looked at."""
    given = {name: value for name, value in environ.items() if isinstance(value, str)}
    known = [variable.name for variable in OWN]
    found = []
    for name in given:
        if name.upper().startswith(PREFIX) and name not in known:
            # The prefix alone would make any two names alike.
            near = difflib.get_close_matches(
                name.upper().removeprefix(PREFIX), [each[len(PREFIX) :] for each in known], 1
            )
            hint = f"did you mean {PREFIX}{near[0]}?" if near else f"it knows {', '.join(known)}."
            found.append(f"environment variable {name}: the server knows none of this name; {hint}")
    wrong = []
    for variable in OWN:
        try:
            variable.read(given)
        except InputError as error:
            wrong.append(f"environment variable {error.message} {error.hint}")
    kind = given.get(TARGET_POLICY.name, "").strip()
    if kind and not wrong:
        for name, needed in BELONGS_TO.items():
            if given.get(name, "").strip() and kind != needed:
                wrong.append(f"environment variable {name} is for {needed}, and {TARGET_POLICY.name} is {kind}.")
    return found + wrong
