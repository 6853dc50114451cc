"""What the estimation of a logging policy does to the errors of figures that rest on it.

The coefficients of the behaviour policy's model are fitted to the same actions that figures are made of, and vary with
them. For an estimate whose influence function is psi, and a maximum likelihood fit with the scores S (the derivatives
of an episode's log likelihood), the influence function is, to first order, what is left of psi after regression on S
(Newey & McFadden 1994, theorem 6.1; Hirano, Imbens & Ridder 2003): the more of the weights' chance the model explains,
the less is left. Cross-fitting over episodes changes nothing to that order.

As a summand with mean 0 it joins the estimate's other sums: its value stays, and every resample of episodes moves the
coefficients as a fit to these episodes would, to first order, at no cost of a fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from batchrl.data.behaviour import Scale
from batchrl.data.dataset import Dataset, Floats64
from batchrl.data.storage import chunks
from batchrl.ope.estimators.quotients import Block, Quotients
from batchrl.ope.estimators.student import influence

# A regression on more coefficients than one in so many episodes would explain what is chance. Episodes are counted as
# those of a normal influence of the same fourth moment, so that a few heavy weights are few.
EPISODES_OF_A_COEFFICIENT = 20
NORMAL_KURTOSIS = 3
# Numbers in the array of scores.
MOST_NUMBERS = 50_000_000


@dataclass(frozen=True)
class Estimation:
    """The scores of a fitted behaviour policy on the episodes that are scored.

    Args:
        basis: ``[n, r]``, an orthonormal basis of the scores of the n episodes; None where there are too many
            coefficients for it, so that intervals take the propensities as given.
        share: how much of what the scores explain is taken away: 1 where the policy was fitted to the scored episodes
            alone, less where they are but some of those that it was fitted to.
    """

    basis: Floats64 | None
    share: float

    @classmethod
    def of(cls, dataset: Dataset) -> Estimation | None:
        """Of the episodes to be scored; None where their probabilities were logged."""
        if dataset.estimated_on is None:
            return None
        n, models = dataset.n_episodes, max(1, len(dataset.logger_names))
        coefficients = models * (dataset.n_actions - 1) * (1 + dataset.n_features)
        if coefficients * EPISODES_OF_A_COEFFICIENT > n or coefficients * n > MOST_NUMBERS:
            return cls(None, 0.0)
        scores = _scores(dataset)
        scores -= scores.mean(axis=0)
        left, sizes, _ = np.linalg.svd(scores, full_matrices=False)
        # With m of N episodes scored, the variance is that of psi / m less m / N of what the scores explain.
        share = 1 - math.sqrt(max(0.0, 1 - n / dataset.estimated_on))
        return cls(left[:, sizes > 1e-9 * sizes[0]], share)

    def moved_by(self, estimator: Quotients) -> Quotients:
        """The same estimator, whose resamples and influence count the estimation of the propensities.

        It stays as it is where too few episodes bear it for the regression: an interval that takes the propensities as
        given is, to first order, too wide rather than too narrow.
        """
        if self.basis is None:
            return estimator
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            moves = influence(estimator)
            squares = moves**2
        if not np.isfinite(squares).all() or not squares.any():
            return estimator
        effective = NORMAL_KURTOSIS * float(squares.sum()) ** 2 / float(squares @ squares)
        if effective < EPISODES_OF_A_COEFFICIENT * self.basis.shape[1]:
            return estimator
        explained = self.basis @ (self.basis.T @ moves)
        explained -= explained.mean()
        return Quotients((*estimator.blocks, Block(explained[:, None], None, np.array([-self.share]))))

    def remarks(self) -> Iterator[str]:
        """What a reader of figures must know, in sentences."""
        yield (
            "Estimated propensities: the log's probabilities of actions come from a model of its actions; every figure "
            "with weights is right only as far as the states hold all that the logging policy looked at, and the model "
            "fits it."
        )
        if self.basis is None:
            yield "Intervals take the estimated propensities as given: the model has too many coefficients to do else."
        else:
            yield (
                "Intervals count the estimation of the propensities, to first order, where enough episodes bear a "
                "figure; other intervals and lower bounds take the propensities as given."
            )


def _scores(dataset: Dataset) -> Floats64:
    """``[n, (A - 1) (1 + d)]``, so many for each logger: sums over an episode's steps of (taken - probability) times a
    feature; all but the last action, of which the others leave no choice."""
    scale, others = Scale.of(dataset), dataset.n_actions - 1
    result = np.zeros((dataset.n_episodes, others * (1 + dataset.n_features)))
    episode = np.repeat(np.arange(dataset.n_episodes), dataset.lengths)
    assert dataset.behavior_policy is not None, "it was estimated"
    for start, stop in chunks(dataset.n_transitions):
        surprise = -dataset.behavior_policy[start:stop, :others]
        taken = dataset.actions[start:stop]
        able = np.flatnonzero(taken < others)
        surprise[able, taken[able]] += 1
        products = surprise[:, :, None] * scale.features(dataset, start, stop)[:, None, :]
        mine = episode[start:stop]
        begins = np.flatnonzero(np.diff(mine, prepend=-1))
        result[mine[begins]] += np.add.reduceat(products.reshape(stop - start, -1), begins, axis=0)
    if dataset.loggers is None:
        return result
    # Each logger has a model of its own, which an episode of another one does not move.
    by_logger = np.zeros((dataset.n_episodes, len(dataset.logger_names), result.shape[1]))
    by_logger[np.arange(dataset.n_episodes), dataset.loggers] = result
    return by_logger.reshape(dataset.n_episodes, -1)
