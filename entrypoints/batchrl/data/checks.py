"""Every check on the values of steps; what is wrong is named by file, line, column and episode.

All checks look at a chunk of rows at once. Only where one fails are the chunks gone through again, check by check, so
that what is reported does not depend on the chunks. A cell that one check has found is not found by those after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from batchrl.contract import columns
from batchrl.contract.text import listed
from batchrl.data.checking import SUM_TOLERANCE, Check, Values
from batchrl.data.dataset import Flags, Floats64, Integers, default_names
from batchrl.data.eligibility import RIGHT as RIGHT_LIST
from batchrl.data.findings import Finding, Known, of_cells
from batchrl.data.layout import Layout
from batchrl.data.loggerchances import checks_of_logger_chances, loggers_without_chances
from batchrl.data.rows import Rows
from batchrl.data.storage import chunks, taken

BELOW_ZERO = 1e-9
FEW_ACTIONS = 16
# Squares of sums of larger rewards are no numbers of 32 bits, and nothing would be learnt from them.
LARGEST_REWARD = 1e15
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_TOO_LARGE = ("the value is {value}", "a finite number (of 32 bits)")


def check_steps(rows: Rows, layout: Layout, flags_matter: bool) -> list[Finding]:
    """Values with which nothing could be trained or estimated.

    Args:
        rows: the rows.
        layout: which of them are steps.
        flags_matter: whether ``terminal`` and ``truncated`` decide where episodes end.

    Returns:
        Each kind of fault with all its rows.
    """
    n_actions = rows.n_actions
    policy = _propensity_checks(rows) if rows.probabilities is None else _policy_checks(n_actions)
    checks = [*_reward_checks(), *policy, *_action_checks(rows)]
    checks += [*_next_state_checks(rows), *_eligible_checks(rows)]
    if rows.loggers is not None:
        right = "the name of the policy that logged the episode"
        checks.append(Check(columns.LOGGER, "the cell is empty", right, lambda values: values.loggers < 0))
        checks += checks_of_logger_chances(rows)
    if rows.weights is not None:
        right = "a number above 0: how many episodes this one stands for"
        checks.append(Check(columns.WEIGHT, "the value is {value}", right, _no_weight))
    if flags_matter:
        checks += [_flag_check(name) for name in rows.flags]
    for name, values in rows.targets.items():
        checks += _target_checks(name, values.shape[1], n_actions)
    known = Known(rows.findings)
    of_states = _run(_state_checks(rows), rows, layout, known, also=layout.closing if layout.drop_last else None)
    of_steps = _run(checks, rows, layout, known)
    of_all = [*rows.findings, *loggers_without_chances(rows)]
    return [*of_all, *of_states, *of_steps, *_of_whole_episodes(rows, layout, known)]


def _run(
    checks: Sequence[Check], rows: Rows, layout: Layout, known: Known, also: Integers | None = None
) -> list[Finding]:
    """Go through all steps, and through the rows ``also``; what is found is known then."""
    checks = [check for check in checks if not known.everywhere(check.column, *check.after)]
    if not any(check.wrong(values).any() for values, _ in _pieces(rows, layout, also) for check in checks):
        return []
    findings: list[Finding] = []
    unsettled = rows.unsettled
    # Where it is not known which row is an episode's last, one without an action may be, and is no step then.
    no_step = None if unsettled is None or not layout.drop_last else unsettled & np.isnan(rows.actions)
    for check in checks:
        found = np.concatenate([where[check.wrong(values)] for values, where in _pieces(rows, layout, also)])
        found = np.setdiff1d(found, known.rows(check.column, *check.after))
        if no_step is not None:
            found = found[~no_step[found]]
        if unsettled is not None and check.in_order:
            found = found[~unsettled[found]]
        if len(found):
            findings.append(of_cells(check.column, check.problem, check.right, found))
            known.add(check.column, found)
    return findings


def _pieces(rows: Rows, layout: Layout, also: Integers | None) -> Iterator[tuple[Values, Integers]]:
    """Values, and the numbers of their rows."""
    for chunk in layout.chunks():
        yield Values(rows, chunk.rows, chunk.is_end), chunk.numbers
    if also is not None:
        for start, stop in chunks(len(also)):
            yield Values(rows, also[start:stop], np.ones(stop - start, np.bool_)), also[start:stop]


def _no_weight(values: Values) -> Flags:
    return ~((values.weights > 0) & np.isfinite(values.weights))


def _of_whole_episodes(rows: Rows, layout: Layout, known: Known) -> list[Finding]:
    """Episodes whose rows differ in what is one thing of an episode."""
    findings = []
    if rows.loggers is not None and not known.everywhere(columns.LOGGER):
        named = np.where(rows.loggers < 0, np.nan, rows.loggers)
        advice = (
            "An episode belongs to the one policy that acted in it from first to last: figures are told and weighed by "
            "the policy of an episode. If ids of different policies coincide, make them differ (data.columns.episode, "
            "data.episode_ids). If policies took turns within an episode, leave data.columns.logger out: the logged "
            "probability of each row is right then, whoever acted; without logged ones, name the column in "
            "data.state_columns, so that the estimated ones depend on it."
        )
        findings += _unlike_their_first(named, columns.LOGGER, "logger", advice, rows, layout, known)
    if rows.weights is not None:
        advice = (
            "A weight is that of an episode, which is kept or left out as a whole: write the same one in all of its "
            "rows."
        )
        findings += _unlike_their_first(rows.weights, columns.WEIGHT, "weight", advice, rows, layout, known)
    return findings


def _unlike_their_first(
    values: Floats64, column: str, what: str, advice: str, rows: Rows, layout: Layout, known: Known
) -> list[Finding]:
    """The rows whose value ``[M]`` is not that of their episode's first; ``nan`` is none."""
    first = np.repeat(taken(values, layout.first_steps), np.diff(layout.offsets))
    others = []
    for chunk in layout.chunks():
        here, expected = taken(values, chunk.rows), first[chunk.start : chunk.stop]
        others.append(chunk.numbers[(here != expected) & ~np.isnan(here) & ~np.isnan(expected)])
    found = np.setdiff1d(np.concatenate(others), known.rows(columns.EPISODE_ID))
    if not len(found):
        return []
    episodes = len(np.unique(taken(rows.episode, found)))
    problem = (
        f"{episodes:,} of {len(layout.kept):,} episodes have more than one {what} in column "
        f"'{rows.places.called(column)}'; {len(found):,} rows have another one than their episode's first"
    )
    return [Finding(problem, advice, found)]


