"""The two models of a logging policy: multinomial logistic regression, and a network with one hidden layer beside it.

Both are linear in features of the state: a constant, the state's own features, standardised, and, of the network, H
hidden ones, ``tanh`` of a linear function. The network can say all that the logistic model says, and bends it where
the actions ask for that. Both have a ridge penalty on every weight but the constant's, and are fitted with L-BFGS: the
logistic model's minimum is the only one, the network's is the one that a descent finds from the logistic model and
hidden weights of a fixed draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchrl.data.behaviour_fit import Kind
from batchrl.data.dataset import Dataset, Flags, Floats64, Integers
from batchrl.data.minimising import minimum
from batchrl.data.storage import chunks

# The penalty is this times half the squares of the coefficients, beside a sum over rows.
RIDGE = 1.0
# The same of hidden weights. On 2,000 decisions of a logging policy that bends, 10 left an estimate a bias of a third
# of its deviation, 3 hardly any; 1 had the higher log loss.
HIDDEN_RIDGE = 3.0
# Of the gradient of the mean over rows.
TOLERANCE = 1e-6
HIDDEN = 16
# Of the hidden weights; the same for every log of as many features.
SEED = 20_481
NETWORK_STEPS = 60


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


@dataclass(frozen=True)
class Model:
    """A fitted logging policy.

    Args:
        scale: of the features.
        coefficients: ``[1 + d + H, A]``.
        hidden: ``[1 + d, H]``, weights of the hidden features; H is 0 in a logistic model.
        temperature: what logits are divided by (``batchrl.data.temperature``).
    """

    scale: Scale
    coefficients: Floats64
    hidden: Floats64
    temperature: float = 1.0

    def probabilities(self, dataset: Dataset, start: int, stop: int, which: Flags) -> Floats64:
        """``[m, A]`` in those of the transitions from ``start`` to ``stop`` that ``which`` marks."""
        features = _with_hidden(self.scale.features(dataset, start, stop)[which], self.hidden)
        logits = self.coefficients.T @ features.T / self.temperature
        return _softmax(_among_eligible(logits, dataset, np.flatnonzero(which) + start))[0].T

    def log_chances(self, dataset: Dataset) -> Floats64:
        """``[N]``, logs of the probabilities of the actions that were taken, by whomever."""
        result = np.empty(dataset.n_transitions)
        for start, stop in chunks(dataset.n_transitions):
            chances = self.probabilities(dataset, start, stop, np.ones(stop - start, np.bool_))
            result[start:stop] = np.log(chances[np.arange(stop - start), dataset.actions[start:stop]])
        return result

    @classmethod
    def blank(cls, dataset: Dataset, scale: Scale) -> Model:
        """The logistic model that gives every action the same probability."""
        d = dataset.n_features
        return cls(scale, np.zeros((1 + d, dataset.n_actions)), np.zeros((1 + d, 0)))

    def widened(self) -> Model:
        """A logistic model as a network that says the same: its hidden features have no weight yet."""
        inputs, actions = self.coefficients.shape
        rng = np.random.default_rng([SEED, inputs])
        hidden = rng.standard_normal((inputs, HIDDEN)) / np.sqrt(inputs)
        return Model(self.scale, np.concatenate([self.coefficients, np.zeros((HIDDEN, actions))]), hidden)


def fitted(kind: Kind, dataset: Dataset, episodes: Flags, start: Model) -> Model:
    """The model of a kind that makes the actions of some episodes ``[n]`` most likely, found from a logistic one."""
    logistic = _fitted(dataset, episodes, start, most_steps=500)
    return logistic if kind == "logistic" else bent(dataset, episodes, logistic)


def bent(dataset: Dataset, episodes: Flags, logistic: Model) -> Model:
    """The network that a descent finds from the logistic model of some episodes ``[n]``."""
    return _fitted(dataset, episodes, logistic.widened(), NETWORK_STEPS)


def _fitted(dataset: Dataset, episodes: Flags, start: Model, most_steps: int) -> Model:
    """The nearest minimum.

    One more row, of average features, no hidden ones and every action in equal parts, keeps actions that these episodes
    never took possible.
    """
    used: Flags = np.repeat(episodes, dataset.lengths)
    n, even = int(used.sum()), 1 / dataset.n_actions
    shape, inner = start.coefficients.shape, start.hidden.shape
    width = inner[0]
    penalties = np.where(np.arange(1, shape[0]) < width, RIDGE, HIDDEN_RIDGE)

    def at(place: Floats64) -> Model:
        return Model(start.scale, place[: np.prod(shape)].reshape(shape), place[np.prod(shape) :].reshape(inner))

    def function(place: Floats64) -> tuple[float, Floats64]:
        model = at(place)
        value, gradient, inner_gradient = 0.0, np.zeros(shape), np.zeros(inner)
        for first, last in chunks(dataset.n_transitions):
            mine = used[first:last]
            inputs = start.scale.features(dataset, first, last)[mine]
            features = _with_hidden(inputs, model.hidden)
            logits = _among_eligible(model.coefficients.T @ features.T, dataset, np.flatnonzero(mine) + first)
            loss, slopes = _loss(logits, dataset.actions[first:last][mine])
            value += loss
            gradient += (slopes @ features).T
            if inner[1]:
                back = slopes.T @ model.coefficients[width:].T
                inner_gradient += inputs.T @ (back * (1 - features[:, width:] ** 2))
        intercepts, others = model.coefficients[0], model.coefficients[1:]
        chances, log_sums = _softmax(intercepts[:, None])
        value += float(log_sums[0]) - even * float(intercepts.sum())
        value += float((penalties @ others**2).sum() + HIDDEN_RIDGE * (model.hidden**2).sum()) / 2
        gradient[0] += chances[:, 0] - even
        gradient[1:] += penalties[:, None] * others
        inner_gradient += HIDDEN_RIDGE * model.hidden
        return value / n, np.concatenate([gradient.ravel(), inner_gradient.ravel()]) / n

    place = np.concatenate([start.coefficients.ravel(), start.hidden.ravel()])
    return at(minimum(function, place, TOLERANCE, most_steps))


def _with_hidden(inputs: Floats64, hidden: Floats64) -> Floats64:
    """``[m, 1 + d + H]`` from ``[m, 1 + d]``."""
    return inputs if not hidden.shape[1] else np.concatenate([inputs, np.tanh(inputs @ hidden)], axis=1)


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
