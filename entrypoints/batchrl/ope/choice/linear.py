"""Linear fitted Q evaluation in closed form (Le, Voloshin and Yue 2019; Duan and Wang 2020).

With features ``f(s)``, values ``Q(s, a) = f(s)'w_a`` and the rows of one action a below each other in ``F_a``, one
iteration of fitted Q evaluation is a ridge regression on what the last one says of the next states::

    w_a <- (F_a'F_a + penalty)^-1 F_a'(r + discount sum_b pi(b | s') F'w_b)  =  c_a + sum_b M_ab w_b

It ends in ``w = (I - M)^-1 c`` where the spectral radius of M is below 1; elsewhere it grows without end, whatever that
equation says, and the member is not to be believed. ``F_a'F_a`` is the same for all policies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from batchrl.data.dataset import Dataset, Floats32, Floats64
from batchrl.ope.choice.steps import Conduct, Fit

# Of features whose mean square is 1, as shares of the rows that an action has on average: the first of these with which
# the iteration settles for every policy. A larger one pulls all values to 0, but so it does for all policies alike.
PENALTIES = (0.001, 0.01, 0.1)
# With errors that grow by as much or more in an iteration, it does not settle.
MOST_GROWTH = 1.0
# The growth is read off so many iterations, after as many as let the dominant direction come forth.
ITERATIONS, SETTLING = 60, 40


def fit_linear(
    dataset: Dataset,
    policies: Sequence[Conduct],
    features: Callable[[Floats32], Floats32],
    discount: float,
    penalties: Sequence[float] = PENALTIES,
) -> Fit:
    """Values of policies by linear fitted Q evaluation, all with the same penalty.

    Args:
        dataset: the episodes.
        policies: what each does on them.
        features: ``[B, D]`` of states ``[B, d]``.
        discount: of one step.
        penalties: of the ridge regressions, on the sum of squared weights of an action, as shares of the rows that an
            action has on average; the last one's values stand, with their growth, where the iteration settles with
            none.
    """
    here, after = features(dataset.states), features(dataset.next_states)
    first = features(dataset.states[dataset.offsets[:-1]]).astype(np.float64)
    goes_on = ~np.asarray(dataset.terminal)
    n_actions, width = dataset.n_actions, here.shape[1]
    rows = [np.flatnonzero(dataset.actions == action) for action in range(n_actions)]
    carried = [mine[goes_on[mine]] for mine in rows]
    grams = [(here[mine].T @ here[mine]).astype(np.float64) for mine in rows]
    rewards = [here[mine].T @ dataset.rewards[mine] for mine in rows]

    def operator(policy: Conduct, inverses: Floats64) -> Floats64:
        """``[A D, A D]``, M."""
        result = np.zeros((n_actions, width, n_actions, width))
        for action, mine in enumerate(carried):
            for following in range(n_actions):
                chances = policy.following[mine, following]
                chosen = np.flatnonzero(chances)
                if len(chosen):
                    weighted = after[mine[chosen]] * (discount * chances[chosen, None]).astype(np.float32)
                    cross = (here[mine[chosen]].T @ weighted).astype(np.float64)
                    result[action, :, following] = inverses[action] @ cross
        return result.reshape(n_actions * width, n_actions * width)

    values, growth = np.empty(len(policies)), np.empty(len(policies))
    for tried, penalty in enumerate(penalties, 1):
        ridge = penalty * dataset.n_transitions / n_actions * np.eye(width)
        inverses: Floats64 = np.array([np.linalg.inv(gram + ridge) for gram in grams])
        constant = np.array([inverse @ sums for inverse, sums in zip(inverses, rewards, strict=True)])
        for number, policy in enumerate(policies):
            matrix = operator(policy, inverses)
            growth[number] = _growth(matrix)
            if tried < len(penalties) and not growth[number] < MOST_GROWTH:
                break
            weights = _fixed_point(matrix, constant.ravel()).reshape(n_actions, width)
            values[number] = policy.value(first @ weights.T)
        else:
            break
    return Fit(values, growth)


def _fixed_point(matrix: Floats64, constant: Floats64) -> Floats64:
    """``(I - M)^-1 c``; NaN where there is none."""
    try:
        return np.linalg.solve(np.eye(len(matrix)) - matrix, constant).astype(np.float64)
    except np.linalg.LinAlgError:
        return np.full(len(matrix), np.nan)


def _growth(matrix: Floats64) -> float:
    """The spectral radius of a matrix, by power iteration: the mean growth of a vector in the last iterations."""
    narrow = matrix.astype(np.float32)
    vector = np.random.default_rng(0).standard_normal(len(matrix)).astype(np.float32)
    logs = np.zeros(ITERATIONS)
    for step in range(ITERATIONS):
        vector = narrow @ vector
        norm = float(np.linalg.norm(vector))
        if norm == 0 or not np.isfinite(norm):
            return norm
        logs[step] = np.log(norm)
        vector /= norm
    return float(np.exp(logs[SETTLING:].mean()))
