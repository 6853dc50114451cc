"""Runs a job in the foreground, with its source in place, so that ``breakpoint()`` works.

The request says so itself: instance type ``local_debug``, ``sagemaker_submit_directory`` naming the user's own folder,
and ``PYTHONPATH`` for what the archive would have put beside the script. Records, checkpoints and csv are those of any
other job: the same code as in a shim does the platform's part, in this process.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchrl.contract.errors import InputError
from launcher.base.notices import say
from launcher.base.product import library_folder
from launcher.local.host.home import HomePaths
from launcher.session.session import LocalSession
from launcher.staging.source import Listing, Source

if TYPE_CHECKING:
    from launcher.jobs.training import Job

INSTANCE_TYPE = "local_debug"


@dataclass(frozen=True)
class CodeLocation:
    """Where the code of a job is run from.

    Args:
        folder: the working directory: the user's own folder, not a copy.
        search_path: folders for imports, after ``folder``.
    """

    folder: Path
    search_path: tuple[Path, ...]


def in_place(source: Source, listing: Listing) -> CodeLocation:
    """Where a source can be run without unpacking it."""
    script = next(file.path for file in listing.files if file.name == listing.program)
    folder = script.parents[len(Path(listing.program).parts) - 1]
    search = [source.source_dir.expanduser().absolute()] if source.source_dir is not None else []
    search += [path.expanduser().absolute().parent for path in source.dependencies]
    search += [library_folder(name).parent for name in ("batchrl", "presets")]
    return CodeLocation(folder, tuple(dict.fromkeys(path for path in search if path != folder)))


def check_debugger(debug_port: int | None) -> None:
    """Refuse a debug port where debugpy is not installed."""
    if debug_port is not None and importlib.util.find_spec("debugpy") is None:
        raise InputError("debug_port needs debugpy, which is not installed.", "Run: pip install debugpy")


def run_in_foreground(job: Job, debug_port: int | None = None) -> None:
    """Run a job that was just created, here, until it ends.

    Args:
        job: of instance type ``local_debug``, on the local cloud.
        debug_port: port on loopback at which the script waits for a debugger; None for the terminal's own.

    Raises:
        JobFailed, JobStopped: as ``Job.wait``.
    """
    import boto3

    from launcher.api.constants import TRAINING
    from launcher.local.executors.foreground import ForegroundExecutor
    from launcher.local.shims import shim

    assert isinstance(job.session, LocalSession)
    home = HomePaths.of(job.session.home)
    say(f"Job {job.name}, in the foreground")
    if debug_port is not None:
        say(f"The script waits for a debugger at 127.0.0.1:{debug_port}")
    sys.stdout.flush()
    with _own_log(home.job(job.name).shim_log), _interrupts_left_to_the_script():
        shim.run(home, boto3.Session(), TRAINING, job.name, ForegroundExecutor(debug_port))
    job.wait()


@contextmanager
def _own_log(path: Path) -> Iterator[None]:
    """What the platform's part says goes to the job's folder, not between the lines of a debugger."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    logger = logging.getLogger("launcher.local")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "a") as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        earlier = (logger.level, logger.propagate)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.level, logger.propagate = earlier


@contextmanager
def _interrupts_left_to_the_script() -> Iterator[None]:
    """Ctrl-C is the script's: the terminal sends it to every process of the foreground, this one too.

    A handler, not SIG_IGN: a child would inherit that.
    """
    try:
        earlier = signal.signal(signal.SIGINT, lambda signum, frame: None)
    except ValueError:  # not the main thread: signals do not come here
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)
