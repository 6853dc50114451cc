"""The rows of all files as arrays, with the way back to file, line, column and episode for messages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.data.cells import Bytes
from batchrl.data.dataset import Flags, Floats32, Floats64, Integers
from batchrl.data.encoding import RawColumn
from batchrl.data.findings import Finding, Known
from batchrl.data.locations import RowLocations
from batchrl.data.storage import Storage


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
        dated: whether these are dates, in seconds since 1970; else they number the steps.
        loggers: ``[M]``, positions among ``logger_names`` of the policy that logged the row, -1 in empty cells; None:
            one policy logged all rows.
        logger_names: sorted.
        logger_chances: ``[M]`` for each policy that logged, its probability of the taken action, ``nan`` in empty
            cells; none where no columns of them were named.
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
    dated: bool
    loggers: Integers | None
    logger_names: tuple[str, ...]
    logger_chances: dict[str, Floats64]
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

    @property
    def unsettled(self) -> Flags | None:
        """``[M]``, whether the place of a row among those of its episode is not known; None where all are.

        That is so of episodes of which a row's time or id cannot be read, and of those next to a row without an id,
        which may be theirs.
        """
        known = Known(self.findings)
        nameless = known.rows(columns.EPISODE_ID)
        wrong = np.concatenate([known.rows(columns.TIME), nameless, nameless - 1, nameless + 1])
        if not len(wrong):
            return None
        wrong = wrong[(wrong >= 0) & (wrong < len(self.episode))]
        flags = np.zeros(len(self.episode_ids), np.bool_)
        flags[self.episode[wrong]] = True
        result: Flags = flags[self.episode]
        return result
