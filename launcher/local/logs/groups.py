"""The log groups of the data folder and their streams (contract 117, 177).

===================================  ==============================================================================
group                                streams
===================================  ==============================================================================
``/aws/sagemaker/TrainingJobs``      ``<job>/algo-1-<epoch>``
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

from launcher.api.constants import ENDPOINT, ENDPOINT_GROUPS, TRAINING_GROUP, TRANSFORM, TRANSFORM_GROUP
from launcher.local.host.home import HomePaths, JobHome
from launcher.local.logs.joblogs import LogReader
from launcher.local.records.jobrecord import job_key


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
    known = {_group_of(folder.name) for folder in paths.jobs.glob("*")}
    return sorted(group for group in known if any(True for _ in streams(paths, group)))


def streams(paths: HomePaths, group: str, prefix: str = "") -> Iterator[Stream]:
    """Streams of a group whose name begins with a prefix; those of one job are found without looking at the others."""
    if group.startswith(ENDPOINT_GROUPS):
        folder = paths.job(job_key(ENDPOINT, group.removeprefix(ENDPOINT_GROUPS)))
        yield from _within(folder, "", prefix)
        return
    mark = job_key(TRANSFORM, "") if group == TRANSFORM_GROUP else ""
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
    kind, dot, name = key.partition(".")
    if not dot:
        return TRAINING_GROUP
    return f"{ENDPOINT_GROUPS}{name}" if kind == ENDPOINT else TRANSFORM_GROUP
