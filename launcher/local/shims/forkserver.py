"""Where shims come from: ``python -m launcher.local.shims.forkserver --home HOME``.

It has imported and prepared all that a shim needs. For each line ``<kind> <name>`` on its stdin it forks one and names
it in the job's record, so that a job starts at once, however many come one after the other. The shim leads a session of
its own and depends on nobody from then on. When stdin ends, the forkserver ends; its shims live on.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import boto3

from launcher.local.host.address import Identity
from launcher.local.host.home import HomePaths
from launcher.local.host.processes import ProcessId
from launcher.local.records.records import Records, job_key
from launcher.local.shims import shim

CALLERS_CHOICES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CA_BUNDLE")
LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"
OWN_FAULT = 70

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fork a shim for each job that is named; 0 when no more will be."""
    parser = argparse.ArgumentParser(prog="python -m launcher.local.shims.forkserver", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="data folder of the cloud")
    home = HomePaths.of(parser.parse_args(arguments).home)
    detach()
    session = warm(home)
    # What was loaded until now is shared with all shims; their collectors leave it alone.
    gc.freeze()
    # Nobody waits for the shims: the system forgets them when they end.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while line := sys.stdin.readline():
        kind, _, name = line.strip().partition(" ")
        if name:
            fork(home, session, kind, name)
    return 0


def detach() -> None:
    """Leave the session of whoever started this process; its signals and terminal are none of the jobs'."""
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


def fork(home: HomePaths, session: boto3.Session, kind: str, name: str) -> None:
    """Start the shim of a job, and name it in the record before it can be missed."""
    pid = os.fork()
    if pid == 0:
        os._exit(_born(home, session, kind, name))
    child = ProcessId.of(pid) or ProcessId(pid, 0)  # one that has ended already is found to be gone
    with contextlib.closing(Records(home.records)) as records:
        records.claim(name, child.pid, child.started_at, kind)


def _born(home: HomePaths, session: boto3.Session, kind: str, name: str) -> int:
    """The shim's own life; returns its exit code, and raises nothing."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        redirect(home.job(job_key(kind, name)).shim_log)
        return shim.run(home, session, kind, name)
    except BaseException:
        log.exception("the shim of %s %s failed", kind, name)
        return OWN_FAULT
    finally:
        logging.shutdown()


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


if __name__ == "__main__":
    sys.exit(main())
