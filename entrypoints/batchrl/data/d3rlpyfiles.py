"""d3rlpy's HDF5 files: of ``ReplayBuffer.dump`` (version 2.1 of its layout), and of d3rlpy 1's ``MDPDataset.dump``.

=====================  ==========================================================================================
``ReplayBuffer.dump``  ``version``, ``num_episodes``, ``columns``; for episode i ``observations_i`` ``[T, d]``,
                       ``actions_i`` ``[T, 1]``, ``rewards_i`` ``[T, 1]`` and ``terminated_i``
``MDPDataset.dump``    ``observations`` ``[N, d]``, ``actions``, ``rewards``, ``terminals`` and perhaps
                       ``episode_terminals`` ``[N]``, which marks also those ends that cut an episode short
=====================  ==========================================================================================

Neither holds the state after an episode's last step. d3rlpy learns nothing from the last step of an episode that was
cut short. HDF5 is read and written by the package h5py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from batchrl.contract.errors import InputError
from batchrl.contract.text import listed
from batchrl.data.dataset import Flags
from batchrl.data.opening import guarded
from batchrl.data.trajectories import Trajectory, trajectory

VERSION = "2.1"
KEYS = ("observations", "actions", "rewards", "terminated")
FLAT_KEYS = ("observations", "actions", "rewards", "terminals")
LAYOUTS = "ReplayBuffer.dump of d3rlpy 2 and MDPDataset.dump of d3rlpy 1 write what is read"


def read_episodes(path: Path) -> Iterator[Trajectory]:
    """The episodes of a file, in their order.

    Raises:
        InputError: h5py is not installed, or the file is none of d3rlpy's, or holds no vectors of numbers.
    """
    with _opened(path, "r") as file:
        if "num_episodes" in file:
            yield from _of_buffer(file, path)
        elif all(key in file for key in FLAT_KEYS):
            yield from _of_flat(file, path)
        else:
            held = listed(list(file), 5) or "nothing"
            raise InputError(f"{path}: an HDF5 file of {held}, which is none of d3rlpy's.", f"{LAYOUTS}.")


def write_episodes(path: Path, episodes: Iterable[Trajectory]) -> int:
    """Write a file that ``ReplayBuffer.load`` of d3rlpy 2 reads; returns the number of steps.

    Raises:
        InputError: h5py is not installed.
        OSError: the file cannot be written.
    """
    steps = number = 0
    with _opened(path, "w") as file:
        for number, each in enumerate(episodes, start=1):
            n = len(each.actions)
            values = (each.states[:n], each.actions[:, None], each.rewards[:, None], each.terminated)
            for key, value in zip(KEYS, values, strict=True):
                file.create_dataset(f"{key}_{number - 1}", data=value)
            steps += n
        file.create_dataset("columns", data=list(KEYS))
        file.create_dataset("num_episodes", data=number)
        file.create_dataset("version", data=VERSION)
    return steps


def _of_buffer(file: Any, path: Path) -> Iterator[Trajectory]:
    version = _array(file, "version", path).asstr()[()] if "version" in file else "none"
    if version != VERSION:
        raise InputError(
            f"{path}: version {version} of d3rlpy's layout, which is not read.", f"{VERSION} is: {LAYOUTS}."
        )
    for number in range(int(_array(file, "num_episodes", path)[()])):
        where = f"{path}, episode {number}"
        missing = [key for key in KEYS if f"{key}_{number}" not in file]
        if missing:
            tuples = f"{missing[0]}_{number}_0" in file
            what = "observations are several arrays" if tuples else f"'{missing[0]}_{number}' is missing"
            raise InputError(f"{where}: {what}.", "States of one vector of numbers are read.")
        states, actions, rewards, terminated = (_array(file, f"{key}_{number}", path)[()] for key in KEYS)
        yield trajectory(where, states, actions, rewards, bool(terminated))


def _of_flat(file: Any, path: Path) -> Iterator[Trajectory]:
    def marked(key: str) -> Flags:
        marks: Flags = np.asarray(_array(file, key, path)[()]).ravel() == 1
        return marks

    terminal = marked("terminals")
    ended = terminal | marked("episode_terminals") if "episode_terminals" in file else terminal
    bounds = [0, *(np.flatnonzero(ended) + 1).tolist()]
    if bounds[-1] < len(ended):
        bounds.append(len(ended))
    for number, (start, stop) in enumerate(pairwise(bounds)):
        states, actions, rewards = (_array(file, key, path)[start:stop] for key in FLAT_KEYS[:3])
        yield trajectory(f"{path}, episode {number}", states, actions, rewards, bool(terminal[stop - 1]))


def _array(file: Any, key: str, path: Path) -> Any:
    """An array that lies in the file itself: HDF5 can have others lie in any file of this computer."""
    h5py = import_module("h5py")
    found = file[key] if isinstance(file.get(key, getlink=True), h5py.HardLink) else None
    if not isinstance(found, h5py.Dataset) or found.external is not None or found.is_virtual:
        raise InputError(f"{path}: '{key}' is no array of this file itself.", "Other files are not read for it.")
    return found


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[Any]:
    try:
        h5py = import_module("h5py")
    except ImportError:
        raise InputError(
            f"{path}: HDF5 takes the package h5py, which is not installed.", "Install it: pip install h5py"
        ) from None
    if mode == "w":
        with h5py.File(path, mode) as file:
            yield file
        return
    try:
        with guarded(path), h5py.File(path, mode) as file:
            yield file
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError(f"{path}: the file is damaged, or none of d3rlpy's: {error}", f"{LAYOUTS}.") from error
