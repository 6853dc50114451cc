"""From rows that are checked to transitions, with the ends of their episodes.

=================================  =============================================================
the last step of an episode        its bootstrap
=================================  =============================================================
``terminal`` is 1, or no flags     none
cut short, next state known        the value of the next state (quirk 14)
cut short, next state unknown      none; counted in ``LoadedData.unknown_ends``
=================================  =============================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from batchrl.contract import columns
from batchrl.data.balancing import unlike_states, with_balanced_loggers
from batchrl.data.behaviour import with_estimated_behavior
from batchrl.data.contradictions import contradictions
from batchrl.data.copies import copies_of
from batchrl.data.dataset import Dataset, Flags, Floats32, Floats64, Integers
from batchrl.data.encoded import are_left, encoded, fitted
from batchrl.data.encoding import Encoding
from batchrl.data.layout import Chunk, Episodes, Layout
from batchrl.data.loggerchances import log_chances, own_chances
from batchrl.data.normalising import normalised
from batchrl.data.reading import read_rows
from batchrl.data.repairs import with_closing_rewards, with_one_spelling
from batchrl.data.rows import Rows
from batchrl.data.schemas import Schema, with_schema
from batchrl.data.soundness import Warned, sound
from batchrl.data.storage import Array, taken
from batchrl.data.thinning import thinned
from presets.dataschema import DataSettings


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
        notes: what was assumed or mended, and what became of columns that are no plain numbers, in words.
        doubts: what is odd about the data and may be meant.
        recorded: the earliest and the latest time of its steps, in seconds since 1970; None where no column has dates.
    """

    dataset: Dataset
    schema: Schema
    unknown_ends: int
    left_out: int
    target_policy: Floats64 | None = None
    target_q: Floats64 | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[Warned, ...] = ()
    recorded: tuple[float, float] | None = None


def load_dataset(
    path: Path,
    settings: DataSettings,
    with_targets: bool = False,
    encoding: Encoding | None = None,
    learnt_from: Callable[[Dataset], Integers] | None = None,
) -> LoadedData:
    """Read and check logged episodes.

    States that are no plain numbers are encoded: as an encoding says that is given, or as the episodes ask for that
    are learnt from.

    Args:
        path: a csv or Parquet file, or a folder of them.
        settings: the preset's section ``data``.
        with_targets: whether to read the columns of a policy to be scored, where the files have them.
        encoding: that a policy's training stored; its columns are read as it says.
        learnt_from: ``[m]``, the positions of the episodes that an encoding may be fitted on, of the dataset as it is
            before that; None for all.

    Raises:
        InputError: a column is empty in all of them; or names what is wrong by file, line, column and episode, and says
            what would be right.
    """
    checked = read_checked(path, settings, with_targets, encoding)
    rows, layout = checked.rows, checked.layout
    dataset = _transitions(rows, layout, checked.end_is_terminal)
    notes = (*rows.notes, *checked.notes)
    if rows.raw is not None:
        if encoding is None:
            used = np.arange(dataset.n_episodes, dtype=np.int64) if learnt_from is None else learnt_from(dataset)
            encoding = fitted(rows.raw, dataset, used)
        notes += (*encoding.notes, *encoding.unseen(rows.raw, np.asarray(dataset.states, np.float64)))
        dataset = encoded(rows, layout, dataset, encoding)
    loaded = LoadedData(
        dataset,
        checked.schema,
        int(checked.cut_unknown.sum()),
        left_out=checked.left_out,
        target_policy=_steps_of(rows, layout, rows.targets.get(columns.TARGET_ACTION_PROBABILITIES)),
        target_q=_steps_of(rows, layout, rows.targets.get(columns.TARGET_Q_VALUES)),
        notes=notes,
        doubts=checked.doubts,
        recorded=_recorded(rows, layout),
    )
    logged = rows.chances is not None or bool(rows.logger_chances)
    known = log_chances(rows, layout) if rows.logger_chances and settings.loggers == "balanced" else None
    return _balanced(_with_propensities(loaded, settings, logged), settings, known)


