"""How well an estimated logging policy fits the actions that were taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchrl.data.behaviour import mean_log_loss
from batchrl.data.dataset import Dataset, Floats64, Integers
from batchrl.data.storage import chunks

BINS = 10


@dataclass(frozen=True)
class CalibrationBin:
    """Estimated probabilities of a range, and how often those actions were taken.

    Args:
        lower, upper: the range.
        probabilities: how many there are in it, one for each action of each transition.
        mean_probability: their mean.
        taken: the share of them whose action was taken.
    """

    lower: float
    upper: float
    probabilities: int
    mean_probability: float
    taken: float


@dataclass(frozen=True)
class Overlap:
    """How much the log says about always taking one action.

    Args:
        action: its name.
        effective_transitions: ``(sum w)^2 / sum w^2`` with w the reciprocal estimated probabilities of the transitions
            that took it.
        share: of all transitions.
    """

    action: str
    effective_transitions: float
    share: float


@dataclass(frozen=True)
class EstimatedBehavior:
    """Figures of a logging policy that was estimated; each episode's probabilities are of a model that did not see it.

    Args:
        log_loss: mean of ``-log p`` of the taken actions, in nats.
        log_loss_of_shares: the same of the actions' shares in the log, alike in every state.
        calibration: by ranges of the probabilities, without empty ones.
        overlap: by action.
    """

    log_loss: float
    log_loss_of_shares: float
    calibration: tuple[CalibrationBin, ...]
    overlap: tuple[Overlap, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> EstimatedBehavior | None:
        """Of a data set; None where its probabilities were logged."""
        if dataset.estimated_on is None or dataset.behavior_policy is None:
            return None
        counts, sums, taken = np.zeros(BINS), np.zeros(BINS), np.zeros(BINS)
        weights, squares = np.zeros(dataset.n_actions), np.zeros(dataset.n_actions)
        for start, stop in chunks(dataset.n_transitions):
            chances, actions = dataset.behavior_policy[start:stop], dataset.actions[start:stop]
            places = _bin(chances).ravel()
            counts += np.bincount(places, minlength=BINS)
            sums += np.bincount(places, chances.ravel(), BINS)
            propensities = dataset.own_propensities[start:stop]
            taken += np.bincount(_bin(propensities), minlength=BINS)
            weights += np.bincount(actions, 1 / propensities, dataset.n_actions)
            squares += np.bincount(actions, 1 / propensities**2, dataset.n_actions)
        effective = np.divide(weights**2, squares, out=np.zeros_like(weights), where=squares > 0)
        return cls(
            *mean_log_loss(dataset),
            tuple(
                CalibrationBin(
                    number / BINS,
                    (number + 1) / BINS,
                    int(counts[number]),
                    float(sums[number] / counts[number]),
                    float(taken[number] / counts[number]),
                )
                for number in np.flatnonzero(counts).tolist()
            ),
            tuple(
                Overlap(name, float(rows), float(rows / dataset.n_transitions))
                for name, rows in zip(dataset.action_names, effective, strict=True)
            ),
        )


def _bin(chances: Floats64) -> Integers:
    return np.minimum((chances * BINS).astype(np.int64), BINS - 1)
