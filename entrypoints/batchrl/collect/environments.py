"""Gymnasium's vectorised environments as the collector needs them: flat states, discrete actions, next-step resets."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.spaces.utils import flatten
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

import batchrl.problems  # noqa: F401  (registers the product's own environments)
from batchrl.collect.copies import GIB, MIB, fitting
from batchrl.collect.observations import flat_size, flat_states
from batchrl.contract.errors import InputError
from batchrl.contract.limits import COPIES_GIB
from batchrl.policies import Flags, Floats32

# Gymnasium deprecates CartPole-v0 and may drop it; it is version 1 with an episode cap of 200 steps.
SUCCESSORS: dict[str, tuple[str, int]] = {"CartPole-v0": ("CartPole-v1", 200)}
# The key of an info that says which actions can be taken, as in Gymnasium's Taxi-v4.
ACTION_MASK = "action_mask"
AnyEnv = gym.Env[Any, Any]
AnyVectorEnv = VectorEnv[Any, Any, Any]


@dataclass(frozen=True)
class EnvId:
    """An environment and its episode cap.

    Args:
        name: Gymnasium id; ``module:id`` imports the module first.
        max_episode_steps: steps after which an episode is cut; None keeps the environment's own cap.
    """

    name: str
    max_episode_steps: int | None = None

    def resolved(self) -> EnvId:
        """The id that is really made: of a deprecated one, its successor with the old cap."""
        if self.name not in SUCCESSORS:
            return self
        name, cap = SUCCESSORS[self.name]
        return EnvId(name, self.max_episode_steps or cap)

    def options(self) -> dict[str, Any]:
        """Arguments for ``gymnasium.make``."""
        return {} if self.max_episode_steps is None else {"max_episode_steps": self.max_episode_steps}


@dataclass(frozen=True)
class Simulator:
    """Copies of one environment that are stepped together.

    Args:
        vector: Gymnasium's vector environment, with next-step autoreset.
        n_actions: number of actions.
        n_features: numbers in a flat state.
        wanted: number of environments to play, where that is more than fit into memory; the copies take turns at them.
        bytes_each: what one copy takes, in bytes; None where that was not measured.
    """

    vector: AnyVectorEnv
    n_actions: int
    n_features: int
    wanted: int | None = None
    bytes_each: int | None = None

    @property
    def n_envs(self) -> int:
        """Number of environments to play."""
        return self.wanted or self.copies

    @property
    def copies(self) -> int:
        """Number of environments that step together."""
        return self.vector.num_envs

    def notice(self) -> str | None:
        """In words that the copies take turns; None where they do not."""
        if self.copies == self.n_envs or self.bytes_each is None:
            return None
        return (
            f"one environment takes {self.bytes_each / MIB:.0f} MiB: {self.copies} of {self.n_envs} are in memory at a "
            f"time and play in turns; the episodes are those of {self.n_envs} at once"
        )

    @property
    def episode_cap(self) -> int | None:
        """Steps after which the environment itself cuts an episode; None where it does not say."""
        return None if self.vector.spec is None else self.vector.spec.max_episode_steps

    @property
    def first_action(self) -> int:
        """The environment's name of action 0."""
        return int(_actions(self.vector.single_action_space).start)

    def flat(self, observations: Any) -> Floats32:
        """States ``[copies, n_features]`` of a batch of observations; see ``batchrl.collect.observations``."""
        return flat_states(self.vector.single_observation_space, observations, self.copies)

    def eligible(self, infos: Mapping[str, Any]) -> Flags | None:
        """Which actions can be taken now, as the environments' infos say under Gymnasium's name for it.

        Args:
            infos: of a reset or a step of ``vector``.

        Returns:
            ``[copies, A]``, at least one a row: where an environment says nothing, or none, every action. None where
            the infos hold no masks.

        Raises:
            InputError: the masks are none of that size.
        """
        if ACTION_MASK not in infos:
            return None
        said = np.asarray(infos.get(f"_{ACTION_MASK}", np.ones(self.copies)), np.bool_)
        return _flags(list(infos[ACTION_MASK]), said, self.n_actions)