def _with_propensities(loaded: LoadedData, settings: DataSettings, logged: bool) -> LoadedData:
    """The same with estimated probabilities where none were logged, and a note on those that the actions contradict."""
    if logged:
        return replace(loaded, notes=(*contradictions(loaded.dataset), *loaded.notes))
    balanced = settings.loggers == "balanced"
    dataset, told = with_estimated_behavior(loaded.dataset, balanced, settings.behavior_model)
    return replace(loaded, dataset=dataset, notes=(told, *loaded.notes))


def _balanced(loaded: LoadedData, settings: DataSettings, log_chances: Floats64 | None) -> LoadedData:
    """The same with the mixture of its loggers, where that is wanted, and a warning where they met unlike states.

    Args:
        loaded: what was read.
        settings: the preset's section ``data``.
        log_chances: as of ``with_balanced_loggers``.
    """
    if settings.loggers != "balanced":
        return loaded
    dataset = loaded.dataset
    if dataset.mixture is None:
        dataset = with_balanced_loggers(dataset, log_chances)
    unlike = None if "unlike_loggers" in settings.accept else unlike_states(dataset)
    return replace(loaded, dataset=dataset, doubts=loaded.doubts if unlike is None else (*loaded.doubts, unlike))


@dataclass(frozen=True)
class CheckedRows:
    """Rows that passed every check.

    Args:
        rows: all rows of the files.
        layout: which of them are steps.
        schema: of the files.
        end_is_terminal: ``[n]``, whether nothing is bootstrapped after an episode.
        cut_unknown: ``[n]``, whether that is so because it was cut short without a known next state.
        notes: what was mended after reading, in words.
        doubts: see ``LoadedData``.
        left_out: see ``LoadedData``.
    """

    rows: Rows
    layout: Layout
    schema: Schema
    end_is_terminal: Flags
    cut_unknown: Flags
    notes: tuple[str, ...]
    doubts: tuple[Warned, ...]
    left_out: int


def read_checked(
    path: Path, settings: DataSettings, with_targets: bool = False, encoding: Encoding | None = None
) -> CheckedRows:
    """The rows behind ``load_dataset``, which see; their states are not encoded."""
    if encoding is not None:
        settings = settings.model_copy(update={"state_columns": encoding.columns})
    rows = read_rows(path, settings, with_targets, None if encoding is None else encoding.kinds)
    if "id_spellings" in settings.repair:
        rows = with_one_spelling(rows)
    episodes = Episodes.of(rows.episode, rows.times)
    rows, schema = with_schema(rows, episodes, settings.csv_schema)
    drop_last = schema == "A" or settings.legacy_drop_last
    layout = Layout.of(rows, episodes, drop_last, settings.max_transitions)
    if "duplicates" in settings.repair and len(copied := copies_of(rows, layout).rows):
        layout = Layout.of(rows, episodes.without(copied), drop_last, settings.max_transitions)
    if "closing_rewards" in settings.repair and schema == "A":
        rows = with_closing_rewards(rows, layout)
    # Coach marks the step before the dropped row as terminal, whatever the flags say (quirk 1).
    as_coach = settings.legacy_drop_last and schema == "B"
    doubts = sound(
        rows,
        layout,
        closes=schema == "A" and "closing_rewards" not in settings.repair,
        flags_matter=not as_coach,
        accepted=settings.accept,
    )
    notes = normalised(rows, layout)
    whole = len(layout.kept)
    layout, told = thinned(rows, layout)
    if settings.eligibility == "probabilities" and rows.probabilities is not None:
        rows = replace(rows, eligible=rows.probabilities > 0)
    ends, unknown = _ends(rows, layout, as_coach)
    left_out = len(layout.episodes.counts) - whole
    return CheckedRows(rows, layout, schema, ends, unknown, (*notes, *told), doubts, left_out)


def _ends(rows: Rows, layout: Layout, as_coach: bool) -> tuple[Flags, Flags]:
    """``[n]`` whether nothing is bootstrapped after an episode, and whether it was cut without a known next state."""
    steps = layout.last_steps
    known = rows.are_known(rows.states[layout.closing]) & layout.drop_last
    if rows.next_states is not None:
        known |= rows.are_known(rows.next_states[steps])
    over = _marked(rows, columns.TERMINAL, steps, layout.closing)
    cut = _marked(rows, columns.TRUNCATED, steps, layout.closing)
    if over is None and cut is not None:
        over = ~cut
    if over is None or as_coach:
        over = np.ones(len(steps), dtype=np.bool_)
    return over | ~known, ~over & ~known


