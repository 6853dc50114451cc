"""Collection against a loop over single environments: useful steps a second, the table included, as a ratio.

The loop does what the seed's helper does for each step: environments in a dictionary, one after the other and without a
cap, ``numpy.random.choice`` for the action, the episode's number from the environment's name, a list of cells; one
DataFrame at the end (its probabilities stay lists; ours become text). Both sides run alternately in this process,
pinned to one core and measured in CPU time; the median of the rounds' ratios counts. Making environments is not
measured.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
from figures import Figure, show

from batchrl.collect import EnvId, collect, make_simulator, to_frame
from batchrl.collect.environments import quiet
from batchrl.policies import UniformPolicy

ENV = "CartPole-v0"
N_ENVS = 100
Side = Callable[[int], Callable[[], pd.DataFrame]]


@dataclass(frozen=True)
class Case:
    """One comparison.

    Args:
        episodes: episodes for each of the environments.
        rounds: how often both sides run.
        target: ratio that the product has to reach.
    """

    episodes: int
    rounds: int
    target: float


CASES = (Case(5, 9, 12.0), Case(200, 3, 18.0))


class SingleEnvironments:
    """Environments that are stepped one by one, as the seed's helper steps them."""

    def __init__(self) -> None:
        with quiet():
            self.envs = {f"environment_{index}": gym.make(ENV).unwrapped for index in range(N_ENVS)}
        self.states = {name: env.reset(seed=index)[0] for index, (name, env) in enumerate(self.envs.items())}
        self.played = dict.fromkeys(self.envs, 0)
        self.rows: list[list[Any]] = []

    def step(self, name: str, action: int) -> tuple[float, bool]:
        env = self.envs[name]
        state, reward, done, _, _ = env.step(action)
        self.states[name] = state
        return float(reward), done

    def play(self, name: str, probabilities: list[float]) -> None:
        """One episode of one environment."""
        done, total = False, 0.0
        while not done:
            row: list[Any] = []
            action = np.random.choice(len(probabilities), p=probabilities)
            state = self.states[name]
            reward, done = self.step(name, action)
            total += reward
            episode = int(name.split("_")[-1]) + N_ENVS * self.played[name]
            row.extend([action, probabilities, episode, reward, total if done else 0.0])
            for feature in range(len(state)):
                row.append(state[feature])
            self.rows.append(row)
        self.states[name] = self.envs[name].reset()[0]
        self.played[name] += 1

    def collect(self, episodes: int) -> pd.DataFrame:
        for name in self.envs:
            probabilities = list(np.array([0.5, 0.5]))
            for _ in range(episodes):
                self.play(name, probabilities)
        features = [f"state_feature_{feature}" for feature in range(4)]
        names = ["action", "all_action_probabilities", "episode_id", "reward", "cumulative_rewards", *features]
        return pd.DataFrame(self.rows, columns=names)


def loop(episodes: int) -> Callable[[], pd.DataFrame]:
    """One environment after the other, one step at a time."""
    environments = SingleEnvironments()
    return lambda: environments.collect(episodes)


def collector(episodes: int) -> Callable[[], pd.DataFrame]:
    """The product's way to the same table."""
    simulator = make_simulator(EnvId(ENV), N_ENVS)
    return lambda: to_frame(collect(simulator, UniformPolicy(simulator.n_actions), episodes=episodes))


def compare(case: Case) -> Figure:
    """Run both sides alternately; the median of the rounds' ratios."""
    rates: dict[Side, list[float]] = {loop: [], collector: []}
    for _ in range(case.rounds):
        for side, measured in rates.items():
            run = side(case.episodes)
            begun = time.process_time()
            rows = len(run())
            measured.append(rows / (time.process_time() - begun))
    slow, fast = statistics.median(rates[loop]), statistics.median(rates[collector])
    what = f"{N_ENVS} envs x {case.episodes} episodes ({fast:,.0f} against {slow:,.0f} steps/s)"
    ratios = [product / other for product, other in zip(rates[collector], rates[loop], strict=True)]
    return Figure(what, statistics.median(ratios), "x", case.target, at_least=True)


def main() -> None:
    # One core for both sides.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for warm_up in (loop, collector):
        warm_up(1)()
    for case in CASES:
        show(compare(case))


if __name__ == "__main__":
    main()
