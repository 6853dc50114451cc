"""Which column of the files is which: the names that the settings give, else batchrl's own."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.data.encoding import Kind
from batchrl.data.onehot import columns_meant, is_several, names_of
from batchrl.data.tables import Table
from presets.dataschema import ColumnSettings, DataSettings

FLAGS = (columns.TERMINAL, columns.TRUNCATED)
TARGETS = (columns.TARGET_ACTION_PROBABILITIES, columns.TARGET_Q_VALUES)
# The settings of ``data.columns`` and the columns that they name.
SETTINGS = {
    "episode": columns.EPISODE_ID,
    "time": columns.TIME,
    "action": columns.ACTION,
    "reward": columns.REWARD,
    "propensity": columns.PROPENSITY,
    "probabilities": columns.ALL_ACTION_PROBABILITIES,
    "eligible": columns.ELIGIBLE,
    "terminal": columns.TERMINAL,
    "truncated": columns.TRUNCATED,
    "logger": columns.LOGGER,
    "weight": columns.WEIGHT,
}
_SETTING_OF = {name: f"data.columns.{setting}" for setting, name in SETTINGS.items()}
# A policy's own description may name what another log has none of.
_WITHOUT = {
    columns.LOGGER: "For a log of one policy, a file given by --data-spec says {columns: {logger: null}, loggers: "
    "separate}.",
    columns.WEIGHT: "For a log that kept all alike, a file given by --data-spec says {columns: {weight: null}}.",
}
_OF_EACH_ACTION = (
    "Name the column of the action; or, where each action has a column of 0 and 1, all of these: by a pattern such as "
    "action_*, or as a list."
)
_OF_EACH_LOGGER = (
    "Name a column for each policy that logged, with its probability of the action taken: by a pattern such as p_*, or "
    "as a list. Where only that of the policy that acted is known, it is data.columns.propensity."
)
_NUMBERED = re.compile(rf"{columns.STATE_FEATURE_PREFIX}(\d+)")
_CODED_TEXT = pa.dictionary(pa.int32(), pa.string())


def renamed(table: Table, settings: ColumnSettings) -> Table:
    """A file whose columns go by batchrl's names, where the settings say which is which.

    Raises:
        InputError: the file has no column of a name that the settings give.
    """
    given: dict[str, str | Sequence[str] | None] = {
        name: getattr(settings, setting) for setting, name in SETTINGS.items()
    }
    if several := is_several(settings.action, table.names):
        del given[columns.ACTION]
    named = {name: called for name, called in given.items() if isinstance(called, str)}
    for name, called in named.items():
        if called not in table.names:
            error = _missing(table, called, _SETTING_OF[name])
            raise InputError(error.message, f"{error.hint} {_WITHOUT[name]}") if name in _WITHOUT else error
    if settings.logger_propensities is not None:
        parts = _parts(table, settings.logger_propensities, "data.columns.logger_propensities", _OF_EACH_LOGGER)
        loggers = names_of([part.strip() for part in parts], settings.logger_propensities)
        named |= {columns.LOGGER_PROPENSITY_PREFIX + name: part for name, part in zip(loggers, parts, strict=True)}
    found = table.with_names(named)
    if not several:
        return found
    parts = _parts(table, settings.action or (), _SETTING_OF[columns.ACTION], _OF_EACH_ACTION)
    return found.with_vectors(columns.ACTION, parts, table)


def _parts(table: Table, named: str | Sequence[str], setting: str, advice: str) -> tuple[str, ...]:
    """The columns that a file has for its actions, or its loggers, one for each.

    Raises:
        InputError: one is missing, or a pattern fits less than two.
    """
    own = [name for name in table.names if name not in table.constants]
    parts = columns_meant(named, own)
    for name in parts:
        if name not in own:
            raise _missing(table, name, setting)
    if len(parts) < 2:
        fits = f"'{parts[0]}' alone" if parts else "no column"
        raise InputError(
            f"{table.path}: {setting} is '{named}', which fits {fits}; the file has {', '.join(table.names)}.", advice
        )
    return parts


@dataclass(frozen=True)
class Chosen:
    """The columns to be read, by batchrl's names; see ``batchrl.data.rows.Rows``.

    Args:
        states: of the state.
        next_states: of the state after the step; empty where there are none.
        flags: of the ends of episodes.
        targets: of a policy to be scored.
        chances: ``all_action_probabilities`` or ``propensity``; None where no probabilities were logged.
        episode: whether there is an id.
        time: whether there is a time.
        logger: whether the rows say which policy logged them.
        weight: whether the rows say how many episodes theirs stands for.
        eligible: whether there are lists of eligible actions.
        of_loggers: the policies of which there are probabilities of the action taken, a column each.
        entries: what the actions are called that have a column each; None where one column holds the actions.
    """

    states: tuple[str, ...]
    next_states: tuple[str, ...]
    flags: tuple[str, ...]
    targets: tuple[str, ...]
    chances: str | None
    episode: bool
    time: bool
    eligible: bool
    logger: bool = False
    weight: bool = False
    of_loggers: tuple[str, ...] = ()
    entries: tuple[str, ...] | None = None

    @classmethod
    def of(cls, tables: Sequence[Table], settings: DataSettings, with_targets: bool) -> Chosen:
        """What the settings name and the files have.

        Args:
            tables: the files, ``renamed``.
            settings: the preset's section ``data``.
            with_targets: whether the columns of a policy to be scored are wanted.

        Raises:
            InputError: a file lacks one of the columns, or has other ones than the first.
        """
        first = tables[0]
        states = _state_columns(first, settings.state_columns)
        there = [name for name in (*FLAGS, *(TARGETS if with_targets else ())) if name in first.names]
        result = cls(
            states,
            _next_state_columns(first, states, settings),
            tuple(name for name in there if name in FLAGS),
            tuple(name for name in there if name in TARGETS),
            _chances(first, settings),
            episode=settings.episode_ids != "per_row" or columns.EPISODE_ID in first.names,
            # A file may call something else "time", "logger" or "weight": only settings ask for them.
            time=settings.columns.time is not None,
            logger=settings.columns.logger is not None,
            weight=settings.columns.weight is not None,
            of_loggers=_loggers_of(first, settings),
            eligible=settings.eligibility == "listed" and columns.ELIGIBLE in first.names,
            entries=_entries(first, settings.columns.action),
        )
        for table in tables:
            if _entries(table, settings.columns.action) != result.entries:
                raise InputError(
                    f"{table.path}: its columns of actions ({table.names[columns.ACTION]}) differ from those of "
                    f"{first.path} ({first.names[columns.ACTION]}).",
                    "Give all files a column for each action.",
                )
            if (loggers := _loggers_of(table, settings)) != result.of_loggers:
                raise InputError(
                    f"{table.path}: its columns of loggers' probabilities are those of {', '.join(loggers)}, and those "
                    f"of {first.path} of {', '.join(result.of_loggers)}.",
                    "Give all files a column for each policy that logged.",
                )
            _check_columns(table, result.names)
            if settings.state_columns is None and _state_columns(table, None) != states:
                raise InputError(f"{table.path}: its state columns differ from those of {first.path}.")
        return result

    @property
    def required(self) -> tuple[str, ...]:
        """Columns without which a row says nothing."""
        chances = () if self.chances is None else (self.chances,)
        return (columns.ACTION, *chances, *((columns.EPISODE_ID,) if self.episode else ()), columns.REWARD)

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, each once."""
        wanted = {columns.TIME: self.time, columns.ELIGIBLE: self.eligible, columns.LOGGER: self.logger}
        wanted[columns.WEIGHT] = self.weight
        asked = [name for name, there in wanted.items() if there]
        asked += [columns.LOGGER_PROPENSITY_PREFIX + name for name in self.of_loggers]
        every = (*self.required, *asked, *self.states, *self.next_states, *self.flags, *self.targets)
        return tuple(dict.fromkeys(every))

    def types(self, as_text: bool, kinds: Mapping[str, Kind]) -> dict[str, pa.DataType | None]:
        """How a CSV is to be read, whose state's columns are of some kinds; None: as it looks."""
        special: dict[str, pa.DataType | None] = dict.fromkeys(
            (columns.EPISODE_ID, columns.LOGGER, *self.flags), _CODED_TEXT
        )
        special |= dict.fromkeys((columns.ALL_ACTION_PROBABILITIES, *self.targets), pa.large_string())
        special |= {columns.ACTION: _CODED_TEXT} if as_text else {}
        special |= {columns.TIME: pa.string() if as_text else None, columns.ELIGIBLE: _CODED_TEXT}
        following = self.next_states or (None,) * len(self.states)
        for name, after in zip(self.states, following, strict=True):
            if kinds[name] != "number":
                special |= dict.fromkeys(
                    (name, after or name), _CODED_TEXT if kinds[name] == "category" else pa.string()
                )
        return {name: special.get(name, pa.string() if as_text else pa.float64()) for name in self.names}


