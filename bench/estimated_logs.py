"""Fresh logs of a softmax policy whose probabilities are then hidden, and a policy to score whose value is known.

Three actions, three features; the logging policy is a softmax of linear preferences, so that a logistic model of it is
right. Actions move the state, states and actions pay. What the scored policy prefers is the logging policy's
preferences and a ``shift`` times others, which decides how many episodes count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchrl.data.dataset import Dataset, Floats64, Integers
from batchrl.ope.study.logged import ScoredPolicy, Values

FEATURES, ACTIONS = 3, 3
DISCOUNT = 0.95
PREFERENCES = np.array([[0.6, -0.4, 0.1], [-0.2, 0.5, 0.0], [0.0, 0.3, -0.5]])
OTHERS = np.array([[0.5, -0.2, -0.3], [0.3, 0.4, -0.7], [-0.4, 0.1, 0.3]])
PAYS = np.array([[1.0, -0.5, 0.2], [0.4, 0.8, -0.6], [0.0, -0.3, 0.5]])
MOVES = np.array([[0.4, 0.0, -0.2], [-0.3, 0.3, 0.0], [0.0, -0.3, 0.3]])
KEPT, NOISE = 0.6, 0.7
# Of the logging policy's preferences where they bend: what a logistic model cannot say.
BENT = np.array([[0.9, -0.9, 0.0], [-0.6, 0.3, 0.3], [0.0, 0.6, -0.6]])


def softmax(logits: Floats64) -> Floats64:
    """Probabilities by row."""
    chances: Floats64 = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    return chances


@dataclass(frozen=True)
class World:
    """Episodes of one kind.

    Args:
        steps: of every episode.
        shift: how far the scored policy leaves the logging policy.
        bend: how far the logging policy's preferences leave a straight line: by the squares of the features.
    """

    steps: int
    shift: float
    bend: float = 0.0

    def logging(self, states: Floats64) -> Floats64:
        """``[m, A]``, the hidden probabilities."""
        bent = np.tanh(states**2 - 1) @ BENT if self.bend else 0.0
        return softmax(states @ PREFERENCES + self.bend * bent)

    def scored(self, states: Floats64) -> Floats64:
        """``[m, A]``, what the scored policy does."""
        return softmax(states @ (PREFERENCES + self.shift * OTHERS))

    def _played(
        self, n: int, rng: np.random.Generator, scored: bool
    ) -> tuple[list[Floats64], list[Integers], list[Floats64]]:
        """States ``[n, d]``, actions ``[n]`` and rewards ``[n]`` of each step."""
        states, actions, rewards = [], [], []
        state = rng.standard_normal((n, FEATURES))
        for _ in range(self.steps):
            # What a data set holds is float32; the policies look at that.
            state = state.astype(np.float32).astype(np.float64)
            chances = self.scored(state) if scored else self.logging(state)
            action = np.minimum((chances.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), ACTIONS - 1)
            states.append(state)
            actions.append(action)
            rewards.append((state @ PAYS)[np.arange(n), action] + 0.5 * rng.standard_normal(n))
            state = KEPT * state + MOVES[action] + NOISE * rng.standard_normal((n, FEATURES))
        return states, actions, rewards

    def log(self, n: int, rng: np.random.Generator) -> tuple[Dataset, Floats64]:
        """A log of n episodes without probabilities, and those ``[N, A]`` apart from it."""
        played = self._played(n, rng, scored=False)
        states, actions, rewards = np.stack(played[0], 1), np.stack(played[1], 1), np.stack(played[2], 1)
        flat = states.reshape(-1, FEATURES)
        ends = np.zeros((n, self.steps), np.bool_)
        ends[:, -1] = True
        data = Dataset(
            states=flat.astype(np.float32),
            actions=actions.ravel(),
            rewards=rewards.ravel(),
            next_states=flat.astype(np.float32),
            terminal=ends.ravel(),
            behavior_policy=None,
            offsets=np.arange(n + 1) * self.steps,
            episode_ids=tuple(map(str, range(n))),
            state_columns=("x", "y", "z"),
            action_names=("a", "b", "c"),
        )
        return data, self.logging(flat)

    def value(self, episodes: int, rng: np.random.Generator) -> tuple[float, float]:
        """The scored policy's discounted return by playing it, and the standard error of that."""
        returns: list[Floats64] = []
        for _ in range(0, episodes, 100_000):
            rewards = self._played(100_000, rng, scored=True)[2]
            returns.append(np.stack(rewards, axis=1) @ DISCOUNT ** np.arange(self.steps))
        every = np.concatenate(returns)
        return float(every.mean()), float(every.std() / np.sqrt(len(every)))

    def policy(self, data: Dataset) -> ScoredPolicy:
        """The scored policy on a log, with values that know the next reward and nothing of what follows."""
        states = data.states.astype(np.float64)
        return ScoredPolicy("the scored one", self.scored(states), Values(states @ PAYS + 0.3))
