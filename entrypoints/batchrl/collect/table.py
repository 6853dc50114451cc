"""Rollouts as a table: the columns that Coach and SageMaker's notebook know, and files of them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from batchrl.collect.rollouts import Rollouts
from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.contract.files import TEMPORARY_SUFFIX, whole_file
from batchrl.policies import Flags, Floats64

SUFFIXES: dict[str, tuple[str, ...]] = {
    "csv": (".csv",),
    "csv.gz": (".csv.gz",),
    "parquet": (".parquet", ".pq"),
}
ROWS_AT_ONCE = 20_000


def to_frame(rollouts: Rollouts, *, with_ends: bool = False) -> pd.DataFrame:
    """The rollouts in the seed's columns, one row a step.

    ``cumulative_rewards`` is 0.0 but for an episode's last row, where it is the undiscounted return;
    ``all_action_probabilities`` is a JSON list, and so is ``eligible_actions``, which is there where the environment
    says which actions can be taken. Features are float32, whose shortest spelling a csv gets.

    Args:
        rollouts: the steps.
        with_ends: whether to add ``terminal``, ``truncated`` and ``next_state_feature_*``. Without them every
            episode's last row reads as its end, also where the episode was only cut there.
    """
    cumulative = np.zeros(rollouts.steps)
    cumulative[rollouts.lasts] = rollouts.returns
    data: dict[str, Any] = {
        columns.ACTION: rollouts.actions,
        columns.ALL_ACTION_PROBABILITIES: probability_texts(rollouts.probabilities),
        columns.EPISODE_ID: rollouts.episode_ids,
        columns.REWARD: rollouts.rewards,
        columns.CUMULATIVE_REWARDS: cumulative,
    }
    if rollouts.eligible is not None:
        data[columns.ELIGIBLE] = list_texts(rollouts.eligible)
    for feature in range(rollouts.states.shape[1]):
        data[f"{columns.STATE_FEATURE_PREFIX}{feature}"] = np.ascontiguousarray(rollouts.states[:, feature])
    if with_ends:
        data[columns.TERMINAL] = rollouts.terminal
        data[columns.TRUNCATED] = rollouts.truncated
        for feature in range(rollouts.next_states.shape[1]):
            name = f"{columns.NEXT_STATE_FEATURE_PREFIX}{feature}"
            data[name] = np.ascontiguousarray(rollouts.next_states[:, feature])
    return pd.DataFrame(data, copy=False)


def probability_texts(probabilities: Floats64) -> Any:
    """``[N]`` texts such as ``[0.5, 0.5]`` of rows ``[N, A]``; equal rows are written once."""
    if len(probabilities) and (probabilities == probabilities[0]).all():
        distinct, which = probabilities[:1], np.zeros(len(probabilities), dtype=np.int64)
    else:
        distinct, which = np.unique(probabilities, axis=0, return_inverse=True)
    texts = pd.array([json.dumps(row) for row in distinct.tolist()], dtype="str")
    return texts.take(which)


def list_texts(eligible: Flags) -> Any:
    """``[N]`` texts such as ``[0, 2]``, the actions of rows ``[N, A]``; equal rows are written once."""
    distinct, which = np.unique(eligible, axis=0, return_inverse=True)
    texts = pd.array([json.dumps(np.flatnonzero(row).tolist()) for row in distinct], dtype="str")
    return texts.take(which.ravel())


def format_of(path: Path, given: str | None = None) -> str:
    """The format of a file: as given, else by its name.

    Raises:
        InputError: neither says one that is known.
    """
    known = ", ".join(SUFFIXES)
    if given is not None:
        if given not in SUFFIXES:
            raise InputError(f"there is no format '{given}'.", f"Formats: {known}.")
        return given
    for name, suffixes in SUFFIXES.items():
        if path.name.lower().endswith(suffixes):
            return name
    raise InputError(f"{path}: its name does not say a format.", f"End it with one of .{known.replace(', ', ', .')}.")


def ensure_writable(path: Path) -> None:
    """Find out before long work whether a file can be written; folders above it are made.

    Raises:
        InputError: it cannot.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder.", "Give the name of a file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        temporary.unlink()
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.", "Choose another place.") from error


def write_table(
    frame: pd.DataFrame,
    path: Path,
    file_format: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a table; the file appears under its name only when it is whole.

    Args:
        frame: the rows.
        path: the file; folders above it are made.
        file_format: a key of ``SUFFIXES``, by default what the name says.
        progress: told how many rows of all are written.

    Raises:
        InputError: the format is not known.
        OSError: the disk is full or the folder not writable; the temporary file is removed.
    """
    chosen = format_of(path, file_format)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        if chosen == "parquet":
            frame.to_parquet(temporary, index=False)
        else:
            _write_csv(frame, temporary, compressed=chosen == "csv.gz", progress=progress)
    if progress is not None:
        progress(len(frame), len(frame))


def _write_csv(
    frame: pd.DataFrame, path: Path, *, compressed: bool, progress: Callable[[int, int], None] | None
) -> None:
    with _text_file(path, compressed) as file:
        for start in range(0, max(len(frame), 1), ROWS_AT_ONCE):
            rows = frame.iloc[start : start + ROWS_AT_ONCE]
            rows.to_csv(file, index=False, header=start == 0, lineterminator="\n")
            if progress is not None:
                progress(start + len(rows), len(frame))


@contextmanager
def _text_file(path: Path, compressed: bool) -> Iterator[TextIO]:
    with path.open("wb") as raw:
        if not compressed:
            with io.TextIOWrapper(raw, encoding="utf-8", newline="") as file:
                yield file
            return
        # No name and no time in the header: the same rows give the same bytes.
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
            io.TextIOWrapper(packed, encoding="utf-8", newline="") as file,
        ):
            yield file
