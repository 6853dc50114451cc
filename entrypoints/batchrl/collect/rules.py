"""A policy that somebody wrote down as a table of rules: the first one whose conditions hold says what is done.

::

    visits,age,action
    >=3,,1
    ,18..25,1
    ,,0

A column named as a feature of the state holds conditions on it: ``<x``, ``<=x``, ``>x``, ``>=x``, ``x`` or ``=x``,
``a..b`` (from a on, below b), or nothing, which always holds. What is done stands in ``action``, as a number or a name,
or in ``all_action_probabilities``, as a list. Lines that begin with ``#`` are left out.
"""

from __future__ import annotations

import csv
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from batchrl.collect.actions import ActingOn
from batchrl.contract import columns, jsontext
from batchrl.contract.errors import InputError
from batchrl.data.dataset import Flags, Floats32, Floats64
from batchrl.policies import FixedPolicy

COMPARISONS: dict[str, Callable[[Floats32, np.float32], Flags]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
RANGE = ".."
CONDITIONS = "Right are <2, <=2, >2, >=2, 2, 1..3 (from 1 on, below 3), or an empty cell, which always holds."


@dataclass(frozen=True)
class Rule:
    """One line.

    Args:
        conditions: by position of the feature, what holds where the rule applies.
        probabilities: ``[A]``.
    """

    conditions: tuple[tuple[int, Callable[[Floats32], Flags]], ...]
    probabilities: Floats64

    def applies(self, states: Floats32) -> Flags:
        """``[B]``, the states in which all conditions hold."""
        holds = np.ones(len(states), np.bool_)
        for feature, condition in self.conditions:
            holds &= condition(states[:, feature])
        return holds


class RulesPolicy:
    """Rules, in their order.

    Args:
        rules: the first one that applies decides.
        source: what messages call them.
        features: names of the state's columns, for messages.
    """

    def __init__(self, rules: Sequence[Rule], source: str, features: Sequence[str]) -> None:
        self._rules = rules
        self._source = source
        self._features = features

    @classmethod
    def read(cls, path: Path, acting_on: ActingOn) -> RulesPolicy:
        """The rules of a file.

        Args:
            path: of the file.
            acting_on: the actions, and the names of the features.

        Raises:
            InputError: it cannot be read, or a line, a column, a condition or an action is none.
        """
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                lines = [line if not line.startswith("#") else "\n" for line in file]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: these rules cannot be read: {error}.") from error
        reader = csv.reader(lines)
        features = acting_on.features
        header: list[str] | None = None
        rules = []
        for cells in filter(None, reader):
            if header is None:
                header = _header(path, [cell.strip() for cell in cells], features)
                continue
            place = f"{path}, line {reader.line_num}"
            if len(cells) != len(header):
                raise InputError(f"{place}: {len(cells)} cells, but the header has {len(header)}.")
            row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
            probabilities = _action(row, place, acting_on)
            conditions = [
                (features.index(name), _condition(cell, f"{place}, column '{name}'"))
                for name, cell in row.items()
                if name in features and cell
            ]
            rules.append(Rule(tuple(conditions), probabilities))
        if not rules:
            raise InputError(f"{path} holds no rule.", "Write a header and a line for each rule.")
        return cls(rules, str(path), features)

    def action_probabilities(self, states: Floats32) -> Floats64:
        """Probabilities ``[B, A]`` of states ``[B, d]``.

        Raises:
            InputError: no rule applies to a state.
        """
        found = np.zeros((len(states), len(self._rules[0].probabilities)))
        left = np.ones(len(states), np.bool_)
        for rule in self._rules:
            decided = left & rule.applies(states)
            found[decided] = rule.probabilities
            left &= ~decided
        if left.any():
            state = states[np.flatnonzero(left)[0]]
            shown = ", ".join(f"{name} {value:g}" for name, value in zip(self._features, state, strict=True))
            raise InputError(
                f"{self._source}: no rule applies to the state {shown}.", "End with a rule that has no conditions."
            )
        return found


def _header(path: Path, names: list[str], features: Sequence[str]) -> list[str]:
    known = {*features, columns.ACTION, columns.ALL_ACTION_PROBABILITIES}
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            f"{path}: the column '{unknown[0]}' is no feature of the state.",
            f"Features are {', '.join(features)}; what is done stands in {columns.ACTION}.",
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{path}: the column '{twice[0]}' stands twice.")
    if (columns.ACTION in names) == (columns.ALL_ACTION_PROBABILITIES in names):
        raise InputError(
            f"{path}: a table of rules has a column {columns.ACTION}, or {columns.ALL_ACTION_PROBABILITIES}, and not "
            "both."
        )
    return names


def _action(row: dict[str, str], place: str, acting_on: ActingOn) -> Floats64:
    n_actions = acting_on.n_actions
    if columns.ACTION in row:
        chosen: Floats64 = np.zeros(n_actions)
        chosen[acting_on.number_of(row[columns.ACTION], f"{place}, column '{columns.ACTION}'")] = 1.0
        return chosen
    text = row[columns.ALL_ACTION_PROBABILITIES]
    place = f"{place}, column '{columns.ALL_ACTION_PROBABILITIES}'"
    try:
        rows = FixedPolicy(jsontext.parsed(text)).rows
    except (InputError, ValueError) as error:
        raise InputError(f"{place}: {text!r} is no list of probabilities: {error}.") from error
    if rows.shape != (1, n_actions):
        raise InputError(f"{place}: {text} has {rows.shape[1]} numbers, but there are {n_actions} actions.")
    probabilities: Floats64 = rows[0]
    return probabilities


def _condition(text: str, place: str) -> Callable[[Floats32], Flags]:
    if RANGE in text:
        low, _, high = text.partition(RANGE)
        first, last = _number(low, text, place), _number(high, text, place)
        return lambda values: (values >= first) & (values < last)
    sign = next((sign for sign in COMPARISONS if text.startswith(sign)), "")
    bound = _number(text.removeprefix(sign), text, place)
    compare = COMPARISONS[sign or "="]
    return lambda values: compare(values, bound)


def _number(text: str, condition: str, place: str) -> np.float32:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise InputError(f"{place}: {condition!r} is no condition.", CONDITIONS)
    return np.float32(value)
