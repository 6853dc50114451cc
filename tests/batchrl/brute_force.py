"""A small decision problem with its exact values, and the estimators written out from the papers, one loop a sum.

Nothing here is shared with the library: it is what the library is held against.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

END = -1
DISCOUNT = 0.9


@dataclass(frozen=True)
class Step:
    state: int
    action: int
    reward: float


@dataclass(frozen=True)
class Mdp:
    """Tabular, at most ``horizon`` steps; ``following[s, a, s']`` sums to less than 1, the rest ends the episode."""

    start: np.ndarray
    following: np.ndarray
    rewards: np.ndarray
    behavior: np.ndarray
    policy: np.ndarray
    horizon: int

    @classmethod
    def random(cls, seed: int, states: int = 3, actions: int = 2, horizon: int = 4) -> Mdp:
        rng = np.random.default_rng(seed)
        likely = 0.2 + rng.dirichlet(np.ones(actions) * 3, size=states)
        return cls(
            start=rng.dirichlet(np.ones(states)),
            following=rng.dirichlet(np.ones(states + 1), size=(states, actions))[..., :states],
            rewards=rng.normal(0.5, 1, size=(states, actions)),
            behavior=likely / likely.sum(axis=1, keepdims=True),
            policy=rng.dirichlet(np.ones(actions), size=states),
            horizon=horizon,
        )

    def value(self, policy: np.ndarray, discount: float = DISCOUNT) -> float:
        """The exact discounted return from the start, by dynamic programming."""
        values = np.zeros(len(self.start))
        for _ in range(self.horizon):
            q_values = self.rewards + discount * self.following @ values
            values = (policy * q_values).sum(axis=1)
        return float(self.start @ values)

    def state_probabilities(self, policy: np.ndarray) -> np.ndarray:
        """``[T, S + 1]``, where an episode is at each step; the last column: over."""
        now = np.append(self.start, 0.0)
        rows = []
        for _ in range(self.horizon):
            rows.append(now)
            moved = np.einsum("s,sa,saz->z", now[:-1], policy, self.following)
            now = np.append(moved, 1 - moved.sum())
        return np.array(rows)

    def paths(self) -> Iterator[tuple[list[Step], float]]:
        """Every episode with its probability under the logging policy."""
        for state in range(len(self.start)):
            yield from self._continued([], state, float(self.start[state]))

    def _continued(self, done: list[Step], state: int, chance: float) -> Iterator[tuple[list[Step], float]]:
        for action in range(self.rewards.shape[1]):
            taken = chance * self.behavior[state, action]
            steps = [*done, Step(state, action, float(self.rewards[state, action]))]
            if len(steps) == self.horizon:
                yield steps, taken
                continue
            yield steps, taken * (1 - self.following[state, action].sum())
            for after in range(len(self.start)):
                yield from self._continued(steps, after, taken * self.following[state, action, after])

    def sample(self, rng: np.random.Generator, n: int) -> list[list[Step]]:
        """Logged episodes; rewards are noisy."""
        episodes = []
        for _ in range(n):
            state = int(rng.choice(len(self.start), p=self.start))
            steps: list[Step] = []
            while state != END and len(steps) < self.horizon:
                action = int(rng.choice(self.rewards.shape[1], p=self.behavior[state]))
                steps.append(Step(state, action, float(self.rewards[state, action] + rng.normal(0, 0.3))))
                chances = self.following[state, action]
                drawn = int(rng.choice(len(chances) + 1, p=np.append(chances, 1 - chances.sum())))
                state = END if drawn == len(chances) else drawn
            episodes.append(steps)
        return episodes


class Loops:
    """The estimators of one policy on some episodes; ``q`` is any table of values, ``ends`` values after the ends."""

    def __init__(self, mdp: Mdp, episodes: list[list[Step]], q: np.ndarray, ends: list[float] | None = None) -> None:
        self.mdp, self.episodes, self.q = mdp, episodes, q
        self.ends = [0.0] * len(episodes) if ends is None else ends
        self.n = len(episodes)
        self.longest = max(len(steps) for steps in episodes)

    def ratio(self, step: Step) -> float:
        return float(self.mdp.policy[step.state, step.action] / self.mdp.behavior[step.state, step.action])

    def v(self, state: int) -> float:
        return float(sum(p * q for p, q in zip(self.mdp.policy[state], self.q[state], strict=True)))

    def weight(self, episode: int, step: int) -> float:
        """The product of the ratios up to a step, -1 being before the first; an ended episode keeps its last."""
        product = 1.0
        for each in self.episodes[episode][: step + 1]:
            product *= self.ratio(each)
        return product

    def omega(self, episode: int, step: int) -> float:
        return self.weight(episode, step) / sum(self.weight(other, step) for other in range(self.n))

    def returned(self, episode: int) -> float:
        return sum(DISCOUNT**t * step.reward for t, step in enumerate(self.episodes[episode]))

    def importance_sampling(self) -> float:
        return sum(self.weight(i, self.longest) * self.returned(i) for i in range(self.n)) / self.n

    def weighted_importance_sampling(self) -> float:
        return sum(self.omega(i, self.longest) * self.returned(i) for i in range(self.n))

    def per_decision(self) -> float:
        return sum(DISCOUNT**t * self.weight(i, t) * step.reward for i, t, step in self._steps()) / self.n

    def weighted_per_decision(self) -> float:
        return sum(DISCOUNT**t * self.omega(i, t) * step.reward for i, t, step in self._steps())

    def direct(self) -> float:
        return sum(self.v(steps[0].state) for steps in self.episodes) / self.n

    def sequential_doubly_robust(self) -> float:
        total = 0.0
        for steps, end in zip(self.episodes, self.ends, strict=True):
            value = end
            for step in reversed(steps):
                correction = step.reward + DISCOUNT * value - self.q[step.state, step.action]
                value = self.v(step.state) + self.ratio(step) * correction
            total += value
        return total / self.n

    def weighted_doubly_robust(self) -> float:
        total = 0.0
        for i, t, step in self._steps():
            robust = self.omega(i, t) * (step.reward - self.q[step.state, step.action])
            total += DISCOUNT**t * (robust + self.omega(i, t - 1) * self.v(step.state))
        for i, end in enumerate(self.ends):
            last = len(self.episodes[i])
            total += DISCOUNT**last * self.omega(i, last - 1) * end
        return total

    def blended(self, horizon: int) -> float:
        """``g^(j)`` of MAGIC: rewards up to step j, then the model, less the control variate up to j."""
        total = 0.0
        for i, steps in enumerate(self.episodes):
            for t, step in enumerate(steps[: horizon + 1]):
                total += DISCOUNT**t * self.omega(i, t) * (step.reward - self.q[step.state, step.action])
                total += DISCOUNT**t * self.omega(i, t - 1) * self.v(step.state)
            if horizon + 1 < len(steps):
                total += DISCOUNT ** (horizon + 1) * self.omega(i, horizon) * self.v(steps[horizon + 1].state)
            else:
                total += DISCOUNT ** len(steps) * self.omega(i, len(steps) - 1) * self.ends[i]
        return total

    def state_marginal(self, weights: np.ndarray, normalised: bool) -> float:
        """Weights ``[T, S + 1]``, ratios of the probabilities of being in a state, or over, at each step."""
        total = 0.0
        for t in range(self.longest):
            here = [
                weights[t, steps[t].state] * self.ratio(steps[t]) if t < len(steps) else weights[t, -1]
                for steps in self.episodes
            ]
            paid = [steps[t].reward if t < len(steps) else 0.0 for steps in self.episodes]
            divisor = sum(here) if normalised else self.n
            total += DISCOUNT**t * sum(w * r for w, r in zip(here, paid, strict=True)) / divisor
        return total

    def _steps(self) -> Iterator[tuple[int, int, Step]]:
        for i, steps in enumerate(self.episodes):
            yield from zip(itertools.repeat(i), itertools.count(), steps)
