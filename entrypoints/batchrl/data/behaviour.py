"""The logging policy, estimated from the states and the actions taken, where its probabilities were not logged.

Multinomial logistic regression on the features of the state, standardised, with a small ridge penalty; cross-fitted
over episodes: the probabilities of an episode come from a model that did not see it (Chernozhukov et al. 2018).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from batchrl.contract.errors import InputError
from batchrl.data.dataset import Dataset, Flags, Floats64, Integers
from batchrl.data.minimising import minimum
from batchrl.data.mixture import Mixture
from batchrl.data.storage import Storage, chunks

FOLDS = 5
# Of the draw of the folds: the same log is always divided alike.
SEED = 20_480
# The penalty is this times half the squares of the coefficients, beside a sum over rows.
RIDGE = 1.0
# Of the gradient of the mean over rows.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Scale:
    """What features are standardised by, both ``[d]``."""

    mean: Floats64
    deviation: Floats64

    @classmethod
    def of(cls, dataset: Dataset) -> Scale:
        """Of all transitions; a constant feature is left as it is, but for its mean."""
        n = dataset.n_transitions
        mean, squares = np.zeros(dataset.n_features), np.zeros(dataset.n_features)
        for start, stop in chunks(n):
            mean += dataset.states[start:stop].sum(axis=0, dtype=np.float64) / n
        for start, stop in chunks(n):
            squares += ((dataset.states[start:stop] - mean) ** 2).sum(axis=0) / n
        deviation = np.sqrt(squares)
        return cls(mean, np.where(deviation > 0, deviation, 1.0))

    def features(self, dataset: Dataset, start: int, stop: int) -> Floats64:
        """``[stop - start, 1 + d]``: a constant, and the standardised features of these transitions."""
        result = np.ones((stop - start, 1 + dataset.n_features))
        np.divide(dataset.states[start:stop] - self.mean, self.deviation, out=result[:, 1:])
        return result


def with_estimated_behavior(dataset: Dataset, balanced: bool = False) -> tuple[Dataset, str]:
    """The data set with an estimated ``behavior_policy``, and what there is to say about it, in words.

    Where several policies logged episodes, each has a model of its own, fitted to its episodes alone.

    Args:
        dataset: without probabilities; at least two episodes of every policy that logged any.
        balanced: whether its loggers, of which it has some then, are to be taken as one mixture: each one's model is
            evaluated in the rows of all.

    Raises:
        InputError: there is only one episode.
    """
    storage = Storage.like(dataset.states)
    estimated = storage.empty((dataset.n_transitions, dataset.n_actions), np.float64)
    mixture = None
    if dataset.loggers is None:
        _cross_fitted(dataset, estimated)
    else:
        if balanced:
            mixture = Mixture(storage.empty((dataset.n_transitions, len(dataset.logger_names)), np.float64))
            mixture.log_chances[:] = -np.inf
        for logger in np.unique(dataset.loggers).tolist():
            mine = dataset.loggers == logger
            part = dataset.select(np.flatnonzero(mine))
            chances = storage.empty((part.n_transitions, part.n_actions), np.float64)
            model = _cross_fitted(part, chances, f" of logger {dataset.logger_names[logger]}")
            rows = np.repeat(mine, dataset.lengths)
            estimated[rows] = chances
            if mixture is not None:
                # The model has seen no episode of another logger; of its own, the folds' models have not.
                mixture.log_chances[:, logger] = model.log_chances(dataset)
                mixture.log_chances[rows, logger] = np.log(chances[np.arange(len(chances)), part.actions])
    known = replace(dataset, behavior_policy=estimated, taken_propensities=None, mixture=mixture)
    result = replace(known, estimated_on=dataset.n_episodes)
    return result, _told(result)


@dataclass(frozen=True)
class Model:
    """A fitted logging policy.

    Args:
        scale: of the features.
        coefficients: ``[1 + d, A]``.
    """

    scale: Scale
    coefficients: Floats64

    def probabilities(self, dataset: Dataset, start: int, stop: int, which: Flags) -> Floats64:
        """``[m, A]`` in those of the transitions from ``start`` to ``stop`` that ``which`` marks."""
        features = self.scale.features(dataset, start, stop)[which]
        logits = _among_eligible(self.coefficients.T @ features.T, dataset, np.flatnonzero(which) + start)
        return _softmax(logits)[0].T

    def log_chances(self, dataset: Dataset) -> Floats64:
        """``[N]``, logs of the probabilities of the actions that were taken, by whomever."""
        result = np.empty(dataset.n_transitions)
        for start, stop in chunks(dataset.n_transitions):
            chances = self.probabilities(dataset, start, stop, np.ones(stop - start, np.bool_))
            result[start:stop] = np.log(chances[np.arange(stop - start), dataset.actions[start:stop]])
        return result


def _cross_fitted(dataset: Dataset, estimated: Floats64, whose: str = "") -> Model:
    """Fill ``[N, A]``, the probabilities of each episode by a model of the others; returns the model of all."""
    n = dataset.n_episodes
    if n < 2:
        raise InputError(
            f"One episode{whose} is too few to estimate the probabilities of the actions, which were not logged: the "
            "model of an episode is fitted on others.",
            "Log more episodes, or their probabilities.",
        )
    folds = min(FOLDS, n)
    fold = np.random.default_rng([SEED, n]).permutation(n) % folds
    scale = Scale.of(dataset)
    shape = (1 + dataset.n_features, dataset.n_actions)
    everywhere = np.ones(n, np.bool_)
    # A model of all episodes is where those of the folds begin: their minimum is theirs alone, and near.
    start = _fitted(dataset, scale, everywhere, np.zeros(shape))
    rows = np.repeat(fold, dataset.lengths)
    for number in range(folds):
        model = Model(scale, _fitted(dataset, scale, fold != number, start))
        for first, last in chunks(dataset.n_transitions):
            mine = rows[first:last] == number
            estimated[first:last][mine] = model.probabilities(dataset, first, last, mine)
    return Model(scale, start)


def mean_log_loss(dataset: Dataset) -> tuple[float, float]:
    """Mean of ``-log p`` over the taken actions, in nats: under the behaviour policy, and under the actions' shares."""
    shares = np.bincount(dataset.actions, minlength=dataset.n_actions) / dataset.n_transitions
    of_shares = -float((shares[shares > 0] * np.log(shares[shares > 0])).sum())
    return -float(np.log(dataset.own_propensities).mean()), of_shares


