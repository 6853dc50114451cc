"""The process that owns one job: ``python -m launcher.local.shim --home HOME`` (design 2).

It imports and prepares all that it will need, then waits for the name of its job on stdin; the door keeps one such
process ready, so that a job starts at once. From there on it depends on nobody: the door may be killed or replaced.
When stdin ends without a name, it ends too.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import boto3

from launcher.local.address import Identity
from launcher.local.executors.base import Executor
from launcher.local.home import HomePaths
from launcher.local.lifecycle import TrainingJob
from launcher.local.processes import ProcessId
from launcher.local.records import Records

CALLERS_CHOICES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CA_BUNDLE")
LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Wait for a job and run it; 0 when the job came to an end, whichever, or when there was none."""
    parser = argparse.ArgumentParser(prog="python -m launcher.local.shim", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="data folder of the cloud")
    home = HomePaths.of(parser.parse_args(arguments).home)
    detach()
    session = warm(home)
    name = sys.stdin.readline().strip()
    if not name:
        return 0
    redirect(home.job(name).shim_log)
    return run(home, session, name)


def detach() -> None:
    """Leave the session of whoever started this process; its signals and terminal are none of the job's."""
    with contextlib.suppress(PermissionError):  # it leads a session of its own already
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def warm(home: HomePaths) -> boto3.Session:
    """Load what a job needs: the S3 service model, the transfer machinery, the engine's client."""
    import s3transfer.manager  # noqa: F401 - boto3 imports it at the first upload

    # Which store and which credentials is the cloud's to say, not the environment of whoever started it.
    for name in CALLERS_CHOICES:
        os.environ.pop(name, None)
    if importlib.util.find_spec("docker") is not None:
        import launcher.local.executors.docker  # noqa: F401
    session = boto3.Session()
    if (identity := Identity.read(home.cloud_file)) is not None:
        identity.address(home).store.client(session)
    return session


def redirect(shim_log: Path) -> None:
    """From now on what this process says goes into the job's own folder."""
    shim_log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(shim_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nowhere, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    os.close(file)
    os.close(nowhere)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    logging.getLogger("botocore").setLevel(logging.WARNING)


def run(home: HomePaths, session: boto3.Session, name: str, executor: Executor | None = None) -> int:
    """Claim a job and take it to its end.

    Args:
        home: the data folder.
        session: where the S3 client is made.
        name: the job.
        executor: what runs it; by default the one of its instance type.

    Returns:
        0 when the job came to an end, whichever; 1 when it is not this process's to run.
    """
    own = ProcessId.of(os.getpid())
    assert own is not None
    with contextlib.closing(Records(home.records)) as records:
        record = records.get(name)
        if not records.claim(name, own.pid, own.started_at) and record.shim_pid != own.pid:
            log.error("%s has a shim already: process %s", name, record.shim_pid)
            return 1
        identity = Identity.read(home.cloud_file)
        if identity is None:
            log.error("%s is gone: %s cannot be run", home.cloud_file, name)
            return 1
        address = identity.address(home)
        TrainingJob(home, address, records, record, address.store.client(session), executor).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
