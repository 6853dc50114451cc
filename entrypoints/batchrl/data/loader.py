"""From rows to transitions: the two schemas, the ends of episodes, and every check on the values.

Schema A: an episode ends with a row that holds only the terminal observation. Schema B: every row is a step and the
terminal observation is not written.

=================================  =============================================================
the last step of an episode        its bootstrap
=================================  =============================================================
``terminal`` is 1, or no flags     none
cut short, next state known        the value of the next state (quirk 14)
cut short, next state unknown      none; counted in ``LoadedData.unknown_ends``
=================================  =============================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.data.dataset import Dataset, Flags, Floats64, Integers
from batchrl.data.rows import Rows, read_rows
from presets.schema import DataSettings

Schema = Literal["A", "B"]

SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class LoadedData:
    """What was read.

    Args:
        dataset: the transitions.
        schema: of the files.
        unknown_ends: episodes that were cut short without a known next state; their end counts as terminal.
        left_out: episodes beyond ``max_transitions``, or too short for ``legacy_drop_last``.
        target_policy: ``[N, A]``, the probabilities of the column ``target_action_probabilities``, row for row with the
            dataset's transitions: finite, none below 0, each row sums to 1. None where the files have no such column,
            or it was not asked for.
        target_q: ``[N, A]``, finite values of ``target_q_values``; the same.
    """

    dataset: Dataset
    schema: Schema
    unknown_ends: int
    left_out: int
    target_policy: Floats64 | None = None
    target_q: Floats64 | None = None


@dataclass(frozen=True)
class _Layout:
    """Where the steps of the kept episodes lie.

    Args:
        steps: ``[N]``, the row of each transition, episode after episode.
        following: ``[N]``, the row with the next state, or -1 where there is none.
        ends: ``[n]``, the last transition of each episode.
        closing: ``[n]``, the last row of each episode (the terminal observation, or the last step).
        offsets: ``[n + 1]``.
        episodes: ``[n]``, positions of the kept episodes.
    """

    steps: Integers
    following: Integers
    ends: Integers
    closing: Integers
    offsets: Integers
    episodes: Integers


def load_dataset(path: Path, settings: DataSettings, with_targets: bool = False) -> LoadedData:
    """Read and check logged episodes.

    Args:
        path: a csv or Parquet file, or a folder of them.
        settings: the preset's section ``data``.
        with_targets: whether to read the columns of a policy to be scored, where the files have them.

    Raises:
        InputError: names file, line, column and episode of the first thing that is wrong, and what would be right.
    """
    rows = read_rows(path, settings.state_columns, with_targets)
    order = np.argsort(rows.episode, kind="stable").astype(np.int64)
    counts = np.bincount(rows.episode).astype(np.int64)
    schema = _schema(rows, order, counts, settings.csv_schema)
    drop_last = schema == "A" or settings.legacy_drop_last
    layout = _lay_out(rows, order, counts, drop_last, settings.max_transitions)
    _check_steps(rows, layout)
    next_states, known = _next_states(rows, layout)
    # Coach marks the step before the dropped row as terminal, whatever the flags say (section 1.3).
    as_coach = settings.legacy_drop_last and schema == "B"
    terminal, unknown_ends = _terminal(rows, layout, known, as_coach)
    states = rows.states[layout.steps].astype(np.float32)
    dataset = Dataset(
        states=states,
        actions=rows.actions[layout.steps].astype(np.int64),
        rewards=rows.rewards[layout.steps],
        next_states=np.where(terminal[:, None], states, next_states.astype(np.float32)),
        terminal=terminal,
        behavior_policy=rows.probabilities[layout.steps],
        offsets=layout.offsets,
        episode_ids=tuple(rows.episode_ids[episode] for episode in layout.episodes),
        state_columns=rows.state_columns,
    )
    target_policy, target_q = _targets(rows, layout.steps)
    left_out = len(counts) - dataset.n_episodes
    return LoadedData(dataset, schema, unknown_ends, left_out, target_policy, target_q)


def _schema(rows: Rows, order: Integers, counts: Integers, wanted: str) -> Schema:
    blank = np.isnan(rows.actions)
    last = order[np.cumsum(counts) - 1]
    schema: Schema = "A" if wanted == "A" or (wanted == "auto" and blank[last[0]]) else "B"
    if schema == "A":
        inner = blank.copy()
        inner[last] = False
        rows.refuse(
            inner, columns.ACTION, "the cell is empty, but this is not the episode's last row", "the action taken"
        )
        rows.refuse(
            ~blank[last],
            columns.ACTION,
            "the episode's last row has action {value}, but other episodes end with a row that holds only a state",
            "every episode ends with a row whose action is empty, or none does (schema B)",
            last,
        )
    return schema


def _lay_out(rows: Rows, order: Integers, counts: Integers, drop_last: bool, max_transitions: int | None) -> _Layout:
    lengths = counts - 1 if drop_last else counts
    starts = np.cumsum(counts) - counts
    kept = lengths > 0
    if max_transitions is not None:
        kept &= np.cumsum(lengths) <= max_transitions
    episodes = np.flatnonzero(kept)
    if not len(episodes):
        reason = "no episode has a step" if max_transitions is None else f"no episode fits into {max_transitions} steps"
        raise InputError(f"{rows.tables[0].path}: {reason}.", "Log more data, or raise data.max_transitions.")
    lengths = lengths[episodes]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    sorted_positions = np.arange(offsets[-1]) + np.repeat(starts[episodes] - offsets[:-1], lengths)
    ends = offsets[1:] - 1
    following_positions = sorted_positions + 1
    following = order[np.minimum(following_positions, len(order) - 1)]
    if not drop_last:
        following[ends] = -1
    closing = order[(starts + counts - 1)[episodes]]
    return _Layout(order[sorted_positions], following, ends, closing, offsets, episodes)


def _check_steps(rows: Rows, layout: _Layout) -> None:
    steps = layout.steps
    used = np.unique(np.concatenate([steps, layout.following[layout.following >= 0]]))
    for number, name in enumerate(rows.state_columns):
        with np.errstate(over="ignore"):
            wrong = ~np.isfinite(rows.states[used, number].astype(np.float32))
        rows.refuse(wrong, name, "the value is {value}", "a finite number (of 32 bits)", used)
    rows.refuse(~np.isfinite(rows.rewards[steps]), columns.REWARD, "the value is {value}", "a finite number", steps)
    _check_policy(rows, steps)
    _check_actions(rows, steps)


def _check_policy(rows: Rows, steps: Integers) -> None:
    policy = rows.probabilities[steps]
    few = np.full(len(steps), policy.shape[1] < 2)
    name, right = columns.ALL_ACTION_PROBABILITIES, "the probabilities of two or more actions"
    rows.refuse(few, name, f"{{value}} has {policy.shape[1]} entries", right, steps)
    _check_finite(rows, steps, policy, name, "the probabilities of all actions")
    _check_chances(rows, steps, policy, name)


def _check_finite(rows: Rows, steps: Integers, values: Floats64, column: str, right: str) -> None:
    rows.refuse(np.all(np.isnan(values), axis=1), column, "the value is {value}", right, steps)
    wrong = np.any(~np.isfinite(values), axis=1)
    rows.refuse(wrong, column, "{value} has an entry that is not finite", "finite numbers", steps)


def _check_chances(rows: Rows, steps: Integers, values: Floats64, column: str) -> None:
    rows.refuse(np.any(values < 0, axis=1), column, "{value} has a negative entry", "numbers from 0 to 1", steps)
    wrong = np.abs(values.sum(axis=1) - 1) >= SUM_TOLERANCE
    rows.refuse(wrong, column, "{value} does not sum to 1", "probabilities that sum to 1", steps)


def _targets(rows: Rows, steps: Integers) -> tuple[Floats64 | None, Floats64 | None]:
    """The checked columns of a policy to be scored, in the order of the transitions."""
    n_actions = rows.probabilities.shape[1]
    found: list[Floats64 | None] = []
    for name, given in (
        (columns.TARGET_ACTION_PROBABILITIES, rows.target_policy),
        (columns.TARGET_Q_VALUES, rows.target_q),
    ):
        values = None if given is None else given[steps]
        if values is not None:
            other = np.full(len(steps), values.shape[1] != n_actions)
            problem = f"{{value}} has {values.shape[1]} entries, but there are {n_actions} actions"
            rows.refuse(other, name, problem, "one number for each action", steps)
            _check_finite(rows, steps, values, name, "one number for each action")
            if name == columns.TARGET_ACTION_PROBABILITIES:
                _check_chances(rows, steps, values, name)
        found.append(values)
    return found[0], found[1]


def _check_actions(rows: Rows, steps: Integers) -> None:
    actions, policy = rows.actions[steps], rows.probabilities[steps]
    n_actions = policy.shape[1]
    right = f"an integer from 0 to {n_actions - 1}, since there are {n_actions} probabilities"
    rows.refuse(np.isnan(actions), columns.ACTION, "the cell is empty", right, steps)
    rows.refuse(actions != np.floor(actions), columns.ACTION, "{value} is not an integer", right, steps)
    outside = (actions < 0) | (actions >= n_actions)
    rows.refuse(outside, columns.ACTION, "there is no action {value}", right, steps)
    taken = policy[np.arange(len(steps)), actions.astype(np.int64)]
    rows.refuse(
        taken <= 0,
        columns.ALL_ACTION_PROBABILITIES,
        "{value} gives the taken action probability 0",
        "the taken action has a probability above 0 under the policy that took it",
        steps,
    )


def _next_states(rows: Rows, layout: _Layout) -> tuple[Floats64, Flags]:
    """``[N, d]``, and ``[N]`` whether it is known; where it is not, the values mean nothing."""
    following = layout.following
    known = following >= 0
    result = rows.states[np.where(known, following, layout.steps)]
    if rows.next_states is None:
        return result, known
    given = rows.next_states[layout.steps]
    empty = np.isnan(given)
    whole = ~empty.any(axis=1)
    with np.errstate(over="ignore"):
        wrong = ~empty.all(axis=1) & np.any(~np.isfinite(given.astype(np.float32)), axis=1)
    first = rows.state_columns[0].replace(columns.STATE_FEATURE_PREFIX, columns.NEXT_STATE_FEATURE_PREFIX)
    rows.refuse(
        wrong, first, "some, but not all features of the next state are finite numbers", "all, or none", layout.steps
    )
    result[whole] = given[whole]
    return result, known | whole


def _terminal(rows: Rows, layout: _Layout, known: Flags, as_coach: bool) -> tuple[Flags, int]:
    """``[N]`` whether a transition ends its episode for good, and how many ends had no known next state."""
    steps, ends = layout.steps, layout.ends
    result = np.zeros(len(steps), dtype=np.bool_)
    inner = np.ones(len(steps), dtype=np.bool_)
    inner[ends] = False
    for name, values in ((columns.TERMINAL, rows.terminal), (columns.TRUNCATED, rows.truncated)):
        if values is not None and not as_coach:
            wrong = inner & (values[steps] == 1)
            rows.refuse(
                wrong, name, "the value is 1, but the episode goes on", "1 only in an episode's last row", steps
            )
    over = _marked(rows.terminal, steps[ends], layout.closing)
    cut = _marked(rows.truncated, steps[ends], layout.closing)
    if over is None and cut is not None:
        over = ~cut
    if over is None or as_coach:
        over = np.ones(len(ends), dtype=np.bool_)
    result[ends] = over | ~known[ends]
    return result, int((~over & ~known[ends]).sum())


def _marked(values: Floats64 | None, ends: Integers, closing: Integers) -> Flags | None:
    """Whether the last step or the row after it carries the flag."""
    if values is None:
        return None
    marked: Flags = (values[ends] == 1) | (values[closing] == 1)
    return marked
