"""A small decision problem whose log shows every way to go wrong, with its answers by dynamic programming.

Five states, four actions. In states 0 to 3 action 3 ruins everything, and the log never shows it; in state 4 it pays
best of all, and the log shows it often. The features of the states resemble each other, so that values which are not
kept to the log carry what they learnt in state 4 over to the other states: the temptation.

In state 0 every way to learn leads elsewhere: action 0 is the most frequent, 1 the best if the logging policy goes on
afterwards, 2 the best if one goes on well, 3 the temptation.
"""

from __future__ import annotations

import numpy as np

from batchrl.data.dataset import Dataset, Floats32, Floats64, Integers

DISCOUNT = 0.5
TEMPTATION = 3
END = -1

START = np.array([0.4, 0.0, 0.3, 0.0, 0.3])
# [S, A]: the logging policy, rewards, and following states.
LOGGING = np.array(
    [[0.6, 0.2, 0.2, 0.0], [0.6, 0.2, 0.2, 0.0], [0.2, 0.6, 0.2, 0.0], [0.2, 0.2, 0.6, 0.0], [0.2, 0.2, 0.1, 0.5]]
)
REWARDS = np.array(
    [
        [0.2, 1.0, 0.0, -20.0],
        [0.0, 4.0, 0.0, -20.0],
        [1.0, 0.0, 0.2, -20.0],
        [0.0, 3.0, 0.5, -20.0],
        [1.0, 0.0, 0.5, 10.0],
    ]
)
FOLLOWING = np.array([[END, END, 1, END], [END, END, 3, END], [END, 3, END, END], [1, END, END, END], [END] * 4])
N_STATES, N_ACTIONS = REWARDS.shape
SUPPORTED = LOGGING > 0


def features(states: Integers) -> Floats32:
    """``[B, 5]`` of states ``[B]``; they share half of what they are."""
    return (np.eye(N_STATES)[states] + 0.5).astype(np.float32)


def log(episodes: int, seed: int) -> Dataset:
    """Episodes of the logging policy."""
    rng = np.random.default_rng(seed)
    steps: list[tuple[int, int]] = []
    lengths = []
    for _ in range(episodes):
        state, before = int(rng.choice(N_STATES, p=START)), len(steps)
        while state != END:
            action = int(rng.choice(N_ACTIONS, p=LOGGING[state]))
            steps.append((state, action))
            state = int(FOLLOWING[state, action])
        lengths.append(len(steps) - before)
    states, actions = np.array(steps).T
    following = FOLLOWING[states, actions]
    return Dataset(
        states=features(states),
        actions=actions,
        rewards=REWARDS[states, actions],
        next_states=features(np.maximum(following, 0)),
        terminal=following == END,
        behavior_policy=LOGGING[states],
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        episode_ids=tuple(str(number) for number in range(episodes)),
        state_columns=tuple(f"state_feature_{number}" for number in range(N_STATES)),
    )


def action_values(policy: Floats64) -> Floats64:
    """``Q(s, a)`` ``[S, A]`` of a policy ``[S, A]``, exact."""
    values = np.zeros(N_STATES)
    for _ in range(200):
        values = (policy * _backup(values)).sum(axis=1)
    return _backup(values)


def most_frequent() -> Integers:
    """``[S]``: what cloning finds."""
    return LOGGING.argmax(axis=1)


def best_after_one_step() -> Integers:
    """``[S]``: greedy once on the logging policy's values, among logged actions."""
    return np.where(SUPPORTED, action_values(LOGGING), -np.inf).argmax(axis=1)


def best_supported() -> Integers:
    """``[S]``: the best policy that keeps to logged actions."""
    values = np.zeros(N_STATES)
    for _ in range(200):
        values = np.where(SUPPORTED, _backup(values), -np.inf).max(axis=1)
    return np.where(SUPPORTED, _backup(values), -np.inf).argmax(axis=1)


def start_value(actions: Integers) -> float:
    """Discounted return of a policy that takes these actions ``[S]``."""
    values = action_values(np.eye(N_ACTIONS)[actions])
    return float(START @ values[np.arange(N_STATES), actions])


def _backup(values: Floats64) -> Floats64:
    following = np.where(FOLLOWING == END, 0.0, np.append(values, 0.0)[FOLLOWING])
    return REWARDS + DISCOUNT * following
