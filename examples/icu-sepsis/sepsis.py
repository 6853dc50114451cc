"""ICU-Sepsis (Choudhary, Gupta & Thomas 2024) from its published tables: the simulator, and who treats in the log.

    batchrl collect --env sepsis:ICUSepsis-v0 --policy sepsis:Clinicians --output log.parquet

A patient is in one of 713 states; each step a dose of fluids and one of vasopressors is given, 5 x 5 actions. It ends
with survival (1) or death (0). In each state only some actions are eligible, those that clinicians took often enough to
tell what comes of them; the tables give the others the mean of what comes of these.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from batchrl.policies import among_eligible

TABLES = Path(__file__).parent / "tables"
STATES, ACTIONS = 716, 25
# The states from this one on end an episode: death, survival, and one that is never reached.
FIRST_END, SURVIVAL = 713, 714
# How often the clinicians of the log draw any eligible action; else they act as was estimated of real ones.
EXPLORING = 0.2


@dataclass(frozen=True)
class Tables:
    """What is published.

    Args:
        transitions: ``[S, A, S]``, probabilities of the next state.
        start: ``[S]``, of the first one.
        clinicians: ``[S, A]``, of the actions under the policy estimated of clinicians, eligible or not.
        eligible: ``[S, A]``, flags.
    """

    transitions: np.ndarray
    start: np.ndarray
    clinicians: np.ndarray
    eligible: np.ndarray


@functools.cache
def tables() -> Tables:
    """The tables, read once: all copies of the simulator share them."""
    with np.load(TABLES / "dynamics.npz", allow_pickle=False) as packed:
        transitions, start, clinicians = packed["tx_mat"], packed["d_0"], packed["expert_policy"]
    eligible = np.zeros((STATES, ACTIONS), dtype=np.bool_)
    # The first line says how many actions each state has, each further one which they are.
    _, *lines = (TABLES / "admissible_actions.txt").read_text().splitlines()
    for state, line in enumerate(lines):
        eligible[state, [int(action) for action in line.split()]] = True
    return Tables(transitions, start, clinicians, eligible)


class ICUSepsis(gym.Env):
    """One patient after the other; the package's own environment with the same seed has the same patients."""

    observation_space = gym.spaces.Discrete(STATES)
    action_space = gym.spaces.Discrete(ACTIONS)

    def __init__(self) -> None:
        self._tables = tables()
        self._state = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        return self._drawn(self._tables.start)

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        state, info = self._drawn(self._tables.transitions[self._state, action])
        return state, float(state == SURVIVAL), state >= FIRST_END, False, info

    def _drawn(self, chances: np.ndarray) -> tuple[int, dict[str, Any]]:
        self._state = int(self.np_random.choice(STATES, p=chances))
        # Gymnasium's name for what can be taken: whoever plays keeps to it, and the log has it.
        return self._state, {"action_mask": self._tables.eligible[self._state].copy()}


gym.register("ICUSepsis-v0", entry_point=ICUSepsis, max_episode_steps=500)


def clinicians() -> np.ndarray:
    """The mixture that fills the log, ``[S, A]``: as clinicians treat, and now and then any eligible action."""
    known = tables()
    as_they_treat = among_eligible(known.clinicians, known.eligible)
    return (1 - EXPLORING) * as_they_treat + EXPLORING * known.eligible / known.eligible.sum(axis=1, keepdims=True)


class Clinicians:
    """The mixture as a policy of states as the log has them: ``[B, S]``, 1 in the state's own column."""

    def __init__(self) -> None:
        self._policy = clinicians()

    def action_probabilities(self, states: np.ndarray) -> np.ndarray:
        """Probabilities ``[B, A]``."""
        return self._policy[states.argmax(axis=1)]
