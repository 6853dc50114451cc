"""Data files to rows, whose cells are read as they can be; what cannot be read is found, and told with all else.

``read_rows`` tries the fast ways first, and each block of rows goes to the columns that grow by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.data.actions import ActionColumn, NamedActions, named_actions
from batchrl.data.cells import flags, read_numbers
from batchrl.data.dataset import Floats32, Floats64, Integers
from batchrl.data.eligibility import Eligible, EligibleColumn, RaggedColumn
from batchrl.data.encoding import Kind
from batchrl.data.episodeids import EpisodeIds
from batchrl.data.features import Bounds, StateColumns, begins_with_text, found_kinds, said_kinds
from batchrl.data.findings import NOWHERE, Finding, Findings, Known
from batchrl.data.formats import TextOptions
from batchrl.data.locations import RowLocations
from batchrl.data.loggercolumn import LoggerColumn
from batchrl.data.mapping import Chosen, renamed
from batchrl.data.opening import CellOfAnotherType
from batchrl.data.probabilities import RIGHT_VECTOR
from batchrl.data.rows import Rows
from batchrl.data.storage import Storage
from batchrl.data.tables import Table, open_tables
from batchrl.data.timecolumn import PROBLEM, TimeColumn
from batchrl.data.vectors import VectorColumn, are_numbers
from presets.dataschema import DataSettings

# What is right as well where rows have different numbers of probabilities.
OF_THE_ELIGIBLE = (
    "; where only some actions could be taken, a column that lists them (data.columns.eligible), and a number for each"
)


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
    if any(table.format.kind != "csv" for table in tables) or begins_with_text(tables[0], supposed):
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
        of_loggers = [columns.LOGGER_PROPENSITY_PREFIX + name for name in chosen.of_loggers]
        named = (columns.REWARD, *chances, *weight, *of_loggers)
        scalars = [name for name in named if name != columns.ALL_ACTION_PROBABILITIES]
        vectors = [name for name in (*chances, *chosen.targets) if name != columns.PROPENSITY]
        self._numbers = {name: storage.column() for name in scalars}
        self._vectors = {name: VectorColumn(storage) for name in vectors}
        self._ragged = RaggedColumn(storage) if how.ragged else None
        if self._ragged is not None:
            del self._vectors[columns.ALL_ACTION_PROBABILITIES]
        self._eligible = EligibleColumn(storage) if chosen.eligible else None
        self._times = TimeColumn(storage) if chosen.time else None
        self._loggers = LoggerColumn(storage) if chosen.logger else None
        self._flags = {name: storage.column() for name in chosen.flags}
        self._episode = storage.column()
        self._ids = EpisodeIds(settings.episode_ids, self._places)
        self._rows = 0
        self._unequal = False
        self._findings = Findings()

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
        self._finish_vectors()
        probabilities = self._vectors.pop(columns.ALL_ACTION_PROBABILITIES, None)
        propensities = self._numbers.get(columns.PROPENSITY)
        all_chances = None if probabilities is None else probabilities.finish()
        # Where vectors differ in length, it is not known how many actions there are.
        width = None if all_chances is None or self._unequal else all_chances.shape[1]
        actions = self._named_actions(width)
        if all_chances is not None and self._unequal and all_chances.shape[1] != len(actions.names):
            all_chances = None
        eligible = self._of_eligible(actions, all_chances is not None)
        if self._ragged is not None and eligible is not None:
            all_chances, unequal = self._ragged.finish(eligible)
            self._add(*unequal)
        loggers: tuple[Any, tuple[str, ...]] = (None, ()) if self._loggers is None else self._loggers.finish()
        self._add(*self._ids.findings(), None if self._loggers is None else self._loggers.finding)
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
            dated=self._times is not None and self._times.dated,
            loggers=loggers[0],
            logger_names=loggers[1],
            logger_chances={
                name: self._numbers[columns.LOGGER_PROPENSITY_PREFIX + name].finish()
                for name in self._chosen.of_loggers
            },
            weights=None if (weight := self._numbers.get(columns.WEIGHT)) is None else weight.finish(),
            flags={name: column.finish() for name, column in self._flags.items()},
            targets={name: column.finish() for name, column in self._vectors.items()},
            episode=self._episode.finish(),
            episode_ids=self._ids.names,
            findings=self._findings.all(),
            notes=tuple(note for note in (actions.note, eligible and eligible.note) if note),
        )

    def _named_actions(self, width: int | None) -> NamedActions:
        """What the column of actions means, where there are ``width`` probabilities of all."""
        read = self._actions.finish()
        self._add(self._actions.finding)
        found = named_actions(read, self._settings.actions, width, self._places, self._chosen.entries)
        unread = Known(self._findings.all()).rows(columns.ACTION)
        # Of a column without any action it need not be said that each cell is none.
        self._add(*(finding for finding in found.findings if len(finding.rows) or len(unread) < self._rows))
        return found

    def _of_eligible(self, actions: NamedActions, all_probabilities: bool) -> Eligible | None:
        """What the lists of eligible actions mean; None where there are none, or the actions have no names."""
        if self._eligible is None or Known(self._findings.all()).everywhere(columns.ELIGIBLE):
            return None
        given, entries = self._settings.actions, self._chosen.entries
        named = given is not None or entries is not None or all_probabilities or self._ragged is not None
        found = self._eligible.finish(actions.names, named)
        spoils = () if self._ragged is None else (columns.ALL_ACTION_PROBABILITIES,)
        self._add(*(replace(finding, spoils=spoils) for finding in found.findings))
        return found

    def _finish_vectors(self) -> None:
        """Leave out columns without a vector, and say so."""
        unread = Known(self._findings.all())
        for name in [name for name, column in self._vectors.items() if column.width is None]:
            del self._vectors[name]
            problem = f"column '{self._places.called(name)}': every cell is empty"
            if not len(unread.rows(name)):
                self._add(Finding(problem, f"Right is: {RIGHT_VECTOR}.", NOWHERE, spoils=(name,)))

    def _take(self, table: Table, batch: pa.RecordBatch) -> None:
        ids = batch.column(columns.EPISODE_ID) if self._chosen.episode else None
        self._episode.append(self._ids.positions(table, ids, self._rows, batch.num_rows))
        no_action = self._actions.append(batch.column(columns.ACTION))
        self._note(columns.ACTION, "'{value}' is no action", "a name or an integer", no_action)
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
            timeless = self._times.append(batch.column(columns.TIME))
            self._note(columns.TIME, PROBLEM, self._times.right, timeless)
        self._take_vectors(batch)
        self._rows += batch.num_rows

    def _take_vectors(self, batch: pa.RecordBatch) -> None:
        grown = self._vectors | ({} if self._ragged is None else {columns.ALL_ACTION_PROBABILITIES: self._ragged})
        for name, vectors in grown.items():
            cells = batch.column(name)
            unread = vectors.append(cells)
            of_all = name == columns.ALL_ACTION_PROBABILITIES and self._ragged is None
            if unread and of_all and isinstance(vectors, VectorColumn) and vectors.width is None and are_numbers(cells):
                raise _OneNumber
            for kind in unread:
                unequal = of_all and kind.are_vectors
                self._unequal |= unequal
                if unequal and self._eligible is not None:
                    raise _Ragged
                right = f"{RIGHT_VECTOR}{OF_THE_ELIGIBLE if unequal else ''}"
                self._findings.note(name, kind.problem, right, self._rows + kind.positions, kind.kind)

    def _read_numbers(self, batch: pa.RecordBatch, name: str) -> Floats64:
        values, wrong = read_numbers(batch.column(name))
        self._note(name, "'{value}' is not a number", "one number", wrong)
        return values

    def _note(self, name: str, problem: str, right: str, wrong: Integers) -> None:
        """Keep what cannot be read, to be told with everything else that is wrong; ``wrong`` are rows of this batch."""
        self._findings.note(name, problem, right, self._rows + wrong)

    def _add(self, *findings: Finding | None) -> None:
        for finding in findings:
            if finding is not None:
                self._findings.add(finding)

    def _matrix(self, batch: pa.RecordBatch, names: Sequence[str]) -> Floats32 | Floats64:
        result = np.empty((batch.num_rows, len(names)), np.float64 if self._raw else np.float32)
        with np.errstate(over="ignore"):
            for number, (name, of_state) in enumerate(zip(names, self._chosen.states, strict=True)):
                values, wrong = self._columns.values(of_state, batch.column(name))
                self._note(name, *self._columns.words(of_state), wrong)
                result[:, number] = values
                if not self._raw:
                    self._bounds.note(number, values, result[:, number])
        return result
