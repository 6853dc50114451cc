"""What the estimation of a logging policy does to the errors of figures that rest on it.

The coefficients of the behaviour policy's model are fitted to the same actions that figures are made of, and vary with
them. For an estimate whose influence function is psi, and a maximum likelihood fit with the scores S (the derivatives
of an episode's log likelihood), the influence function is, to first order, what is left of psi after regression on S
(Newey & McFadden 1994, theorem 6.1; Hirano, Imbens & Ridder 2003): the more of the weights' chance the model explains,
the less is left. Cross-fitting over episodes changes nothing to that order.

Of a network (``batchrl.data.behaviour_models``), S are the scores of the part that is linear in the state's own
features: what these explain is as much as any of its scores explain, or less, so that an interval is right or too wide,
as long as the network's own bias is small beside it. A temperature adds nothing, for to first order its score lies in
the span of the others.

As a summand with mean 0 it joins the estimate's other sums: its value stays, and every resample of episodes moves the
coefficients as a fit to these episodes would, to first order, at no cost of a fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from batchrl.data.behaviour_fit import BehaviourFit
from batchrl.data.behaviour_models import Scale
from batchrl.data.dataset import Dataset, Flags, Floats64, Integers
from batchrl.data.scores import score_sums, taken_by
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
            coefficients for it, or none that episodes say enough of, so that intervals take the propensities as given.
        share: how much of what the scores explain is taken away: 1 where the policy was fitted to the scored episodes
            alone, less where they are but some of those that it was fitted to.
        fit: how the policy was estimated, where that is known.
    """

    basis: Floats64 | None
    share: float
    fit: BehaviourFit | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> Estimation | None:
        """Of the episodes to be scored; None where their probabilities were logged."""
        if dataset.estimated_on is None:
            return None
        n, free = dataset.n_episodes, _free_actions(dataset)
        coefficients = sum(len(actions) for _, actions in free) * (1 + dataset.n_features)
        many = coefficients * EPISODES_OF_A_COEFFICIENT > n or coefficients * n > MOST_NUMBERS
        if many or not coefficients:
            return cls(None, 0.0, dataset.behavior_fit)
        scores = _scores(dataset, free)
        scores -= scores.mean(axis=0)
        left, sizes, _ = np.linalg.svd(scores, full_matrices=False)
        # With m of N episodes scored, the variance is that of psi / m less m / N of what the scores explain.
        share = 1 - math.sqrt(max(0.0, 1 - n / dataset.estimated_on))
        return cls(left[:, sizes > 1e-9 * sizes[0]], share, dataset.behavior_fit)

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

    @property
    def doubt(self) -> str | None:
        """Why no figure with weights is to be relied on; None where nothing speaks against the model."""
        return None if self.fit is None else self.fit.doubt

    def remarks(self) -> Iterator[str]:
        """What a reader of figures must know, in sentences."""
        yield (
            "Estimated propensities: the log's probabilities of actions come from a model of its actions; every figure "
            "with weights is right only as far as the states hold all that the logging policy looked at, and the model "
            "fits it."
        )
        if self.fit is not None:
            yield f"That model: {self.fit.told()}."
        if self.basis is None:
            yield "Intervals take the estimated propensities as given: too few episodes tell more of them."
        else:
            yield (
                "Intervals count the estimation of the propensities, to first order, where enough episodes bear a "
                "figure; other intervals and lower bounds take the propensities as given."
            )
        if self.fit is not None and self.fit.has_networks:
            yield (
                "Of a network, they count what is linear in the features alone; what it bends is taken as given, and "
                "how far a network of finite data is off on average is in no interval."
            )


def _free_actions(dataset: Dataset) -> list[tuple[Flags, Integers]]:
    """For each logger: its episodes ``[n]``, and the actions whose coefficients move with them.

    The most frequent action is left out, of which the others leave no choice; so are those that hardly any episode
    took. Of an action that was never taken, the scores are all but constants times the features, with no chance in
    them: a regression on them would explain how episodes differ, and not how the coefficients do.
    """
    loggers = np.zeros(dataset.n_episodes, np.int64) if dataset.loggers is None else dataset.loggers
    took, actions = taken_by(dataset)
    found = []
    for logger in np.unique(loggers):
        counts = np.bincount(actions[loggers[took] == logger], minlength=dataset.n_actions)
        free = counts >= EPISODES_OF_A_COEFFICIENT
        free[counts.argmax()] = False
        found.append((loggers == logger, np.flatnonzero(free)))
    return found


def _scores(dataset: Dataset, free: list[tuple[Flags, Integers]]) -> Floats64:
    """``[n, sum_k (1 + d) A_k]``: sums over an episode's steps of (taken - probability) times a feature, for the free
    actions of each logger; 0 in episodes of others."""
    scale, actions = Scale.of(dataset), np.unique(np.concatenate([some for _, some in free]))
    assert dataset.behavior_policy is not None, "it was estimated"
    result = score_sums(dataset, dataset.behavior_policy, actions, scale.features, dataset.n_episodes)
    parts = []
    for episodes, some in free:
        part = result[:, np.searchsorted(actions, some)] * episodes[:, None, None]
        parts.append(part.reshape(dataset.n_episodes, -1))
    return np.concatenate(parts, axis=1)
