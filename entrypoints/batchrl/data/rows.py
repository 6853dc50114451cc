"""The rows of all files as arrays, with the way back to file, line, column and episode for messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.data.actions import ActionColumn, named_actions
from batchrl.data.cells import Bytes, flags, read_numbers, times
from batchrl.data.dataset import Flags, Floats32, Floats64, Integers
from batchrl.data.eligibility import EligibleColumn, RaggedColumn
from batchrl.data.encoding import Kind, RawColumn
from batchrl.data.episodeids import EpisodeIds
from batchrl.data.features import Bounds, StateColumns, found_kinds, said_kinds
from batchrl.data.findings import Finding, refuse_all
from batchrl.data.formats import TextOptions
from batchrl.data.locations import RowLocations
from batchrl.data.loggercolumn import LoggerColumn
from batchrl.data.mapping import Chosen, renamed
from batchrl.data.opening import CellOfAnotherType
from batchrl.data.probabilities import RIGHT_VECTOR, UnequalLengths, UnreadableProbabilities
from batchrl.data.storage import Storage
from batchrl.data.tables import Table, open_tables
from batchrl.data.vectors import VectorColumn
from presets.dataschema import DataSettings

# What is right as well where rows have different numbers of probabilities.
OF_THE_ELIGIBLE = (
    "; where only some actions could be taken, a column that lists them (data.columns.eligible), and a number for each"
)


@dataclass(frozen=True)
class Rows:
    """M rows in the order of the files.

    Args:
        places: the way back to the files.
        storage: where the arrays lie.
        state_columns: ``d`` names.
        next_state_columns: ``d`` names; empty where the files have no such columns.
        states: ``[M, d]``; raw ones, float64, where ``raw`` says what they are.
        next_states: ``[M, d]``, ``nan`` in empty cells, or None where the files have no such columns.
        raw: ``d`` columns, of which some are no numbers, have empty cells, or numbers that float32 cannot tell apart;
            None where all of them are numbers that networks take as they are.
        actions: ``[M]``, positions among ``action_names``, ``nan`` in empty cells; or a number that is none.
        action_names: ``A`` names.
        rewards: ``[M]``, ``nan`` in empty cells.
        probabilities: ``[M, A]``, ``nan`` in rows where the cell is empty; None where they were not logged.
        propensities: ``[M]``, that of the taken action, ``nan`` in empty cells; None where they were not logged.
        eligible: ``[M, A]``, whether each action could be taken, all false in empty cells; None: every action could.
        times: ``[M]``, by which the rows of an episode are sorted, ``nan`` in empty cells; None: as they stand.
        loggers: ``[M]``, positions among ``logger_names`` of the policy that logged the row, -1 in empty cells; None:
            one policy logged all rows.
        logger_names: sorted.
        weights: ``[M]``, how many episodes the row's one stands for, ``nan`` in empty cells; None: each for itself.
        flags: ``[M]`` of 0, 1 and ``UNKNOWN`` for each of ``terminal`` and ``truncated`` that the files have.
        targets: ``[M, A]`` for each column of a policy to be scored that was asked for and that the files have.
        episode: ``[M]``, position of the row's episode among ``episode_ids``.
        episode_ids: ids in order of first appearance, as text.
        findings: cells that could not be read; they are ``nan``.
        notes: what was assumed, in words.
    """

    places: RowLocations
    storage: Storage
    state_columns: tuple[str, ...]
    next_state_columns: tuple[str, ...]
    states: Floats32 | Floats64
    next_states: Floats32 | Floats64 | None
    raw: tuple[RawColumn, ...] | None
    actions: Floats64
    action_names: tuple[str, ...]
    rewards: Floats64
    probabilities: Floats64 | None
    propensities: Floats64 | None
    eligible: Flags | None
    times: Floats64 | None
    loggers: Integers | None
    logger_names: tuple[str, ...]
    weights: Floats64 | None
    flags: dict[str, Bytes]
    targets: dict[str, Floats64]
    episode: Integers
    episode_ids: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def n_actions(self) -> int:
        """Number of actions."""
        return len(self.action_names)

    def are_known(self, states: Floats32 | Floats64) -> Flags:
        """Whether each of the next states ``[m, d]`` was logged; of raw ones some cells may be empty."""
        empty = np.isnan(states)
        return np.asarray(~(empty.any(axis=1) if self.raw is None else empty.all(axis=1)))

    def require_plain(self, wanted_by: str) -> None:
        """Refuse states that are no plain numbers, where nothing else can be written.

        Raises:
            InputError: they are raw.
        """
        if self.raw is not None:
            raise InputError(
                f"{wanted_by} writes states of plain numbers, but some of {', '.join(self.state_columns)} are "
                "categories, dates, have empty cells, or are beyond float32.",
                "Name the columns that are plain numbers in data.state_columns.",
            )

    @property
    def chances_column(self) -> str:
        """Our name of the column with the logged probabilities."""
        return columns.PROPENSITY if self.probabilities is None else columns.ALL_ACTION_PROBABILITIES

    @property
    def chances(self) -> Floats64 | None:
        """``[M, A]`` or ``[M]``, what that column holds; None where no probabilities were logged."""
        return self.propensities if self.probabilities is None else self.probabilities


def read_rows(
    path: Path, settings: DataSettings, with_targets: bool = False, kinds: Mapping[str, Kind] | None = None
) -> Rows:
    """Read the data files at a path.

    Args:
        path: a file, or a folder of files with the same columns.
        settings: the preset's section ``data``: what the columns are called, and where the arrays lie.
        with_targets: whether to read the columns of a policy to be scored.
        kinds: of all columns of the state, which are then raw; None: as the settings say, or the files look.

    Raises:
        InputError: a file cannot be read, columns are missing or differ, a cell is no number, or an id occurs in two
            files where that is not wanted.
    """
    text = TextOptions(settings.separator, settings.decimal, settings.encoding)
    tables = [renamed(table, settings.columns) for table in open_tables(path, text)]
    chosen = Chosen.of(tables, settings, with_targets)
    said = said_kinds(chosen.states, settings) if kinds is None else {name: kinds[name] for name in chosen.states}
    supposed: dict[str, Kind] = {name: said.get(name, "number") for name in chosen.states}
    if any(table.format.kind != "csv" for table in tables):
        supposed = found_kinds(tables, chosen.states, said)
    try:
        return _of_kinds(tables, chosen, settings, supposed, raw=kinds is not None)
    except CellOfAnotherType:
        pass
    found = found_kinds(tables, chosen.states, said)
    if found != supposed:
        try:
            return _of_kinds(tables, chosen, settings, found, raw=True)
        except CellOfAnotherType:
            pass
    # Text takes longer to read, but each cell can be looked at, and Arrow refuses some numbers, such as +1.5.
    return _of_kinds(tables, chosen, settings, found, raw=kinds is not None, as_text=True)


def _of_kinds(
    tables: Sequence[Table],
    chosen: Chosen,
    settings: DataSettings,
    kinds: Mapping[str, Kind],
    raw: bool,
    as_text: bool = False,
) -> Rows:
    """The rows with columns of some kinds; raw where they must be, which may show while they are read."""
    if not raw and all(kind == "number" for kind in kinds.values()):
        try:
            return _read(tables, chosen, settings, _How(as_text, kinds, raw=False))
        except _MustBeRaw:
            pass
    return _read(tables, chosen, settings, _How(as_text, kinds, raw=True))


@dataclass(frozen=True)
class _How:
    """How files are read: whether as text, the kinds of the state's columns, whether they stay raw, and whether there
    are probabilities of the eligible actions alone.
    """

    as_text: bool
    kinds: Mapping[str, Kind]
    raw: bool
    ragged: bool = False


def _read(tables: Sequence[Table], chosen: Chosen, settings: DataSettings, how: _How) -> Rows:
    try:
        return _Reading(chosen, settings, how).read(tables)
    except _Ragged:
        return _Reading(chosen, settings, replace(how, ragged=True)).read(tables)
    except _OneNumber:
        # The column of all probabilities holds one number a row: that of the taken action.
        called = tables[0].names[columns.ALL_ACTION_PROBABILITIES].strip()
        note = f"'{called}' holds one number a row: it is taken for the taken action's probability"
        tables = [table.with_names({columns.PROPENSITY: columns.ALL_ACTION_PROBABILITIES}) for table in tables]
        rows = _Reading(replace(chosen, chances=columns.PROPENSITY), settings, how).read(tables)
        return replace(rows, notes=(note, *rows.notes))


class _Ragged(Exception):
    """Rows have different numbers of probabilities, as their lists of eligible actions have of actions."""


class _MustBeRaw(Exception):
    """Numbers are missing, or are such that float32 cannot tell them apart."""


class _OneNumber(Exception):
    """A column of vectors begins with a number."""


class _Reading:
    """One pass over the files."""

    def __init__(self, chosen: Chosen, settings: DataSettings, how: _How) -> None:
        self._chosen = chosen
        self._settings = settings
        self._types = chosen.types(how.as_text, how.kinds)
        self._columns = StateColumns(how.kinds)
        self._raw = how.raw
        self._bounds = Bounds(len(chosen.states))
        storage = self._storage = Storage(settings.storage)
        self._places = RowLocations(chosen.names)
        self._states = storage.column()
        self._next_states = storage.column() if chosen.next_states else None
        self._actions = ActionColumn(storage)
        chances = () if chosen.chances is None else (chosen.chances,)
        weight = (columns.WEIGHT,) if chosen.weight else ()
        scalars = [name for name in (columns.REWARD, *chances, *weight) if name != columns.ALL_ACTION_PROBABILITIES]
        vectors = [name for name in (*chances, *chosen.targets) if name != columns.PROPENSITY]
        self._numbers = {name: storage.column() for name in scalars}
        self._vectors = {name: VectorColumn(storage) for name in vectors}
        self._ragged = RaggedColumn(storage) if how.ragged else None
        if self._ragged is not None:
            del self._vectors[columns.ALL_ACTION_PROBABILITIES]
        self._eligible = EligibleColumn(storage) if chosen.eligible else None
        self._times = storage.column() if chosen.time else None
        self._loggers = LoggerColumn(storage) if chosen.logger else None
        self._flags = {name: storage.column() for name in chosen.flags}
        self._episode = storage.column()
        self._ids = EpisodeIds(settings.episode_ids, self._places)
        self._rows = 0
        self._findings: list[Finding] = []

    def read(self, tables: Sequence[Table]) -> Rows:
        for table in tables:
            start = self._rows
            self._places.begin(table, start)
            self._ids.begin()
            for batch in table.batches(self._types):
                if batch.num_rows:
                    self._take(table, batch)
            if self._rows == start:
                raise InputError(f"{table.path}: the file has a header but no rows.", "Log at least two episodes.")
        if not self._raw and self._bounds.merge_values:
            raise _MustBeRaw
        for name, column in self._vectors.items():
            if column.width is None:
                raise InputError(
                    f"{tables[0].path}, column '{name}': every cell is empty.",
                    "Right is: one number for each action, as [0.5, 0.5].",
                )
        probabilities = self._vectors.pop(columns.ALL_ACTION_PROBABILITIES, None)
        propensities = self._numbers.get(columns.PROPENSITY)
        all_chances = None if probabilities is None else probabilities.finish()
        width = None if all_chances is None else all_chances.shape[1]
        loggers = (None, ()) if self._loggers is None else self._loggers.finish()
        given, entries = self._settings.actions, self._chosen.entries
        actions = named_actions(self._actions.finish(), given, width, self._places, entries)
        eligible = None
        if self._eligible is not None:
            named = (given, entries, width, self._ragged) != (None,) * 4
            eligible = self._eligible.finish(actions.names, named, self._places)
            if self._ragged is not None:
                all_chances = self._ragged.finish(eligible, self._places)
        return Rows(
            places=self._places,
            storage=self._storage,
            state_columns=self._chosen.states,
            next_state_columns=self._chosen.next_states,
            states=self._states.finish(),
            next_states=None if self._next_states is None else self._next_states.finish(),
            raw=self._columns.columns() if self._raw else None,
            actions=actions.codes,
            action_names=actions.names,
            rewards=self._numbers[columns.REWARD].finish(),
            probabilities=all_chances,
            propensities=None if propensities is None else propensities.finish(),
            eligible=None if eligible is None else eligible.flags,
            times=None if self._times is None else self._times.finish(),
            loggers=loggers[0],
            logger_names=loggers[1],
            weights=None if (weight := self._numbers.get(columns.WEIGHT)) is None else weight.finish(),
            flags={name: column.finish() for name, column in self._flags.items()},
            targets={name: column.finish() for name, column in self._vectors.items()},
            episode=self._episode.finish(),
            episode_ids=self._ids.names,
            findings=tuple(self._findings),
            notes=tuple(note for note in (actions.note, eligible and eligible.note) if note),
        )

    def _take(self, table: Table, batch: pa.RecordBatch) -> None:
        ids = batch.column(columns.EPISODE_ID) if self._chosen.episode else None
        self._episode.append(self._ids.positions(table, ids, self._rows, batch.num_rows))
        self._actions.append(batch.column(columns.ACTION))
        if self._loggers is not None:
            self._loggers.append(batch.column(columns.LOGGER))
        if self._eligible is not None:
            self._eligible.append(batch.column(columns.ELIGIBLE))
        states = self._matrix(batch, self._chosen.states)
        if not self._raw and np.isnan(states).any():
            raise _MustBeRaw
        self._states.append(states)
        if self._next_states is not None:
            self._next_states.append(self._matrix(batch, self._chosen.next_states))
        for name, column in self._numbers.items():
            column.append(self._read_numbers(batch, name))
        for name, column in self._flags.items():
            values, wrong = flags(batch.column(name))
            self._note(name, "{value} is no flag", "0 or 1", wrong)
            column.append(values)
        if self._times is not None:
            when, timeless = times(batch.column(columns.TIME))
            if timeless is not None:
                right = "a number, or a date as 2026-11-30 or 2026-11-30T08:00:00Z"
                raise self._places.refuse(self._rows + timeless, columns.TIME, "'{value}' is no time", right)
            self._times.append(when)
        self._take_vectors(batch)
        self._rows += batch.num_rows

    def _take_vectors(self, batch: pa.RecordBatch) -> None:
        grown = self._vectors | ({} if self._ragged is None else {columns.ALL_ACTION_PROBABILITIES: self._ragged})
        for name, vectors in grown.items():
            try:
                vectors.append(batch.column(name))
            except UnreadableProbabilities as error:
                of_all = name == columns.ALL_ACTION_PROBABILITIES and self._ragged is None
                if of_all and isinstance(vectors, VectorColumn) and vectors.width is None and error.are_numbers:
                    raise _OneNumber from None
                unequal = of_all and isinstance(error, UnequalLengths)
                if unequal and self._eligible is not None:
                    raise _Ragged from None
                right = f"{RIGHT_VECTOR}{OF_THE_ELIGIBLE if unequal else ''}"
                self._note(name, error.problem, right, np.array([error.position]))
                refuse_all(self._findings, self._places)

    def _read_numbers(self, batch: pa.RecordBatch, name: str) -> Floats64:
        values, wrong = read_numbers(batch.column(name))
        self._note(name, "'{value}' is not a number", "one number", wrong)
        return values

    def _note(self, name: str, problem: str, right: str, wrong: Integers) -> None:
        """Keep what cannot be read, to be told with everything else that is wrong; ``wrong`` are rows of this batch."""
        if not len(wrong):
            return
        found = self._rows + wrong
        for number, known in enumerate(self._findings):
            if (known.column, known.problem) == (name, problem):
                self._findings[number] = replace(known, rows=np.concatenate([known.rows, found]))
                return
        self._findings.append(Finding(problem, f"Right is: {right}.", found, name))

    def _matrix(self, batch: pa.RecordBatch, names: Sequence[str]) -> Floats32 | Floats64:
        result = np.empty((batch.num_rows, len(names)), np.float64 if self._raw else np.float32)
        with np.errstate(over="ignore"):
            for number, (name, of_state) in enumerate(zip(names, self._chosen.states, strict=True)):
                values, wrong = self._columns.values(of_state, batch.column(name))
                if wrong is not None:
                    self._note(name, *self._columns.words(of_state), np.array([wrong]))
                    refuse_all(self._findings, self._places)
                result[:, number] = values
                if not self._raw:
                    self._bounds.note(number, values, result[:, number])
        return result
