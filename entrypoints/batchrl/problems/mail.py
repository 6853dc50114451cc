"""The mail campaign for Gymnasium: one user, and many users at once, both by the tables of ``mail_model``."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from batchrl.policies import Floats32, Floats64
from batchrl.problems.finite import Flags, Integers
from batchrl.problems.mail_model import ACTIONS, FEATURES, WEEKS, features, mail_process

METADATA: dict[str, Any] = {"render_modes": []}
VECTOR_METADATA: dict[str, Any] = {**METADATA, "autoreset_mode": AutoresetMode.NEXT_STEP}


def observation_space() -> spaces.Box:
    """Nine features from 0 to 1: ``mail_model.FEATURES``."""
    return spaces.Box(0.0, 1.0, (len(FEATURES),), dtype=np.float32)


class MailCampaign(gym.Env[Any, np.int64]):
    """One user, for as long as the campaign lasts.

    The campaign's last week, and a user who leaves, are true ends: ``terminated``. Weeks left are observed, so a value
    needs nothing beyond the end.

    Args:
        render_mode: Gymnasium gives one to every environment; there is nothing to look at.
    """

    metadata = METADATA

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = observation_space()
        self.action_space = spaces.Discrete(len(ACTIONS))
        self._process = mail_process()
        self._state = np.zeros(1, dtype=np.int64)
        self._weeks_left = np.zeros(1, dtype=np.int64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats32, dict[str, Any]]:
        """A new user and a new campaign."""
        super().reset(seed=seed)
        self._state = self._process.draw_start(self.np_random.random(1))
        self._weeks_left = np.full(1, WEEKS)
        return self._observed(), {}

    def step(self, action: np.int64) -> tuple[Floats32, float, bool, bool, dict[str, Any]]:
        """One week."""
        before = self._state
        actions = np.full(1, action, dtype=np.int64)
        following = self._process.draw_next(before, actions, self.np_random.random(1))
        left = bool(following[0] == self._process.n_states)
        # Of a user who left, the last known state stays.
        self._state = before if left else following
        self._weeks_left = self._weeks_left - 1
        reward = float(self._process.reward[before[0], actions[0]])
        return self._observed(), reward, left or bool(self._weeks_left[0] == 0), False, {}

    def _observed(self) -> Floats32:
        row: Floats32 = features(self._state, self._weeks_left)[0]
        return row


class MailCampaignVector(VectorEnv[Any, Any, Any]):
    """Many users at once, each replaced by a new one in the step after the end (next-step autoreset).

    Args:
        num_envs: number of users.
        max_episode_steps: weeks after which an episode is cut (``truncated``); None lets campaigns come to their end.
    """

    metadata = VECTOR_METADATA

    def __init__(self, num_envs: int = 1, max_episode_steps: int | None = None) -> None:
        self.num_envs = num_envs
        self.single_observation_space = observation_space()
        self.single_action_space = spaces.Discrete(len(ACTIONS))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._process = mail_process()
        self._cap = WEEKS + 1 if max_episode_steps is None else max_episode_steps
        self._state: Integers = np.zeros(num_envs, dtype=np.int64)
        self._weeks_left: Integers = np.zeros(num_envs, dtype=np.int64)
        self._done: Flags = np.zeros(num_envs, dtype=np.bool_)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats32, dict[str, Any]]:
        """New users everywhere; one seed for all of them."""
        super().reset(seed=seed)  # type: ignore[arg-type]
        self._state = self._process.draw_start(self.np_random.random(self.num_envs))
        self._weeks_left = np.full(self.num_envs, WEEKS)
        self._done = np.zeros(self.num_envs, dtype=np.bool_)
        return features(self._state, self._weeks_left), {}

    def step(self, actions: Integers) -> tuple[Floats32, Floats64, Flags, Flags, dict[str, Any]]:
        """One week for everybody; where a campaign has ended, a new user comes instead, with reward 0."""
        fresh, before = self._done, self._state
        uniform = self.np_random.random(self.num_envs)
        following = self._process.draw_next(before, np.asarray(actions, dtype=np.int64), uniform)
        left = following == self._process.n_states
        reward = np.where(fresh, 0.0, self._process.reward[before, actions])
        self._state = np.where(left, before, following)
        self._weeks_left = self._weeks_left - 1
        if fresh.any():
            self._state[fresh] = self._process.draw_start(self.np_random.random(int(fresh.sum())))
            self._weeks_left[fresh] = WEEKS
        terminated = (left | (self._weeks_left == 0)) & ~fresh
        truncated = (WEEKS - self._weeks_left >= self._cap) & ~terminated & ~fresh
        self._done = terminated | truncated
        return features(self._state, self._weeks_left), reward, terminated, truncated, {}