def _recorded(rows: Rows, layout: Layout) -> tuple[float, float] | None:
    """The earliest and the latest time of the steps; None where they have no dates."""
    if rows.times is None or not rows.dated:
        return None
    first, last = np.inf, -np.inf
    for chunk in layout.chunks():
        moments = taken(rows.times, chunk.rows)
        first, last = min(first, float(np.fmin.reduce(moments))), max(last, float(np.fmax.reduce(moments)))
    return (first, last) if np.isfinite([first, last]).all() else None


def _marked(rows: Rows, name: str, ends: Integers, closing: Integers) -> Flags | None:
    """Whether the last step or the row after it carries the flag."""
    if name not in rows.flags:
        return None
    values = rows.flags[name]
    marked: Flags = (values[ends] == 1) | (values[closing] == 1)
    return marked


def _transitions(rows: Rows, layout: Layout, end_is_terminal: Flags) -> Dataset:
    """The steps; of raw states that follow each other, the next ones are left to ``encoded``: states stand for them."""
    n_steps, n_features = layout.n_steps, len(rows.state_columns)
    terminal = rows.storage.empty((n_steps,), np.bool_)
    actions = rows.storage.empty((n_steps,), np.int64)
    states = _steps_of(rows, layout, rows.states)
    rewards = _steps_of(rows, layout, rows.rewards)
    assert states is not None and rewards is not None
    next_states = states if are_left(rows) else rows.storage.empty((n_steps, n_features), rows.states.dtype)
    first_end = 0
    for chunk in layout.chunks():
        part = slice(chunk.start, chunk.stop)
        n_ends = int(chunk.is_end.sum())
        terminal[part] = False
        terminal[part][chunk.is_end] = end_is_terminal[first_end : first_end + n_ends]
        first_end += n_ends
        actions[part] = taken(rows.actions, chunk.rows)
        if next_states is not states:
            next_states[part] = _next_states(rows, layout, chunk, terminal[part])
    return Dataset(
        states=states,
        actions=actions,
        rewards=rewards,
        next_states=next_states,
        terminal=terminal,
        behavior_policy=_steps_of(rows, layout, rows.probabilities),
        offsets=layout.offsets,
        episode_ids=tuple(rows.episode_ids[episode] for episode in layout.kept),
        state_columns=rows.state_columns,
        action_names=rows.action_names,
        taken_propensities=_steps_of(rows, layout, _propensities(rows)),
        loggers=None if rows.loggers is None else taken(rows.loggers, layout.first_steps),
        logger_names=rows.logger_names,
        eligible=_steps_of(rows, layout, rows.eligible),
    )


def _propensities(rows: Rows) -> Floats64 | None:
    """``[M]``, the probabilities of the taken actions, where those of all actions were not logged."""
    if rows.chances is None and rows.logger_chances:
        return own_chances(rows)
    return rows.propensities


def _next_states(rows: Rows, layout: Layout, chunk: Chunk, terminal: Flags) -> Floats32 | Floats64:
    """``[m, d]``; a terminal transition's is its own state, for it means nothing."""
    result = states_after(rows, layout, chunk)
    result[terminal] = rows.states[chunk.numbers[terminal]]
    return result


def states_after(rows: Rows, layout: Layout, chunk: Chunk) -> Floats32 | Floats64:
    """``[m, d]``, the state after each step; it means nothing after a last step whose next state is not known."""
    following = np.minimum(chunk.positions + 1, layout.episodes.n_rows - 1)
    result: Floats32 | Floats64 = taken(rows.states, layout.episodes.rows(following))
    if rows.next_states is not None:
        given = taken(rows.next_states, chunk.rows)
        whole = rows.are_known(given)
        result[whole] = given[whole]
    return result


def _steps_of(rows: Rows, layout: Layout, values: Array | None) -> Array | None:
    """The values of the steps, in their order; those of the files themselves where that is their order."""
    if values is None:
        return None
    if layout.as_in_files:
        return values[: layout.n_steps]
    result = rows.storage.empty((layout.n_steps, *values.shape[1:]), values.dtype)
    for chunk in layout.chunks():
        result[chunk.start : chunk.stop] = taken(values, chunk.rows)
    return result
