"""What the served policy does in some states: one vectorised pass over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from batchrl.agents.model import PolicyModel
from batchrl.agents.target_policy import TargetPolicy
from batchrl.data.dataset import Flags, Floats32, Floats64, Integers
from batchrl.serving.parsing import ParsedRecords

# oneDNN compiles a product for every number of rows that it meets, and keeps a thousand of them in 250 MB.
ROWS_MULTIPLE = 32
Cell = TypeVar("Cell", bound=np.generic)
NOT_FINITE = "the policy's numbers are not finite for these features"


@dataclass(frozen=True)
class Predictions:
    """What is answered for some records.

    Args:
        probabilities: ``[n, A]``, of the target policy; rows of faulty records mean nothing.
        actions: ``[n]``, the most probable one; ties go to the first.
        values: ``[n]``, ``V(s) = sum_a pi(a|s) Q(s, a)`` in the rewards' units; None for an algorithm without values.
        masks: ``[n, A]``, the eligible actions that the data supports; None for a policy that acts without a mask.
        faults: what is wrong with a record, by its position.
    """

    probabilities: Floats64
    actions: Integers
    values: Floats32 | None
    masks: Flags | None
    faults: dict[int, str]

    def __len__(self) -> int:
        return len(self.actions)


@dataclass(frozen=True)
class Predictor:
    """A policy that is served.

    Args:
        model: preferences, values and mask.
        target: the target policy, the model's own or another one.
        action_names: ``A`` names, in the order of the actions.
    """

    model: PolicyModel
    target: TargetPolicy
    action_names: tuple[str, ...]

    @property
    def n_features(self) -> int:
        """Number of features of a state."""
        return self.model.n_features

    @property
    def n_actions(self) -> int:
        """Number of actions."""
        return self.model.n_actions

    def predict(self, records: ParsedRecords) -> Predictions:
        """The answers for some records with their faults; a record gets one here where its features overflow."""
        n = len(records)
        # What overflows is found afterwards, by its record.
        with np.errstate(over="ignore", invalid="ignore"):
            eligible = None if records.eligible is None else _filled_up(records.eligible, np.True_)
            decision = self.model.decide(_filled_up(records.states, np.float32(0)), self.target, eligible)
            probabilities, values = decision.probabilities[:n], None
            wrong = ~np.isfinite(probabilities).all(axis=1)
            if decision.values is not None:
                values = np.einsum("na,na->n", probabilities, decision.values[:n]).astype(np.float32)
                wrong |= ~np.isfinite(values)
        faults = dict(records.faults)
        if wrong.any():
            faults = dict.fromkeys(np.flatnonzero(wrong).tolist(), NOT_FINITE) | faults
        masks = None if decision.allowed is None else decision.allowed[:n]
        return Predictions(probabilities, probabilities.argmax(axis=1), values, masks, faults)


def _filled_up(rows: NDArray[Cell], value: Cell) -> NDArray[Cell]:
    """Rows ``[n, k]`` with rows of a value behind them, up to a multiple of ``ROWS_MULTIPLE`` where they are more."""
    missing = -len(rows) % ROWS_MULTIPLE
    if len(rows) < ROWS_MULTIPLE or not missing:
        return rows
    return np.concatenate([rows, np.full((missing, rows.shape[1]), value, dtype=rows.dtype)])
