"""The log groups of the data folder and their streams (contract 117, 177).

===================================  ==============================================================================
group                                streams
===================================  ==============================================================================
``/aws/sagemaker/TrainingJobs``      ``<job>/algo-1-<epoch>``
``/aws/sagemaker/ProcessingJobs``    ``<job>/algo-1-<epoch>``
``/aws/sagemaker/TransformJobs``     ``<job>/<instance>-<epoch>``, what the container wrote, and
                                     ``<job>/<instance>-<epoch>/data-log``, what the platform says of the data
``/aws/sagemaker/Endpoints/<name>``  ``<variant>/<instance>``
===================================  ==============================================================================

A group is there once something was written to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher.api.constants import (
    ENDPOINT,
    ENDPOINT_GROUPS,
    PROCESSING,
    PROCESSING_GROUP,
    TRAINING_GROUP,
    TRANSFORM,
    TRANSFORM_GROUP,
)
from launcher.local.host.home import HomePaths, JobHome
from launcher.local.logs.joblogs import LogReader
from launcher.local.records.jobrecord import job_key

# Groups of the kinds whose folders are marked with the kind.
_GROUPS = {TRANSFORM: TRANSFORM_GROUP, PROCESSING: PROCESSING_GROUP}


@dataclass(frozen=True)
class Stream:
    """One log stream that holds something.

    Args:
        name: its name in the API.
        reader: its events.
        size: bytes of its file.
    """

    name: str
    reader: LogReader
    size: int


def groups(paths: HomePaths) -> list[str]:
    """Names of the groups that hold something, sorted."""
    known = {group for folder in paths.jobs.glob("*") if (group := _group_of(folder.name))}
    return sorted(group for group in known if any(True for _ in streams(paths, group)))


def streams(paths: HomePaths, group: str, prefix: str = "") -> Iterator[Stream]:
    """Streams of a group whose name begins with a prefix; those of one job are found without looking at the others."""
    if group.startswith(ENDPOINT_GROUPS):
        folder = paths.job(job_key(ENDPOINT, group.removeprefix(ENDPOINT_GROUPS)))
        yield from _within(folder, "", prefix)
        return
    kind = next((kind for kind, name in _GROUPS.items() if name == group), None)
    mark = job_key(kind, "") if kind else ""
    job, slash, _ = prefix.partition("/")
    found = [paths.jobs / f"{mark}{job}"] if slash else sorted(paths.jobs.glob(f"{mark}*"))
    for path in found:
        if _group_of(path.name) == group:
            yield from _within(JobHome(path), f"{path.name.removeprefix(mark)}/", prefix)


def _within(folder: JobHome, job: str, prefix: str) -> Iterator[Stream]:
    for name, file in folder.log_streams():
        full = f"{job}{name}"
        if full.startswith(prefix) and (size := _size(file)):
            yield Stream(full, LogReader(file), size)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _group_of(key: str) -> str:
    """The group of a job's folder; empty for a folder that is no job's."""
    kind, dot, name = key.partition(".")
    if not dot:
        return TRAINING_GROUP
    return f"{ENDPOINT_GROUPS}{name}" if kind == ENDPOINT else _GROUPS.get(kind, "")
