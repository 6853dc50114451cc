"""Many copies of one environment, which log episodes of a policy in the columns that the article reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd


class VectoredGymEnvironment:
    """Copies of an environment of Gymnasium.

    Args:
        registered_gym_env: its id.
        num_of_envs: number of copies.
        seed: of the environments, and of the actions that are drawn.
    """

    def __init__(self, registered_gym_env: str, num_of_envs: int = 1, seed: int = 0) -> None:
        self.environments: list[Any] = [gymnasium.make(registered_gym_env) for _ in range(num_of_envs)]
        self.states = [env.reset(seed=seed + index)[0] for index, env in enumerate(self.environments)]
        self._random = np.random.default_rng(seed)

    def collect_rollouts_with_given_action_probs(self, action_probs: Any, num_episodes: int) -> pd.DataFrame:
        """Play whole episodes; ``action_probs`` has a row of probabilities for each environment."""
        rows = []
        for index, probabilities in enumerate(action_probs):
            for played in range(num_episodes):
                state, over, total = self.reset(index), False, 0.0
                while not over:
                    action = int(self._random.choice(len(probabilities), p=probabilities))
                    row = {
                        "action": action,
                        "all_action_probabilities": json.dumps(list(probabilities)),
                        "episode_id": index + len(self.environments) * played,
                        **{f"state_feature_{place}": value for place, value in enumerate(state)},
                    }
                    state, reward, over = self.step(index, action)
                    total += reward
                    rows.append(row | {"reward": reward, "cumulative_rewards": total if over else 0.0})
        return pd.DataFrame(rows)

    def reset(self, index: int) -> Any:
        """Begin an episode in one environment; its first state."""
        self.states[index] = self.environments[index].reset()[0]
        return self.states[index]

    def step(self, index: int, action: int) -> tuple[Any, float, bool]:
        """The next state of one environment, the reward, and whether the episode is over."""
        self.states[index], reward, terminal, truncated, _ = self.environments[index].step(action)
        return self.states[index], float(reward), bool(terminal or truncated)

    def dump_environment_states(self, dir_path: str | Path, file_name: str) -> None:
        """Write the current states, a JSON list a line: what a batch transform reads."""
        lines = [json.dumps([float(value) for value in state]) for state in self.states]
        (Path(dir_path) / file_name).write_text("\n".join(lines) + "\n")
