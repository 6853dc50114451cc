"""A reward model for doubly robust estimates, fitted in folds: no decision is modelled from its own reward.

Ridge regressions in closed form, an own one for each action, drawn to that of all actions together::

    q(x, a) = z'(beta + delta_a),   z = (1, standardised x)
    beta    = argmin sum_i (r_i - z_i'beta)^2 + |slopes of beta|^2
    delta_a = argmin sum_{i: a_i = a} (r_i - z_i'beta - z_i'delta)^2 + penalty |delta|^2

An action that was taken often has its own model, a rare one nearly the common one, one that was never taken exactly
that. With very many actions and features ``delta_a`` is a number: an action shifts the common model. Predictions are
kept within the rewards that the fit saw. The penalty of a fold is the one of ``PENALTIES`` that predicts best on a part
of the other folds, after a fit on the rest of those: nothing that is said of a decision depends on its own reward.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from batchrl.data.dataset import Floats32, Floats64, Integers
from batchrl.ope.estimators.contextual import ModelledRewards

FOLDS = 5
LEAST_DECISIONS = 3
# An infinite penalty leaves the common model alone.
PENALTIES = (3.0, 30.0, 300.0, 3000.0, np.inf)
# Numbers in the normal equations of all actions of a fold.
MOST_NUMBERS = 4_194_304
# Features beyond these are left out: the normal equations of all actions together would not fit.
MOST_FEATURES = 2000
# Numbers of a block of predictions.
NUMBERS_AT_ONCE = 4_194_304


@dataclass(frozen=True)
class _Sums:
    """Normal equations of some decisions: all together, and by action.

    Args:
        common: ``[D, D]``, sum of ``z z'``.
        common_rewards: ``[D]``, sum of ``z r``.
        own: ``[A, E, D]``, sums of ``z_:E z'`` of each action; E is D, or 1.
        own_rewards: ``[A, E]``, sums of ``z_:E r``.
    """

    common: Floats64
    common_rewards: Floats64
    own: Floats64
    own_rewards: Floats64

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(
            self.common + other.common,
            self.common_rewards + other.common_rewards,
            self.own + other.own,
            self.own_rewards + other.own_rewards,
        )

    @classmethod
    def of(cls, features: Floats64, actions: Integers, rewards: Floats64, n_actions: int, n_own: int) -> _Sums:
        """Of features ``[m, D]``, actions and rewards ``[m]``."""
        width = features.shape[1]
        order = np.argsort(actions, kind="stable")
        features, actions, rewards = features[order], actions[order], rewards[order]
        own, own_rewards = np.zeros((n_actions, n_own, width)), np.zeros((n_actions, n_own))
        present, starts = np.unique(actions, return_index=True)
        for action, start, stop in zip(present, starts, [*starts[1:], len(actions)], strict=True):
            mine = features[start:stop]
            own[action] = mine[:, :n_own].T @ mine
            own_rewards[action] = mine[:, :n_own].T @ rewards[start:stop]
        return cls(features.T @ features, features.T @ rewards, own, own_rewards)


@dataclass(frozen=True)
class _Fit:
    """The model of one fold: ``[A, D]`` coefficients, and the range of the rewards that it saw."""

    coefficients: Floats64
    low: float
    high: float

    @classmethod
    def of(cls, sums: _Sums, penalty: float, low: float, high: float) -> _Fit:
        ridge = np.eye(len(sums.common))
        ridge[0, 0] = 0.0
        common = np.linalg.solve(sums.common + ridge, sums.common_rewards)
        n_actions, n_own, _ = sums.own.shape
        coefficients = np.tile(common, (n_actions, 1))
        if np.isfinite(penalty):
            left = sums.own[:, :, :n_own] + penalty * np.eye(n_own)
            right = sums.own_rewards - sums.own @ common
            coefficients[:, :n_own] += np.linalg.solve(left, right[..., None])[..., 0]
        return cls(coefficients, low, high)

    def taken(self, features: Floats64, actions: Integers) -> Floats64:
        """``[m]``, of the actions that were taken."""
        return np.concatenate(
            [
                np.clip(np.einsum("md,md->m", features[rows], self.coefficients[actions[rows]]), self.low, self.high)
                for rows in _blocks(len(features), features.shape[1])
            ]
        )

    def averaged(self, features: Floats64, probabilities: Floats64, rows: Integers) -> Floats64:
        """``[m]``, averages under ``probabilities[rows]``."""
        parts = []
        for block in _blocks(len(features), len(self.coefficients)):
            modelled = features[block] @ self.coefficients.T
            np.clip(modelled, self.low, self.high, out=modelled)
            parts.append(np.einsum("ma,ma->m", modelled, probabilities[rows[block]]))
        return np.concatenate(parts)


class CrossFittedRewards:
    """The reward model of n decisions, each modelled by a fit on the folds that it is not in.

    Args:
        states: ``[n, d]``.
        actions: ``[n]``.
        rewards: ``[n]``.
        n_actions: A.
        seed: of the folds.
    """

    def __init__(self, states: Floats32, actions: Integers, rewards: Floats64, n_actions: int, seed: int) -> None:
        self._features = _standardised(states)
        self._actions = actions
        self._rows = np.array_split(np.random.default_rng(seed).permutation(len(actions)), min(FOLDS, len(actions)))
        width = self._features.shape[1]
        n_own = width if n_actions * width**2 <= MOST_NUMBERS else 1
        sums = [_Sums.of(self._features[rows], actions[rows], rewards[rows], n_actions, n_own) for rows in self._rows]
        self._fits = [self._fit(fold, sums, rewards) for fold in range(len(self._rows))]
        self.taken = np.empty(len(actions))
        for rows, fit in zip(self._rows, self._fits, strict=True):
            self.taken[rows] = fit.taken(self._features[rows], actions[rows])

    def of_policy(self, probabilities: Floats64) -> ModelledRewards:
        """The model, averaged under a policy.

        Args:
            probabilities: ``[n, A]``, of the policy.
        """
        averaged = np.empty(len(self._actions))
        for rows, fit in zip(self._rows, self._fits, strict=True):
            averaged[rows] = fit.averaged(self._features[rows], probabilities, rows)
        return ModelledRewards(self.taken, averaged)

    def _fit(self, fold: int, sums: list[_Sums], rewards: Floats64) -> _Fit:
        others = [number for number in range(len(sums)) if number != fold]
        judging, *fitting = others
        held = self._rows[judging]
        fitted, (low, high) = _total(sums, fitting), self._range(fitting, rewards)
        errors = []
        for penalty in PENALTIES:
            modelled = _Fit.of(fitted, penalty, low, high).taken(self._features[held], self._actions[held])
            errors.append(float(np.square(rewards[held] - modelled).mean()))
        return _Fit.of(fitted + sums[judging], PENALTIES[int(np.argmin(errors))], *self._range(others, rewards))

    def _range(self, folds: list[int], rewards: Floats64) -> tuple[float, float]:
        seen = [rewards[self._rows[fold]] for fold in folds]
        return min(float(part.min()) for part in seen), max(float(part.max()) for part in seen)


def _total(sums: list[_Sums], folds: list[int]) -> _Sums:
    total = sums[folds[0]]
    for fold in folds[1:]:
        total = total + sums[fold]
    return total


def _standardised(states: Floats32) -> Floats64:
    """``[n, 1 + d]``, a one and the features with mean 0 and deviation 1; constant ones are 0."""
    used = states[:, :MOST_FEATURES]
    features = np.empty((len(used), 1 + used.shape[1]))
    features[:, 0] = 1.0
    features[:, 1:] = used
    features[:, 1:] -= features[:, 1:].mean(axis=0)
    deviations = features[:, 1:].std(axis=0)
    features[:, 1:] /= np.where(deviations > 0, deviations, 1.0)
    return features


def _blocks(n: int, width: int) -> Iterator[slice]:
    """Rows whose arrays of so many columns stay small."""
    size = max(1, NUMBERS_AT_ONCE // max(1, width))
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
