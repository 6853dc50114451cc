"""Minari's datasets of this computer, by the package of that name: episodes read, and a dataset written.

A dataset of Minari holds the state after each episode's last step, and the flags ``terminations`` and ``truncations``.
Nothing is downloaded here: ``minari download`` does that.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from batchrl.contract.errors import InputError
from batchrl.data.trajectories import Trajectory, trajectory

SCHEME = "minari:"
# What the package raises where a dataset is damaged, a disk is full, or a package that it needs is missing.
FAULTS = (ImportError, OSError, ValueError, TypeError, LookupError, RuntimeError)


def read_episodes(name: str) -> Iterator[Trajectory]:
    """The episodes of a dataset, in their order.

    Args:
        name: its id, such as ``CartPole/random-v0``.

    Raises:
        InputError: minari is not installed, there is no such dataset, or it holds no vectors of numbers.
    """
    minari = _minari()
    try:
        dataset = minari.load_dataset(name)
    except FileNotFoundError:
        raise InputError(
            f"{SCHEME}{name}: this computer has no such dataset of Minari.",
            f"`minari list local` lists those that it has, `minari download {name}` fetches one.",
        ) from None
    except FAULTS as error:
        raise _fault(name, "read", error) from error
    try:
        for each in dataset.iterate_episodes():
            yield _trajectory(f"{SCHEME}{name}, episode {each.id}", each)
    except FAULTS as error:
        raise _fault(name, "read", error) from error


def _trajectory(where: str, each: Any) -> Trajectory:
    """An episode as Minari gives it."""
    for what, values in (("observations", each.observations), ("actions", each.actions)):
        if not isinstance(values, np.ndarray):
            parts = f" ({', '.join(map(str, values))})" if isinstance(values, dict) else ""
            raise InputError(
                f"{where}: its {what} are several arrays{parts}.",
                "States of one vector of numbers are read, and actions of one number.",
            )
    if not len(each.terminations):
        raise InputError(f"{where}: it has no steps.", "Make the dataset again without it.")
    return trajectory(where, each.observations, each.actions, each.rewards, bool(each.terminations[-1]))


def write_episodes(name: str, episodes: Iterable[Trajectory], n_actions: int) -> tuple[int, Path]:
    """Write a new dataset; returns the number of steps, and its folder.

    Where an episode ended for good and the state after it is not known, its last state stands for that.

    Args:
        name: its id; no dataset is replaced.
        episodes: they are in memory all at once.
        n_actions: ``A``.

    Raises:
        InputError: minari is not installed, there is such a dataset, or the name is none.
    """
    minari = _minari()
    spaces, buffers = import_module("gymnasium.spaces"), import_module("minari.data_collector")
    try:
        import_module("minari.dataset.minari_dataset").parse_dataset_id(name)
    except (ValueError, TypeError):
        raise InputError(
            f"{SCHEME}{name}: Minari has no such names.",
            "Right is NAME-v0, or SPACE/NAME-v0 with a SPACE of two signs or more.",
        ) from None
    folder = Path(import_module("minari.storage").get_dataset_path(name))
    if folder.exists():
        raise InputError(
            f"{SCHEME}{name}: there is such a dataset.", f"Choose another name, or `minari delete {name}`."
        )
    every, steps = [], 0
    for number, each in enumerate(episodes):
        n = len(each.actions)
        at_end = np.arange(n) == n - 1
        buffer = buffers.EpisodeBuffer(
            id=number,
            observations=each.states if len(each.states) > n else np.concatenate([each.states, each.states[-1:]]),
            actions=each.actions,
            rewards=each.rewards,
            terminations=at_end & each.terminated,
            truncations=at_end & (not each.terminated),
        )
        every.append(buffer)
        steps += n
    box = spaces.Box(-np.inf, np.inf, every[0].observations.shape[1:], every[0].observations.dtype)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of authors, environments and the like, which nobody has named
            minari.create_dataset_from_buffers(
                name, every, action_space=spaces.Discrete(n_actions), observation_space=box
            )
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, FAULTS):
            raise _fault(name, "written", error) from error
        raise
    return steps, folder


def _minari() -> Any:
    try:
        return import_module("minari")
    except ImportError:
        raise InputError(
            "Datasets of Minari take the package minari, which is not installed.",
            "Install it: pip install 'minari[hdf5]'",
        ) from None


def _fault(name: str, done: str, error: Exception) -> InputError:
    said = str(error).strip().splitlines() or [type(error).__name__]
    return InputError(f"{SCHEME}{name} cannot be {done}: {said[0]}.")