def eligible_in(info: Mapping[str, Any], n_actions: int) -> Flags | None:
    """The same of one environment alone, ``[1, A]``."""
    return _flags([info[ACTION_MASK]], np.ones(1, np.bool_), n_actions) if ACTION_MASK in info else None


def _flags(masks: Sequence[Any], said: Flags, n_actions: int) -> Flags:
    try:
        rows = [np.ones(n_actions) if mask is None else np.asarray(mask, np.float64).ravel() for mask in masks]
        flags: Flags = np.stack(rows).reshape(len(said), n_actions) != 0
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the environment's info '{ACTION_MASK}' is no mask of its {n_actions} actions: {error}.",
            "Right is an array with a 1 for each action that can be taken, and else 0.",
        ) from error
    flags[~said] = True
    flags[~flags.any(axis=1)] = True
    return flags


def make_simulator(env: EnvId, n_envs: int, memory_gib: float = COPIES_GIB) -> Simulator:
    """Make ``n_envs`` copies, with the environment's own vector entry point where it has a fitting one.

    Without one, one copy is built and measured first (``batchrl.collect.copies``). Where not all fit, fewer are made
    and play in turns, each environment by its own seed: what is played does not depend on their number.

    Args:
        env: the environment.
        n_envs: number of environments to play.
        memory_gib: what copies may take together, in GiB; one is made however large it is.

    Raises:
        InputError: there is no such environment, it cannot be made, or its spaces are not for this product.
    """
    if n_envs < 1:
        raise InputError(f"{n_envs} environments asked for.", "Give at least 1.")
    resolved = env.resolved()

    def made(n: int, mode: str | None = "sync") -> AnyVectorEnv:
        vector: AnyVectorEnv = _made(
            env, lambda: gym.make_vec(resolved.name, n, vectorization_mode=mode, **resolved.options())
        )
        return vector

    def ready() -> AnyVectorEnv:
        one = made(1)
        _made(env, lambda: one.reset(seed=0))
        return one

    one = made(1, mode=None)
    one.close()
    simulator = simulator_of(one, env)
    if not isinstance(one, SyncVectorEnv) and one.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP:
        return replace(simulator, vector=made(n_envs, mode=None))
    del one, simulator
    fit = fitting(ready, n_envs, int(memory_gib * GIB))
    return replace(simulator_of(made(fit.copies), env), wanted=n_envs, bytes_each=fit.bytes_each)


def simulator_of(vector: AnyVectorEnv, env: EnvId) -> Simulator:
    """A vector environment with the sizes of its spaces.

    Raises:
        InputError: its actions are not discrete, or its observations have no flat form of one size.
    """
    n_features = flat_size(vector.single_observation_space, env.name)
    actions = vector.single_action_space
    if not isinstance(actions, gym.spaces.Discrete):
        raise InputError(f"environment {env.name} has actions {actions}; only Discrete actions can be learned.")
    return Simulator(vector, int(actions.n), n_features)


def make_single(env: EnvId, render_mode: str | None = None) -> AnyEnv:
    """One environment of its own, to be watched or stepped alone.

    Raises:
        InputError: as for ``make_simulator``.
    """
    resolved = env.resolved()
    made: AnyEnv = _made(env, lambda: gym.make(resolved.name, render_mode=render_mode, **resolved.options()))
    return made


def flat_state(env: AnyEnv, observation: Any) -> Floats32:
    """The state ``[n_features]`` of one observation of a single environment."""
    state: npt.NDArray[Any] = np.asarray(flatten(env.observation_space, observation), dtype=np.float32)
    return state


def _actions(space: gym.Space[Any]) -> gym.spaces.Discrete:
    assert isinstance(space, gym.spaces.Discrete)
    return space


def _made(env: EnvId, make: Callable[[], Any]) -> Any:
    """Make an environment; whatever it raises names the environment."""
    try:
        with quiet():
            return make()
    except (gym.error.UnregisteredEnv, ModuleNotFoundError) as error:
        raise InputError(
            f"there is no environment '{env.name}': {error}",
            "Write a Gymnasium id, or module:id for one that a module of yours registers; "
            "--dependency FILE sends the module with a job.",
        ) from error
    except Exception as error:
        raise InputError(f"environment '{env.name}' cannot be made: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of Gymnasium and the greeting of pygame."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