def _state_checks(rows: Rows) -> list[Check]:
    if rows.raw is not None:
        return [Check(name, *_TOO_LARGE, _too_large(number)) for number, name in enumerate(rows.state_columns)]

    def wrong(number: int) -> Callable[[Values], Flags]:
        return lambda values: (
            values.every(False) if values.states_are_finite else ~np.isfinite(values.states[:, number])
        )

    return [Check(name, *_TOO_LARGE, wrong(number)) for number, name in enumerate(rows.state_columns)]


def _too_large(number: int) -> Callable[[Values], Flags]:
    return lambda values: (
        np.asarray(np.abs(values.states[:, number]) > LARGEST_FLOAT32)
        if values.largest_state > LARGEST_FLOAT32
        else values.every(False)
    )


def _reward_checks() -> list[Check]:
    def too_large(values: Values) -> Flags:
        return np.asarray(np.abs(values.rewards) > LARGEST_REWARD)

    return [
        Check(columns.REWARD, "the value is {value}", "a finite number", lambda values: ~np.isfinite(values.rewards)),
        Check(
            columns.REWARD,
            "{value} is too large to learn from",
            f"a number between -{LARGEST_REWARD:g} and {LARGEST_REWARD:g}, such as one of a larger unit",
            too_large,
        ),
    ]


def _policy_checks(n_actions: int) -> list[Check]:
    name = columns.ALL_ACTION_PROBABILITIES
    few = Check(
        name,
        f"{{value}} has {n_actions} entries",
        "the probabilities of two or more actions",
        lambda values: values.every(n_actions < 2),
    )
    return [few, *_vector_checks(name, lambda values: values.policy, "the probabilities of all actions", chances=True)]


def _propensity_checks(rows: Rows) -> list[Check]:
    name, right = columns.PROPENSITY, "the probability of the taken action, above 0 and at most 1"

    def outside(values: Values) -> Flags:
        return np.asarray((values.propensities <= 0) | (values.propensities > 1 + SUM_TOLERANCE))

    few = Check(
        columns.ACTION,
        "every row has the action {value}",
        "two or more actions: there is nothing to choose else",
        lambda values: values.every(rows.n_actions < 2),
    )
    if rows.propensities is None:
        return [few]
    return [
        few,
        Check(name, "the value is {value}", right, lambda values: ~np.isfinite(values.propensities)),
        Check(name, "{value} is no probability of an action that was taken", right, outside),
    ]


def _vector_checks(name: str, take: Callable[[Values], Floats64], right: str, chances: bool) -> list[Check]:
    finite = [
        Check(name, "the value is {value}", right, lambda values: _all(np.isnan(take(values)))),
        Check(
            name,
            "{value} has an entry that is not finite",
            "finite numbers",
            lambda values: ~_all(np.isfinite(take(values))),
        ),
    ]
    sums = [
        Check(
            name,
            "{value} has a negative entry",
            "numbers from 0 to 1",
            lambda values: ~_all(~(take(values) < -BELOW_ZERO)),
        ),
        Check(
            name,
            "{value} does not sum to 1",
            "probabilities that sum to 1",
            lambda values: ~(np.abs(take(values).sum(axis=1) - 1) < SUM_TOLERANCE),
        ),
    ]
    return [*finite, *(sums if chances else [])]


