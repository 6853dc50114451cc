"""Plays episodes in vectorised environments and keeps every step.

Every environment contributes the same number of episodes, or of steps. Taking the first N episodes to finish would
favour short ones; an environment that has played its share idles instead, and what it does then is dropped.
Gymnasium's next-step autoreset spends one step on each reset: those rows are dropped as well. The policy is asked for
the rows that count and for no others: where it is an endpoint or a job, every row has its price. Where fewer copies are
in memory than environments are played, the copies take turns: an environment has the seed and the random numbers of its
own place, whichever copy plays it, so that turns change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from batchrl.collect.environments import ACTION_MASK, Simulator
from batchrl.collect.recording import Recording
from batchrl.contract.errors import InputError
from batchrl.policies import SUM_TOLERANCE, FixedPolicy, Floats32, Floats64, Policy, kept_to

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Progress = Callable[[int, int], None]

DRAWS_AHEAD = 256
REPORT_EVERY = 64


@dataclass(frozen=True)
class Rollouts:
    """Steps of several episodes, an episode's own in order and together.

    Args:
        actions: ``[N]``, from 0.
        probabilities: ``[N, A]``, of all actions under the policy that acted.
        episode_ids: ``[N]``: environment + number of environments * episodes it played before.
        rewards: ``[N]``.
        states: ``[N, d]``, before the action.
        next_states: ``[N, d]``, after it; of a last step the state in which the episode ended.
        terminal: ``[N]``, whether the environment ended there.
        truncated: ``[N]``, whether the episode was cut there: by its cap, or by the end of the collection.
        unfinished: ``[N]``, whether it was the end of the collection.
        eligible: ``[N, A]``, which actions could be taken; None where the environments do not say.
    """

    actions: Integers
    probabilities: Floats64
    episode_ids: Integers
    rewards: Floats64
    states: Floats32
    next_states: Floats32
    terminal: Flags
    truncated: Flags
    unfinished: Flags
    eligible: Flags | None = None

    @property
    def steps(self) -> int:
        """Number of logged steps."""
        return len(self.actions)

    @property
    def starts(self) -> Integers:
        """First row of each episode, ``[n]``."""
        changes = np.flatnonzero(self.episode_ids[1:] != self.episode_ids[:-1]) + 1
        return np.concatenate([np.zeros(min(self.steps, 1), dtype=np.int64), changes])

    @property
    def lasts(self) -> Integers:
        """Last row of each episode, ``[n]``."""
        return np.append(self.starts[1:], self.steps)[: len(self.starts)] - 1

    @property
    def returns(self) -> Floats64:
        """Undiscounted sum of rewards of each episode, ``[n]``."""
        if not self.steps:
            return np.zeros(0)
        sums: Floats64 = np.add.reduceat(self.rewards, self.starts)
        return sums

    def discounted_returns(self, discount: float) -> Floats64:
        """Sum of rewards of each episode, those of later steps discounted, ``[n]``."""
        if not self.steps:
            return np.zeros(0)
        starts = self.starts
        ahead = np.arange(self.steps) - np.repeat(starts, np.diff(np.append(starts, self.steps)))
        sums: Floats64 = np.add.reduceat(np.power(discount, ahead) * self.rewards, starts)
        return sums


def collect(
    simulator: Simulator,
    policy: Policy,
    *,
    episodes: int | None = None,
    steps: int | None = None,
    seed: int | None = 0,
    progress: Progress | None = None,
) -> Rollouts:
    """Play with a policy until every environment has played its share.

    Args:
        simulator: the environments; they are reset first.
        policy: who acts.
        episodes: whole episodes for each environment; give these or ``steps``.
        steps: steps for each environment; an episode that is not over by then is kept and marked truncated.
        seed: of environments and actions; None leaves it to chance.
        progress: told how many episodes (or steps) of all are done, now and then.

    Raises:
        InputError: not exactly one of ``episodes`` and ``steps`` was given, or the policy does not fit.
    """
    if (given := steps if episodes is None else episodes) is None or (episodes is not None and steps is not None):
        raise InputError("give either a number of episodes or a number of steps.")
    share = _Share(given, in_episodes=episodes is not None)
    if share.size < 1:
        raise InputError("give at least one episode, or one step, for each environment.")
    parts = []
    for first in range(0, simulator.n_envs, simulator.copies):
        turn = _Turn(first, min(first + simulator.copies, simulator.n_envs), simulator.n_envs)
        # Spawned, so that the actions are not drawn from the numbers that the environments use.
        random = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
        start = _Start.of(simulator, turn, seed)
        actor = _Actor(policy, simulator, random, turn, masked=start.eligible is not None)
        recording = _play(simulator, actor, share, turn, start, progress)
        parts.append(_rollouts(recording, actor, share, turn))
    return parts[0] if len(parts) == 1 else _together(parts)


def _together(parts: list[Rollouts]) -> Rollouts:
    """One after the other."""
    masks = [part.eligible for part in parts if part.eligible is not None]
    names = [each.name for each in fields(Rollouts) if each.name != "eligible"]
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Rollouts(**arrays, eligible=np.concatenate(masks) if masks else None)


@dataclass(frozen=True)
class _Turn:
    """The environments ``first`` to ``end`` of ``n_envs``, which are played at once."""

    first: int
    end: int
    n_envs: int

    @property
    def size(self) -> int:
        return self.end - self.first

    def of(self, numbers: Floats64) -> Floats64:
        """Those of its environments among numbers ``[T, n_envs]``."""
        return numbers[:, self.first : self.end]


class _Actor:
    """Draws actions; a policy that looks neither at the state nor at masks is asked once and drawn from in blocks.

    Numbers are drawn for all environments, whoever plays now: each has its own.
    """

    def __init__(
        self, policy: Policy, simulator: Simulator, random: np.random.Generator, turn: _Turn, masked: bool
    ) -> None:
        self._policy = policy
        self._n_actions = simulator.n_actions
        self._random = random
        self._turn = turn
        self.fixed: Floats64 | None = None
        if isinstance(policy, FixedPolicy):
            rows = self._answer(np.zeros((simulator.n_envs, simulator.n_features), dtype=np.float32))
            self.fixed = rows[turn.first : turn.end]
        if self.fixed is not None and masked:
            self._policy, self.fixed = FixedPolicy(self.fixed), None
        self._block: Integers = np.zeros((0, turn.size), dtype=np.int64)
        self._next = 0
        self.asked: list[Floats64] = []

    def act(self, states: Floats32, live: Flags, eligible: Flags | None) -> Integers:
        """Actions ``[B]`` in the turn's states ``[B, d]``, from 0; where not ``live`` ``[B]``, any action does.

        Of those that are ``eligible`` ``[B, A]``; None: of all.
        """
        if self.fixed is None:
            probabilities = self._asked(states, live, eligible)
            self.asked.append(probabilities)
            return _drawn(probabilities, self._uniform(1)).reshape(-1)
        if self._next == len(self._block):
            self._block = _drawn(self.fixed, self._uniform(DRAWS_AHEAD))
            self._next = 0
        chosen: Integers = self._block[self._next]
        self._next += 1
        return chosen

    def _uniform(self, steps: int) -> Floats64:
        return self._turn.of(self._random.random((steps, self._turn.n_envs)))

    def _asked(self, states: Floats32, live: Flags, eligible: Flags | None) -> Floats64:
        """``[B, A]``; where nobody acts, 0, or an eligible action at random."""
        if live.all():
            return self._answer(states, eligible)
        probabilities = np.zeros((len(states), self._n_actions))
        if eligible is not None:
            probabilities = eligible / eligible.sum(axis=1, keepdims=True)
        if live.any():
            probabilities[live] = self._answer(states[live], None if eligible is None else eligible[live], live)
        return probabilities

    def _answer(self, states: Floats32, eligible: Flags | None = None, rows: Flags | None = None) -> Floats64:
        policy = self._policy
        if rows is not None and isinstance(policy, FixedPolicy) and len(policy.rows) > 1:
            policy = FixedPolicy(policy.rows[rows])
        probabilities = np.asarray(kept_to(policy, states, eligible), dtype=np.float64)
        shape = (len(states), self._n_actions)
        if probabilities.shape != shape:
            raise InputError(
                f"the policy answered with probabilities of shape {probabilities.shape}; "
                f"{shape[0]} environments with {shape[1]} actions need {shape}."
            )
        sums = probabilities.sum(axis=1)
        if not (np.abs(sums - 1) < SUM_TOLERANCE).all() or probabilities.min() < 0:
            row = probabilities[int(np.argmax(np.abs(np.nan_to_num(sums, nan=np.inf) - 1)))]
            raise InputError(f"the policy answered {row.tolist()}, which are no probabilities.")
        return probabilities


def _drawn(probabilities: Floats64, uniform: Floats64) -> Integers:
    """Actions ``[T, B]`` for uniform numbers ``[T, B]``, by the inverse of the cumulative probabilities ``[B, A]``."""
    actions = np.zeros(uniform.shape, dtype=np.int64)
    possible = np.cumsum(probabilities, axis=1)
    # The last possible action takes what rounding leaves, so that no action of probability 0 is ever drawn.
    total = possible[:, -1]
    for action in range(probabilities.shape[1] - 1):
        bound = possible[:, action]
        actions += (uniform * total >= bound) & (bound < total)
    return actions


@dataclass(frozen=True)
class _Share:
    """What each environment has to play: so many episodes, or so many steps."""

    size: int
    in_episodes: bool


@dataclass(frozen=True)
class _Start:
    """Where a turn begins: its states ``[B, d]``, and what can be taken by all copies there, ``[copies, A]``."""

    states: Floats32
    eligible: Flags | None

    @classmethod
    def of(cls, simulator: Simulator, turn: _Turn, seed: int | None) -> _Start:
        observed, infos = simulator.vector.reset(seed=None if seed is None else seed + turn.first)
        return cls(simulator.flat(observed)[: turn.size], simulator.eligible(infos))


def _play(
    simulator: Simulator, actor: _Actor, share: _Share, turn: _Turn, start: _Start, progress: Progress | None
) -> Recording:
    """Step the environments of a turn together until the slowest has played its share."""
    vector, first_action = simulator.vector, simulator.first_action
    before, everything = share.size * turn.first, share.size * simulator.n_envs
    # In the last turn, copies beyond the turn's environments are stepped along and not looked at.
    n = turn.size
    states, eligible = start.states, start.eligible
    recording = Recording(states, None if eligible is None else eligible[:n])
    played = np.zeros(n, dtype=np.int64)
    done: Flags = np.zeros(n, dtype=np.bool_)
    everyones = np.zeros(simulator.copies, dtype=np.int64)
    while played.min() < share.size:
        actions = actor.act(states, (played < share.size) & ~done, None if eligible is None else eligible[:n])
        everyones[:n] = actions
        if eligible is not None:
            everyones[n:] = eligible[n:].argmax(axis=1)
        observed, reward, terminal, truncated, infos = vector.step(everyones + first_action)
        states, terminal, truncated = simulator.flat(observed)[:n], terminal[:n], truncated[:n]
        if eligible is not None:
            eligible = _still_said(simulator.eligible(infos))
        recording.add(actions, states, reward[:n], terminal, truncated, None if eligible is None else eligible[:n])
        was_reset, done = done, terminal | truncated
        played += done if share.in_episodes else ~was_reset
        if progress is not None and recording.length % REPORT_EVERY == 0:
            progress(before + int(np.minimum(played, share.size).sum()), everything)
    if progress is not None:
        progress(before + share.size * n, everything)
    return recording


def _still_said(eligible: Flags | None) -> Flags:
    if eligible is None:
        raise InputError(
            f"the environment said at its reset which actions can be taken ('{ACTION_MASK}'), but not at a step.",
            "Right is the mask in the info of every reset and step.",
        )
    return eligible


def _rollouts(recording: Recording, actor: _Actor, share: _Share, turn: _Turn) -> Rollouts:
    """The rows that count, environment by environment."""
    done = recording.terminal | recording.truncated
    is_step = np.ones_like(done)
    is_step[1:] = ~done[:-1]
    number = np.cumsum(~is_step, axis=0)
    if share.in_episodes:
        kept = is_step & (number < share.size)
        unfinished = np.zeros_like(done)
    else:
        count = np.cumsum(is_step, axis=0)
        kept = is_step & (count <= share.size)
        unfinished = is_step & (count == share.size) & ~done
    environment, time = np.nonzero(kept.T)
    at = time * done.shape[1] + environment

    def picked(recorded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Rows ``[N, ...]`` of what was recorded as ``[T, B, ...]``; one flat index is much faster than two."""
        rows: npt.NDArray[Any] = recorded.reshape(-1, *recorded.shape[2:]).take(at, axis=0)
        return rows

    terminal, cut = picked(recording.terminal), picked(unfinished)
    eligible = recording.eligible
    return Rollouts(
        actions=picked(recording.actions),
        probabilities=actor.fixed.take(environment, axis=0)
        if actor.fixed is not None
        else picked(np.stack(actor.asked)),
        episode_ids=turn.first + environment + turn.n_envs * picked(number),
        rewards=picked(recording.rewards),
        states=picked(recording.states[:-1]),
        next_states=picked(recording.states[1:]),
        terminal=terminal,
        truncated=(picked(recording.truncated) & ~terminal) | cut,
        unfinished=cut,
        eligible=None if eligible is None else picked(eligible),
    )
