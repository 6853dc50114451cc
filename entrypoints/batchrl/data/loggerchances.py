"""Probabilities of the taken actions under each of several policies that logged, a column for each of them.

With them the loggers of a log can be balanced (``mixture``) whatever their policies heed, and the probability under the
policy that acted is known where no other column holds it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from batchrl.contract import columns
from batchrl.contract.text import listed
from batchrl.data.checking import SUM_TOLERANCE, Check, Values
from batchrl.data.dataset import Flags, Floats64
from batchrl.data.findings import NOWHERE, Finding, Known
from batchrl.data.layout import Layout
from batchrl.data.rows import Rows
from batchrl.data.storage import Array, taken

_RIGHT = "the probability with which that policy would have taken the action, from 0 to 1"


def loggers_without_chances(rows: Rows) -> list[Finding]:
    """That policies logged of which there is no column, where there are columns of others."""
    missing = [name for name in rows.logger_names if name not in rows.logger_chances]
    if not rows.logger_chances or not missing or Known(rows.findings).everywhere(columns.LOGGER):
        return []
    problem = (
        f"data.columns.logger_propensities names columns of {listed(list(rows.logger_chances), 5)}, and "
        f"'{rows.places.called(columns.LOGGER)}' names loggers that are none of these: {listed(missing, 5)}"
    )
    advice = "Name a column for each policy that logged; what the star of a pattern stands for is the policy's name."
    return [Finding(problem, advice, NOWHERE)]


def checks_of_logger_chances(rows: Rows) -> list[Check]:
    """That they are probabilities, above 0 for who acted, and agree with what was logged of that one."""
    checks = []
    for name in rows.logger_chances:
        column = columns.LOGGER_PROPENSITY_PREFIX + name
        checks.append(Check(column, "the value is {value}", _RIGHT, _outside(name)))
        if name not in rows.logger_names:
            continue
        acted = _acted(rows.logger_names.index(name))
        problem = "{value} is no probability of an action that this policy took"
        right = "a number above 0 in the rows that the policy logged"
        checks.append(Check(column, problem, right, _never(name, acted), after=(columns.LOGGER,)))
        if rows.chances is not None:
            called = rows.places.called(rows.chances_column)
            problem = f"{{value}} is not what '{called}' says of the action that this policy took"
            right = "the same number in both columns"
            after = (columns.LOGGER, columns.ACTION, rows.chances_column)
            checks.append(Check(column, problem, right, _unlike(name, acted, rows), after=after))
    return checks


def own_chances(rows: Rows) -> Floats64:
    """``[M]``, the probabilities of the taken actions under the policies that took them; 0 where none is named."""
    assert rows.loggers is not None, "the settings ask for their column"
    result = np.zeros(len(rows.loggers))
    for number, name in enumerate(rows.logger_names):
        mine = rows.loggers == number
        result[mine] = np.clip(rows.logger_chances[name][mine], 0, 1)
    return result


def log_chances(rows: Rows, layout: Layout) -> Array:
    """``[N, K]``, logs of each logger's probability of the taken action, of all steps; -inf where it never takes it."""
    result = rows.storage.empty((layout.n_steps, len(rows.logger_names)), np.float64)
    for chunk in layout.chunks():
        for number, name in enumerate(rows.logger_names):
            chances = np.clip(taken(rows.logger_chances[name], chunk.rows), 0, 1)
            with np.errstate(divide="ignore"):
                result[chunk.start : chunk.stop, number] = np.log(chances)
    return result


def _outside(name: str) -> Callable[[Values], Flags]:
    def wrong(values: Values) -> Flags:
        chances = values.logger_chance(name)
        return np.asarray(~((chances >= -SUM_TOLERANCE) & (chances <= 1 + SUM_TOLERANCE)))

    return wrong


def _acted(number: int) -> Callable[[Values], Flags]:
    return lambda values: np.asarray(values.loggers == number)


def _never(name: str, acted: Callable[[Values], Flags]) -> Callable[[Values], Flags]:
    return lambda values: np.asarray(acted(values) & (values.logger_chance(name) <= 0))


def _unlike(name: str, acted: Callable[[Values], Flags], rows: Rows) -> Callable[[Values], Flags]:
    def wrong(values: Values) -> Flags:
        logged = values.propensities if rows.probabilities is None else values.at_action(values.policy)
        return np.asarray(acted(values) & (np.abs(values.logger_chance(name) - logged) > SUM_TOLERANCE))

    return wrong