def _entries(table: Table, named: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """What the actions of a file are called that have a column each."""
    parts = table.vectors.get(columns.ACTION)
    return None if parts is None else names_of([part.strip() for part in parts], named)


def _loggers_of(table: Table, settings: DataSettings) -> tuple[str, ...]:
    """The policies of which a file that is ``renamed`` has a column of probabilities."""
    if settings.columns.logger_propensities is None:
        return ()
    prefix = columns.LOGGER_PROPENSITY_PREFIX
    return tuple(name.removeprefix(prefix) for name in table.names if name.startswith(prefix))


def _chances(table: Table, settings: DataSettings) -> str | None:
    """Of probabilities of all actions and of the taken one, what the settings name, else what is there."""
    known = (columns.ALL_ACTION_PROBABILITIES, columns.PROPENSITY)
    found = next((name for name in known if name in table.names), None)
    if settings.propensities == "estimated":
        found = None
    elif settings.columns.probabilities is None and settings.columns.propensity is not None:
        found = columns.PROPENSITY
    if found is None and settings.propensities == "logged" and settings.columns.logger_propensities is None:
        raise InputError(
            f"{table.path}: there is no column {' or '.join(known)}, and data.propensities is logged; "
            f"the file has {', '.join(table.names)}.",
            "Say what the column is called (data.columns.propensity or data.columns.probabilities), or set "
            "data.propensities to auto: a logging policy is estimated.",
        )
    if found != columns.ALL_ACTION_PROBABILITIES and settings.eligibility == "probabilities":
        raise InputError(
            f"{table.path}: data.eligibility is probabilities, but those of all actions are not read.",
            "Say which column holds them: data.columns.probabilities; or which lists the eligible actions: "
            "data.columns.eligible, with data.eligibility=listed.",
        )
    return found


def _state_columns(table: Table, chosen: Sequence[str] | None) -> tuple[str, ...]:
    if chosen is not None:
        return tuple(chosen)
    found = [name for name in table.names if name.startswith(columns.STATE_FEATURE_PREFIX)]
    if not found:
        raise InputError(
            f"{table.path}: no column starts with '{columns.STATE_FEATURE_PREFIX}'; "
            f"its columns are {', '.join(table.names)}.",
            "Say which are the state's: data.state_columns; `batchrl data init` proposes a whole description. Or name "
            "them state_feature_0, state_feature_1, ...",
        )

    def order(name: str) -> tuple[int, int, str]:
        match = _NUMBERED.fullmatch(name)
        return (0, int(match[1]), name) if match else (1, 0, name)

    return tuple(sorted(found, key=order))


def _next_state_columns(table: Table, states: Sequence[str], settings: DataSettings) -> tuple[str, ...]:
    if settings.next_state_columns is not None:
        if len(settings.next_state_columns) != len(states):
            raise InputError(
                f"data.next_state_columns names {len(settings.next_state_columns)} columns, but the state has "
                f"{len(states)}: {', '.join(states)}.",
                "Name one for each, in the same order.",
            )
        return tuple(settings.next_state_columns)
    following = tuple(name.replace(columns.STATE_FEATURE_PREFIX, columns.NEXT_STATE_FEATURE_PREFIX) for name in states)
    numbered = all(name.startswith(columns.STATE_FEATURE_PREFIX) for name in states)
    return following if numbered and all(name in table.names for name in following) else ()


def _check_columns(table: Table, needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in table.names]
    if not missing:
        return
    if len(missing) == 1 and missing[0] not in _SETTING_OF:
        raise _missing(table, missing[0], "the columns of the state")
    which = ", ".join(_SETTING_OF[name] for name in missing if name in _SETTING_OF)
    raise InputError(
        f"{table.path}: column {', '.join(repr(name) for name in missing)} is missing; "
        f"the file has {', '.join(table.names)}.",
        f"Say what it is called there: {which}." if which else "A data file needs the columns of the state.",
    )


def _missing(table: Table, name: str, wanted_by: str) -> InputError:
    near = difflib.get_close_matches(name, table.names, n=1)
    meant = f"Did you mean '{near[0]}'? " if near else ""
    return InputError(
        f"{table.path}: column '{name}' is missing, which is named by {wanted_by}.",
        f"{meant}The file has {', '.join(table.names)}.",
    )