def _told(dataset: Dataset) -> str:
    loss, of_shares = mean_log_loss(dataset)
    model = "multinomial logistic regression" + ("" if dataset.loggers is None else ", one for each logger")
    compared = f"log loss {loss:.4g} of episodes that a model did not see, {of_shares:.4g} of the actions' shares alone"
    return (
        "the probabilities of the actions were not logged, or are not to be used: a logging policy was estimated "
        f"({model}, cross-fitted over episodes; {compared}), and every figure that weighs "
        "actions rests on estimated propensities"
    )


def _fitted(dataset: Dataset, scale: Scale, episodes: Flags, start: Floats64) -> Floats64:
    """``[1 + d, A]``, the coefficients that make the actions of some episodes ``[n]`` most likely.

    One more row, of average features and of every action in equal parts, keeps actions that these episodes never took
    possible.
    """
    used: Flags = np.repeat(episodes, dataset.lengths)
    n = int(used.sum())
    even = 1 / dataset.n_actions

    def function(place: Floats64) -> tuple[float, Floats64]:
        coefficients = place.reshape(start.shape)
        value, gradient = 0.0, np.zeros(start.shape)
        for first, last in chunks(dataset.n_transitions):
            mine = used[first:last]
            features = scale.features(dataset, first, last)[mine]
            logits = _among_eligible(coefficients.T @ features.T, dataset, np.flatnonzero(mine) + first)
            loss, slopes = _loss(logits, dataset.actions[first:last][mine])
            value += loss
            gradient += (slopes @ features).T
        intercepts, others = coefficients[0], coefficients[1:]
        chances, log_sums = _softmax(intercepts[:, None])
        value += float(log_sums[0]) - even * float(intercepts.sum()) + RIDGE / 2 * float((others**2).sum())
        gradient[0] += chances[:, 0] - even
        gradient[1:] += RIDGE * others
        return value / n, gradient.ravel() / n

    return minimum(function, start.ravel(), TOLERANCE).reshape(start.shape)


def _among_eligible(logits: Floats64, dataset: Dataset, rows: Integers) -> Floats64:
    """Logits ``[A, m]`` of some transitions ``[m]``; those of actions that could not be taken are ``-inf``."""
    return logits if dataset.eligible is None else np.where(dataset.eligible[rows].T, logits, -np.inf)


def _loss(logits: Floats64, actions: Integers) -> tuple[float, Floats64]:
    """The sum of ``-log p(action)`` over rows ``[A, m]``, and its slopes ``[A, m]``."""
    rows = np.arange(len(actions))
    slopes, log_sums = _softmax(logits)
    value = float((log_sums - logits[actions, rows]).sum())
    slopes[actions, rows] -= 1
    return value, slopes


def _softmax(logits: Floats64) -> tuple[Floats64, Floats64]:
    """``[A, m]``, probabilities from logits, and ``[m]``, the logs of the sums of the logits' exponentials."""
    highest = logits.max(axis=0)
    result: Floats64 = np.exp(logits - highest)
    sums = result.sum(axis=0)
    result /= sums
    return result, highest + np.log(sums)
