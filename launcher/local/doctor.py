"""What this computer has of what jobs need: each thing with what was found and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from batchrl.contract.errors import BatchRLError

if TYPE_CHECKING:
    from launcher.local.host.address import StoreAddress

OLDEST_PYTHON = (3, 11)
LITTLE_DISK_BYTES = 2_000_000_000


class Health(Enum):
    """How well a thing is."""

    OK = "ok"
    LIMITED = "limited"
    """Jobs run, but something is missing that somebody may want."""
    BROKEN = "broken"
    """Jobs cannot run."""


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        name: the thing that was looked at.
        health: how well it is.
        found: what is there, or what is wrong.
        advice: what to do; None where nothing is to be done.
    """

    name: str
    health: Health
    found: str
    advice: str | None = None


def examine(home: Path | None = None) -> Iterator[Finding]:
    """Look at one thing after the other; a fault while looking is a finding as well.

    Args:
        home: data folder of the local cloud, by default the usual one.
    """
    looks: dict[str, Callable[[], Finding]] = {
        "python": python,
        "torch": torch,
        "disk": lambda: disk(home),
        "engine": engine,
        "image": image,
        "store": lambda: store(home),
        "cloud": lambda: cloud(home),
    }
    for name, look in looks.items():
        try:
            yield look()
        except BatchRLError as error:
            yield Finding(name, Health.BROKEN, error.message, error.hint)


def python() -> Finding:
    """The Python version and platform, and whether they are supported."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST_PYTHON:
        return Finding("python", Health.BROKEN, found, "Install Python 3.11 or newer.")
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return Finding("python", Health.LIMITED, found, "batchrl is tested on Linux x86-64 alone.")
    return Finding("python", Health.OK, found)


def torch() -> Finding:
    """Read from the package's metadata: importing torch would take seconds."""
    from launcher.base.extras import JOB, missing, remedy

    try:
        found = version("torch")
    except PackageNotFoundError:
        return Finding("torch", Health.LIMITED, "not installed: only containers can run jobs", remedy(JOB))
    if lacking := missing(JOB):
        told = f"{found}, but not {', '.join(lacking)}: only containers can run jobs"
        return Finding("torch", Health.LIMITED, told, remedy(JOB))
    return Finding("torch", Health.OK, f"{found}{' (CPU build)' if found.endswith('+cpu') else ''}")


def disk(home: Path | None) -> Finding:
    """Free space on the disk of the data folder."""
    from launcher.base.units import size
    from launcher.local.host.home import HomePaths

    folder = HomePaths.of(home).root
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(existing, os.W_OK):
        return Finding("disk", Health.BROKEN, f"{existing} cannot be written", "Set BATCHRL_HOME to another folder.")
    free = shutil.disk_usage(existing).free
    found = f"{size(free)} free in {folder}"
    if free < LITTLE_DISK_BYTES:
        return Finding("disk", Health.LIMITED, found, "Free some: `batchrl rm`, `batchrl cloud gc`.")
    return Finding("disk", Health.OK, found)


def engine() -> Finding:
    """Whether a container engine of this computer answers."""
    from launcher.local.engine.status import engine_status

    status = engine_status()
    if status.available:
        return Finding("engine", Health.OK, f"Docker {status.version}")
    return Finding(
        "engine",
        Health.LIMITED,
        status.reason,
        "Install or start docker.io, or go without: --instance-type local_process.",
    )


def image() -> Finding:
    """Whether the engine has the image that jobs run in."""
    from launcher.local.engine.image import default_image, present
    from launcher.local.engine.status import engine_status

    name = default_image()
    if not engine_status().available:
        return Finding("image", Health.LIMITED, f"{name}: no engine to ask")
    if not present(name):
        return Finding("image", Health.LIMITED, f"{name} is not built", "Run `batchrl image build`.")
    return Finding("image", Health.OK, name)


def store(home: Path | None) -> Finding:
    """Whether the object store answers; where the cloud is down, whether the embedded one could start."""
    from launcher.base import extras
    from launcher.local import cloud as local
    from launcher.local.host.address import StoreSettings
    from launcher.local.host.home import HomePaths
    from launcher.local.store.usage import check_catalog

    status = local.status(home)
    settings = StoreSettings.read(HomePaths.of(home).settings)
    if status is not None:
        address = status.address.store
    elif settings is not None:
        address = settings.resolve()
    elif extras.missing(extras.LOCAL):
        return Finding("store", Health.LIMITED, "embedded, not installed", extras.remedy(extras.LOCAL))
    else:
        check_catalog(HomePaths.of(home))
        return Finding("store", Health.OK, "embedded; it starts with the cloud")
    _list(address)
    return Finding("store", Health.OK, f"{address.endpoint_url} answers")


def _list(address: StoreAddress) -> None:
    """Ask for the bucket of jobs.

    Raises:
        InputError: the store refuses.
        Unreachable: it does not answer.
    """
    from batchrl.contract.store import reported
    from launcher.local.host.address import BUCKET

    client = address.client()
    with reported(f"the bucket {BUCKET}", client):
        client.list_objects_v2(Bucket=BUCKET, MaxKeys=1)


def cloud(home: Path | None) -> Finding:
    """Whether the local cloud is up, and of this version."""
    from launcher.local import cloud as local

    status = local.status(home)
    if status is None:
        return Finding("cloud", Health.OK, "down; it starts when it is needed")
    found = f"{status.address.api_url}, running jobs: {len(status.running_jobs) or 'none'}"
    if status.stale:
        return Finding("cloud", Health.OK, f"{found}; of another version, replaced at the next use")
    return Finding("cloud", Health.OK, found)
