"""``VectoredGymEnvironment``: the collection helper that the seed's notebook used, with its old methods.

What is as it was: method names, one row of action probabilities for each environment, environment ``i`` named
``environment_<i>``, ``episode_id = i + number of environments * episodes it played before``, exactly the seed's
columns, rows that accumulate over calls. What differs: episodes end at the environment's own cap (the old class took
it off: a good policy never came to an end), everything is seeded, steps mode works, and probabilities are JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batchrl.collect.environments import ACTION_MASK, AnyEnv, EnvId, flat_state, make_simulator, make_single
from batchrl.collect.rollouts import collect
from batchrl.collect.table import probability_texts, to_frame
from batchrl.contract import columns, jsontext
from batchrl.contract.errors import InputError
from batchrl.policies import FixedPolicy, Floats32, Floats64


class VectoredGymEnvironment:
    """Several copies of an environment, collected from together or stepped one by one.

    Whole episodes are played by the vectorised collector as long as nobody has looked at single states; from the first
    look on, every environment is stepped alone, so that it goes on from the very state that was shown.

    Args:
        registered_gym_env: Gymnasium id.
        num_of_envs: number of copies.
        seed: environment ``i`` starts from ``seed + i`` when stepped alone; actions are drawn from it too.

    Raises:
        InputError: there is no such environment, or its spaces are not supported.
    """

    def __init__(self, registered_gym_env: str, num_of_envs: int = 1, seed: int = 0) -> None:
        self._env = EnvId(registered_gym_env)
        self.num_of_envs = num_of_envs
        self._seed = seed
        self._simulator = make_simulator(self._env, num_of_envs)
        self.state_dims = self._simulator.n_features
        self._calls = 0
        self._frames: list[pd.DataFrame] = []
        self._random = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
        self._played = np.zeros(num_of_envs, dtype=np.int64)
        self._alone: list[AnyEnv] = []
        self._states: list[Floats32] = []
        self._running = np.zeros(num_of_envs)

    def is_initialized(self) -> bool:
        """Whether the environments exist; they do from the start."""
        return True

    def get_environment_ids(self) -> list[str]:
        """``environment_0``, ``environment_1`` and so on."""
        return [f"environment_{index}" for index in range(self.num_of_envs)]

    def get_environment_states(self) -> dict[str, Floats32]:
        """Current state ``[d]`` of each environment, by its id."""
        self._single_out()
        return dict(zip(self.get_environment_ids(), self._states, strict=True))

    def dump_environment_states(self, dir_path: str | Path, file_name: str) -> None:
        """Write the current states, one JSON list a line: the input of a batch transform."""
        lines = [json.dumps(state.tolist()) for state in self.get_environment_states().values()]
        (Path(dir_path) / file_name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def step(self, environment_id: str, action: int) -> tuple[Floats32, float, bool, dict[str, Any]]:
        """Step one environment: its next state, the reward, whether the episode ended (also at its cap), the info."""
        index = self._index(environment_id)
        observation, reward, terminal, truncated, info = self._alone[index].step(
            int(action) + self._simulator.first_action
        )
        self._states[index] = flat_state(self._alone[index], observation)
        return self._states[index], float(reward), terminal or truncated, info

    def reset(self, environment_id: str) -> Floats32:
        """Start a new episode in one environment."""
        index = self._index(environment_id)
        self._states[index] = flat_state(self._alone[index], self._alone[index].reset()[0])
        self._running[index] = 0
        return self._states[index]

    def reset_all_envs(self) -> None:
        """Start a new episode in every environment."""
        for environment_id in self.get_environment_ids():
            self.reset(environment_id)

    def render(self, environment_id: str) -> Any:
        """What the environment renders of itself."""
        return self._alone[self._index(environment_id)].render()

    def close(self, environment_id: str) -> None:
        """Release one environment."""
        self._alone[self._index(environment_id)].close()

    def collect_rollouts_with_given_action_probs(
        self,
        num_steps: int | None = None,
        num_episodes: int | None = None,
        action_probs: Any = None,
        file_name: str | Path | None = None,
    ) -> pd.DataFrame:
        """Play every environment with a row of action probabilities of its own.

        Args:
            num_steps: steps for each environment; an episode that is not over then goes on in the next call.
            num_episodes: episodes for each environment; give this or ``num_steps``.
            action_probs: ``[num_of_envs, A]``; rows are scaled to sum to one.
            file_name: JSON lines of a batch transform instead, one for each environment, with
                ``{"predictions": [[...]]}``, possibly inside ``"SageMakerOutput"``.

        Returns:
            All rows since the environments were made, in the seed's columns.

        Raises:
            InputError: not exactly one of either pair was given, or the probabilities do not fit.
        """
        if (action_probs is None) == (file_name is None):
            raise InputError("give either action_probs or file_name.")
        if (num_steps is None) == (num_episodes is None):
            raise InputError("give either num_steps or num_episodes.")
        policy = FixedPolicy(_predictions(Path(file_name)) if file_name is not None else action_probs)
        if policy.rows.shape != (self.num_of_envs, self._simulator.n_actions):
            raise InputError(
                f"action probabilities of shape {policy.rows.shape} given; {self.num_of_envs} environments with "
                f"{self._simulator.n_actions} actions need one row each."
            )
        if num_episodes is not None and not self._alone:
            self._collect_together(policy, num_episodes)
        else:
            for environment_id, row in zip(self.get_environment_ids(), policy.rows, strict=True):
                self._collect_alone(environment_id, row, num_steps, num_episodes)
        return pd.concat(self._frames, ignore_index=True)

    def collect_rollouts_for_single_env_with_given_episodes(
        self, environment_id: str, action_prob: Any, num_episodes: int
    ) -> None:
        """Play episodes in one environment; the rows come with the next table."""
        self._collect_alone(environment_id, FixedPolicy(action_prob).rows[0], None, num_episodes)

    def collect_rollouts_for_single_env_with_given_steps(
        self, environment_id: str, action_prob: Any, num_steps: int
    ) -> None:
        """Play steps in one environment; the rows come with the next table."""
        self._collect_alone(environment_id, FixedPolicy(action_prob).rows[0], num_steps, None)

    def _collect_together(self, policy: FixedPolicy, episodes: int) -> None:
        seed = int(np.random.SeedSequence([self._seed, self._calls]).generate_state(1)[0])
        self._calls += 1
        frame = to_frame(collect(self._simulator, policy, episodes=episodes, seed=seed))
        frame[columns.EPISODE_ID] += self.num_of_envs * int(self._played[0])
        self._played += episodes
        self._frames.append(frame)

    def _collect_alone(self, environment_id: str, row: Floats64, steps: int | None, episodes: int | None) -> None:
        index = self._index(environment_id)
        records: list[tuple[Any, ...]] = []
        ends = 0
        while len(records) < steps if steps is not None else ends < (episodes or 0):
            action = int(self._random.choice(len(row), p=row))
            state = self._states[index]
            _, reward, done, info = self.step(environment_id, action)
            if ACTION_MASK in info:
                raise InputError(
                    f"{self._env.name} says which actions can be taken ('{ACTION_MASK}'); environments that are "
                    "stepped alone are not kept to that.",
                    "Collect whole episodes before anything looks at a state, or with: batchrl collect",
                )
            self._running[index] += reward
            episode = index + self.num_of_envs * int(self._played[index])
            records.append((action, episode, reward, float(self._running[index]) if done else 0.0, *state))
            if done:
                ends += 1
                self._played[index] += 1
                self.reset(environment_id)
        features = [f"{columns.STATE_FEATURE_PREFIX}{feature}" for feature in range(self.state_dims)]
        names = [columns.ACTION, columns.EPISODE_ID, columns.REWARD, columns.CUMULATIVE_REWARDS, *features]
        frame = pd.DataFrame(records, columns=names)
        frame.insert(1, columns.ALL_ACTION_PROBABILITIES, probability_texts(np.tile(row, (len(frame), 1))))
        self._frames.append(frame)

    def _single_out(self) -> None:
        """From here on every environment is stepped alone; nobody has seen a state of the others."""
        if self._alone:
            return
        self._alone = [make_single(self._env) for _ in range(self.num_of_envs)]
        first = self._seed + int(self._played[0]) * self.num_of_envs
        self._states = [flat_state(env, env.reset(seed=first + index)[0]) for index, env in enumerate(self._alone)]

    def _index(self, environment_id: str) -> int:
        names = self.get_environment_ids()
        if environment_id not in names:
            raise InputError(f"there is no '{environment_id}'.", f"Environments: {names[0]} to {names[-1]}.")
        self._single_out()
        return names.index(environment_id)


def _predictions(path: Path) -> list[list[float]]:
    """One row of probabilities for each line of a batch transform's output."""
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            parsed = jsontext.parsed(line)
            row = parsed.get("SageMakerOutput", parsed)["predictions"][0]
            rows.append([float(value) for value in row])
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise InputError(
                f"{path}, line {number}: no predictions ({type(error).__name__}: {error}).",
                'Each line is {"predictions": [[p0, p1, ...]]}, possibly inside "SageMakerOutput".',
            ) from error
    return rows