def _all(conditions: Flags) -> Flags:
    """``[m]``, whether a row of ``[m, A]`` holds throughout; column by column, which is faster for few actions."""
    if conditions.shape[1] > FEW_ACTIONS:
        return np.asarray(conditions.all(axis=1))
    result = conditions[:, 0].copy()
    for number in range(1, conditions.shape[1]):
        result &= conditions[:, number]
    return result


def _action_checks(rows: Rows) -> list[Check]:
    n_actions = rows.n_actions
    right = f"an integer from 0 to {n_actions - 1}, since there are {n_actions} probabilities"
    if rows.action_names != default_names(n_actions):
        right = f"one of {listed(rows.action_names, FEW_ACTIONS)}"

    def outside(values: Values) -> Flags:
        return np.asarray((values.actions < 0) | (values.actions >= n_actions))

    def impossible(values: Values) -> Flags:
        return np.asarray(values.at_action(values.policy) <= 0)

    checks = [
        Check(columns.ACTION, "the cell is empty", right, lambda values: np.isnan(values.actions)),
        Check(
            columns.ACTION,
            "{value} is not an integer",
            right,
            lambda values: values.actions != np.floor(values.actions),
        ),
        Check(columns.ACTION, "there is no action {value}", right, outside),
    ]
    if rows.probabilities is None:
        return checks
    possible = "the taken action has a probability above 0 under the policy that took it"
    problem = "{value} gives the taken action probability 0"
    return [*checks, Check(columns.ALL_ACTION_PROBABILITIES, problem, possible, impossible, after=(columns.ACTION,))]


def _eligible_checks(rows: Rows) -> list[Check]:
    if rows.eligible is None:
        return []
    name, n_actions = columns.ELIGIBLE, rows.n_actions

    def not_taken(values: Values) -> Flags:
        return np.asarray(~values.at_action(values.eligible))

    def elsewhere(take: Callable[[Values], Floats64]) -> Callable[[Values], Flags]:
        return lambda values: np.asarray(((take(values) > BELOW_ZERO) & ~values.eligible).any(axis=1))

    right = "lists that hold the action taken"
    empty = Check(name, "{value} names no action", RIGHT_LIST, lambda values: np.asarray(~values.eligible.any(axis=1)))
    lacks = Check(name, "{value} does not hold the action that was taken", right, not_taken, after=(columns.ACTION,))
    checks = [empty, lacks]
    problem, right = "{value} gives an action a probability that was not eligible", "0 for actions that are not"
    if rows.probabilities is not None:
        of_all = elsewhere(lambda values: values.policy)
        checks.append(Check(columns.ALL_ACTION_PROBABILITIES, problem, right, of_all, after=(name,)))
    target = columns.TARGET_ACTION_PROBABILITIES
    if target in rows.targets and rows.targets[target].shape[1] == n_actions:
        checks.append(Check(target, problem, right, elsewhere(lambda values: values.target(target)), after=(name,)))
    return checks


def _next_state_checks(rows: Rows) -> list[Check]:
    if rows.next_states is None:
        return []
    first = rows.next_state_columns[0]
    if rows.raw is not None:

        def beyond(values: Values) -> Flags:
            return np.asarray((np.abs(values.next_states) > LARGEST_FLOAT32).any(axis=1))

        return [Check(first, "a feature of the next state is no finite number of 32 bits", _TOO_LARGE[1], beyond)]

    def partial(values: Values) -> Flags:
        finite = np.isfinite(values.next_states)
        if finite.all():
            return values.every(False)
        return np.asarray(~finite.all(axis=1) & ~np.isnan(values.next_states).all(axis=1))

    problem = "some, but not all features of the next state are finite numbers"
    return [Check(first, problem, "all, or none", partial)]


def _flag_check(name: str) -> Check:
    return Check(
        name,
        "the value is 1, but the episode goes on",
        "1 only in an episode's last row",
        lambda values: values.flag(name) & ~values.is_end,
        in_order=True,
    )


def _target_checks(name: str, width: int, n_actions: int) -> list[Check]:
    other = Check(
        name,
        f"{{value}} has {width} entries, but there are {n_actions} actions",
        "one number for each action",
        lambda values: values.every(width != n_actions),
        after=(columns.ACTION,),
    )
    chances = name == columns.TARGET_ACTION_PROBABILITIES
    return [other, *_vector_checks(name, lambda values: values.target(name), "one number for each action", chances)]
