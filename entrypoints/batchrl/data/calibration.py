"""How well an estimated logging policy fits the actions that were taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchrl.data.behaviour_fit import CalibrationBin, LoggerFit, calibration_curve, in_ranges
from batchrl.data.dataset import Dataset
from batchrl.data.storage import chunks


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
        calibration_before: the same before temperatures were applied; None where none was.
        overlap: by action.
        loggers: which models, and how they were calibrated.
    """

    log_loss: float
    log_loss_of_shares: float
    calibration: tuple[CalibrationBin, ...]
    calibration_before: tuple[CalibrationBin, ...] | None
    overlap: tuple[Overlap, ...]
    loggers: tuple[LoggerFit, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> EstimatedBehavior | None:
        """Of a data set; None where its probabilities were logged."""
        if dataset.estimated_on is None or dataset.behavior_policy is None:
            return None
        weights, squares = np.zeros(dataset.n_actions), np.zeros(dataset.n_actions)
        for start, stop in chunks(dataset.n_transitions):
            actions, propensities = dataset.actions[start:stop], dataset.own_propensities[start:stop]
            weights += np.bincount(actions, 1 / propensities, dataset.n_actions)
            squares += np.bincount(actions, 1 / propensities**2, dataset.n_actions)
        fit = dataset.behavior_fit
        effective = np.divide(weights**2, squares, out=np.zeros_like(weights), where=squares > 0)
        return cls(
            *mean_log_loss(dataset),
            calibration_curve(in_ranges(dataset.behavior_policy, dataset.actions)),
            None if fit is None else fit.before,
            tuple(
                Overlap(name, float(rows), float(rows / dataset.n_transitions))
                for name, rows in zip(dataset.action_names, effective, strict=True)
            ),
            () if fit is None else fit.loggers,
        )


def mean_log_loss(dataset: Dataset) -> tuple[float, float]:
    """Mean of ``-log p`` over the taken actions, in nats: under the behaviour policy, and under the actions' shares."""
    return -float(np.log(dataset.own_propensities).mean()), loss_of_shares(dataset)


def loss_of_shares(dataset: Dataset) -> float:
    """Mean of ``-log p`` over the taken actions, in nats, with the actions' shares in the log for p."""
    shares = np.bincount(dataset.actions, minlength=dataset.n_actions) / dataset.n_transitions
    return -float((shares[shares > 0] * np.log(shares[shares > 0])).sum())
