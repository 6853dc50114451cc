"""Logs of a small process with one feature a state, and the values that dynamic programming finds in their counts."""

from __future__ import annotations

import numpy as np

from batchrl.data.dataset import Dataset, Floats32, Floats64

N_STATES, N_ACTIONS, DISCOUNT = 4, 2, 0.9
ONE_HOT = np.eye(N_STATES, dtype=np.float32)


def log_of(
    states: Floats32,
    actions: np.ndarray,
    rewards: Floats64,
    next_states: Floats32,
    terminal: np.ndarray,
    ends: list[int],
) -> Dataset:
    """Steps as a log whose actions were drawn uniformly.

    Args:
        states, actions, rewards, next_states, terminal: of each step.
        ends: one past the last step of each episode.
    """
    n_actions = max(N_ACTIONS, int(actions.max()) + 1)
    return Dataset(
        states=states,
        actions=actions.astype(np.int64),
        rewards=rewards,
        next_states=next_states,
        terminal=terminal,
        behavior_policy=np.full((len(actions), n_actions), 1 / n_actions),
        offsets=np.array([0, *ends]),
        episode_ids=tuple(map(str, range(len(ends)))),
        state_columns=tuple(f"f{number}" for number in range(states.shape[1])),
    )


def tabular(n: int = 300, horizon: int = 12, seed: int = 0) -> tuple[Dataset, np.ndarray]:
    """Logged episodes of a random process, one feature a state, and the state after each step."""
    rng = np.random.default_rng(seed)
    moves = rng.dirichlet(np.ones(N_STATES + 1) * 0.7, size=(N_STATES, N_ACTIONS))
    means = rng.normal(size=(N_STATES, N_ACTIONS))
    rows: list[tuple[int, int, float, int, bool]] = []
    ends = []
    for _ in range(n):
        state = int(rng.integers(N_STATES))
        for _ in range(horizon):
            action = int(rng.integers(N_ACTIONS))
            after = int(rng.choice(N_STATES + 1, p=moves[state, action]))
            over = after == N_STATES
            rows.append((state, action, means[state, action] + rng.normal(0, 0.3), 0 if over else after, over))
            if over:
                break
            state = after
        ends.append(len(rows))
    states, actions, paid, after, over = (np.array(column) for column in zip(*rows, strict=True))
    return log_of(ONE_HOT[states], actions, paid, ONE_HOT[after], over, ends), after


def q_by_dynamic_programming(dataset: Dataset, after: np.ndarray, policy: Floats64, discount: float) -> Floats64:
    """``Q`` of a policy, states by actions, in the process that the counts of a log of ``tabular`` describe."""
    states = dataset.states.argmax(axis=1)
    counts, paid = np.zeros((N_STATES, N_ACTIONS)), np.zeros((N_STATES, N_ACTIONS))
    moves = np.zeros((N_STATES, N_ACTIONS, N_STATES))
    np.add.at(counts, (states, dataset.actions), 1)
    np.add.at(paid, (states, dataset.actions), dataset.rewards)
    on = ~dataset.terminal
    np.add.at(moves, (states[on], dataset.actions[on], after[on]), 1)
    q = np.zeros((N_STATES, N_ACTIONS))
    for _ in range(2000):
        q = paid / counts + discount * (moves / counts[..., None]) @ (policy * q).sum(axis=1)
    return q
