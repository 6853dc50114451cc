"""Gives each job to a shim, and notices when one is gone.

A shim imports much before it can do anything. A process that has imported everything, the forkserver, therefore forks
one for each job whose name is written to its stdin. It shares nothing else with the API server, which may die at any
moment:

=======================================  ==========================================================
API server or forkserver was killed      what the next one finds and does
=======================================  ==========================================================
before a shim was named in the record    a record without a shim: assigned now
after that                               a shim that is in the record: left alone
=======================================  ==========================================================

A shim that is gone has taken its job with it, which then Failed; a tuning job alone gets another shim, because its work
is that of its training jobs, and they have shims of their own.
Where two shims come to one job, the record takes one of them, and the other ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from launcher.api.constants import ENDPOINT, TRAINING, TUNING
from launcher.local.events.eventfile import EventFile, read
from launcher.local.events.kinds import ServerBegan, ShimLost, StatusTaken
from launcher.local.host.faults import kept_note
from launcher.local.host.home import HomePaths
from launcher.local.host.processes import ProcessId, spawn_detached
from launcher.local.host.trees import remove_trees
from launcher.local.records import states
from launcher.local.records.jobrecord import JobRecord
from launcher.local.records.records import Records, UnknownJob

FOREGROUND_TYPE = "local_debug"
# The client of a foreground job comes at once; one that was killed in between never does.
CLIENT_SECONDS = 60.0
# A tuning job gets a new shim so often; then whatever ends them would end the next one, too.
MOST_SUCCESSORS = 10

log = logging.getLogger(__name__)


def forkserver_command(paths: HomePaths) -> tuple[str, ...]:
    """How a forkserver is started."""
    return (sys.executable, "-m", "launcher.local.shims.forkserver", "--home", str(paths.root))


class ShimPool:
    """The shims of one API server.

    Args:
        paths: the data folder.
        records: the records.
        command: how a forkserver is started; it reads lines ``<kind> <name>`` from its stdin, and ends with it.
    """

    def __init__(self, paths: HomePaths, records: Records, command: Sequence[str]) -> None:
        self._paths = paths
        self._records = records
        self._command = command
        self._lock = threading.Lock()
        self._forkserver: subprocess.Popen[bytes] | None = None
        self._told: set[str] = set()
        self._closed = False

    @property
    def forkserver_pid(self) -> int | None:
        """Process id of the forkserver."""
        forkserver = self._forkserver
        return forkserver.pid if forkserver else None

    def assign(self, name: str, kind: str = TRAINING) -> None:
        """Give a job to a shim, unless it has one.

        Raises:
            OSError: no process could be started; ``reconcile`` tries again.
        """
        with self._lock:
            record = self._records.find(name, kind)
            if record is None or record.shim_pid is not None or record.ended or _is_foreground(record):
                return
            forkserver = self._living_forkserver()
            if record.key in self._told:
                return  # its shim will name itself
            assert forkserver.stdin is not None
            forkserver.stdin.write(f"{kind} {name}\n".encode())
            forkserver.stdin.flush()
            self._told.add(record.key)

    def keep(self) -> None:
        """Have a forkserver, and forget what it was told of jobs that are its shims' now."""
        with self._lock:
            if self._closed:
                return
            self._living_forkserver()
            waiting = {record.key for record in self._records.running() if record.shim_pid is None}
            self._told &= waiting

    def close(self) -> None:
        """Let the forkserver go; its shims live on."""
        with self._lock:
            self._closed = True
            if self._forkserver is not None and self._forkserver.stdin is not None:
                with contextlib.suppress(OSError):
                    self._forkserver.stdin.close()
            self._forkserver = None

    def tell(self, version: str) -> None:
        """Note in the events of each job that has a living shim that this API server found it."""
        for record in self._records.running():
            if record.shim_pid is not None and _lives(record):
                EventFile(self._paths.job(record.key).events).add(ServerBegan(os.getpid(), version))

    def reconcile(self) -> None:
        """Hand over jobs that have no shim, and end those whose shim is gone."""
        for record in self._records.running():
            try:
                if record.shim_pid is None and not _is_foreground(record):
                    self.assign(record.name, record.kind)
                elif record.shim_pid is None:
                    self._expect_client(record)
                elif not _lives(record):
                    self._reap(record)
            except Exception:
                log.exception("job %s", record.name)

    def _living_forkserver(self) -> subprocess.Popen[bytes]:
        """The forkserver, a new one where the last is gone: with it went what it was told."""
        if self._forkserver is not None and (code := self._forkserver.poll()) is not None:
            log.warning("the forkserver ended with %s", code)
            self._forkserver = None
        if self._forkserver is None:
            self._told.clear()
            # A container may run as a user of its own, and must read the tree that the shim lays out for it.
            self._forkserver = spawn_detached(self._command, self._paths.server_log, stdin=subprocess.PIPE, umask=0o022)
        return self._forkserver

    def _losses(self, record: JobRecord) -> int:
        """How many shims a job has lost."""
        return sum(isinstance(one.event, ShimLost) for one in read(self._paths.job(record.key).events))

    def _expect_client(self, record: JobRecord) -> None:
        """Fail a foreground job whose client never came to run it."""
        if time.time() - record.created_at > CLIENT_SECONDS:
            reason = (
                f"ClientError: a job of type {FOREGROUND_TYPE} is run by the client that creates it, "
                f"and none came within {CLIENT_SECONDS:.0f} s."
            )
            with contextlib.suppress(states.IllegalTransition, UnknownJob):
                self._records.transition(record.name, states.FAILED, reason, failure_reason=reason)

    def _reap(self, record: JobRecord) -> None:
        """End a job whose shim is gone. What it has goes before its name may be taken by another."""
        current = self._records.find(record.name, record.kind)
        if current is None or current.ended or current.shim_pid != record.shim_pid:
            return  # it ended the job in its last moment
        log.warning("%s: its shim %s is gone", record.key, record.shim_pid)
        from launcher.local.executors.reap import reap

        EventFile(self._paths.job(record.key).events).add(ShimLost(record.shim_pid or 0))
        if record.kind == TUNING and self._losses(record) <= MOST_SUCCESSORS:
            # All that it knew is in the records: another one goes on. Its training jobs have shims of their own.
            self._records.release(record)
            with self._lock:
                self._told.discard(record.key)
            self.assign(record.name, record.kind)
            return
        reap(self._paths, record)
        shim_log = self._paths.job(record.key).shim_log
        reason = f"InternalServerError: the process that ran the job ended unexpectedly; its log is {shim_log}"
        if current.published_at is not None:
            reason += " (its results are published)"
            remove_trees(self._paths.job(record.key).roots(record.instances))
        elif current.unpublished:
            root = self._paths.job(record.key).ml
            reason += kept_note(root, record.name) if current.kind == TRAINING else f" (its files are kept in {root})"
        ended = self._records.transition(
            record.name, states.FAILED, reason, kind=record.kind, failure_reason=reason, servers=()
        )
        EventFile(self._paths.job(record.key).events).add(StatusTaken(states.FAILED, reason, reason))
        if ended.kind == ENDPOINT and ended.stop_requested_at is not None:
            self._records.forget_endpoint(ended)


def _is_foreground(record: JobRecord) -> bool:
    """Whether the job's client runs it on its own terminal and names itself in the record, as a shim does."""
    if record.kind != TRAINING:
        return False
    return bool(record.request["ResourceConfig"].get("InstanceType") == FOREGROUND_TYPE)


def _lives(record: JobRecord) -> bool:
    return ProcessId(record.shim_pid or 0, record.shim_started_at or 0).alive
