"""Gives each job to a shim process, and notices when one is gone.

A shim imports much before it can do anything. One is therefore kept warm: it has imported everything and waits for a
job's name on its stdin. It shares nothing else with the door, so that the door may die at any moment:

=======================================  ==========================================================
the door was killed                      what the next one finds and does
=======================================  ==========================================================
before the name was written              a record without a shim: handed over now
after the name was written               a shim that named itself in the record: left alone
=======================================  ==========================================================
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from launcher.local import states
from launcher.local.home import HomePaths
from launcher.local.jobrecord import JobRecord
from launcher.local.processes import ProcessId, spawn_detached
from launcher.local.records import Records, UnknownJob

# A job that has just started needs the processor more than the next one's shim does.
WARM_UP_DELAY = 3.0
FOREGROUND_TYPE = "local_debug"
# The client of a foreground job comes at once; one that was killed in between never does.
CLIENT_SECONDS = 60.0

log = logging.getLogger(__name__)


def shim_command(paths: HomePaths) -> tuple[str, ...]:
    """How a shim is started."""
    return (sys.executable, "-m", "launcher.local.shim", "--home", str(paths.root))


class ShimPool:
    """The shims of one door.

    Args:
        paths: the data folder.
        records: the records.
        command: how a shim is started; it reads a job's name and a newline from its stdin, and ends when there is none.
        clock: seconds, never running back.
    """

    def __init__(
        self,
        paths: HomePaths,
        records: Records,
        command: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths = paths
        self._records = records
        self._command = command
        self._clock = clock
        self._lock = threading.Lock()
        self._warm: subprocess.Popen[bytes] | None = None
        self._next_warm_at = clock()
        self._children: list[subprocess.Popen[bytes]] = []
        self._closed = False

    @property
    def warm_pid(self) -> int | None:
        """Process id of the warm shim."""
        warm = self._warm
        return warm.pid if warm else None

    def hand_over(self, name: str) -> None:
        """Give a job to a shim, unless it has one.

        Raises:
            OSError: no process could be started; ``reconcile`` tries again.
        """
        with self._lock:
            record = self._records.find(name)
            if record is None or record.shim_pid is not None or record.ended or _is_foreground(record):
                return
            child, self._warm = self._warm, None
            if child is None or not _told(child, name):
                child = self._spawn()
                if not _told(child, name):
                    raise BrokenPipeError(f"the shim of job {name} ended at once")
            self._next_warm_at = self._clock() + WARM_UP_DELAY
            self._children.append(child)
            if process := ProcessId.of(child.pid):
                self._records.claim(name, process.pid, process.started_at)

    def keep(self) -> None:
        """Collect shims that ended, and have one warm."""
        with self._lock:
            self._children = [child for child in self._children if child.poll() is None]
            if self._warm is not None and self._warm.poll() is not None:
                log.warning("the warm shim ended with %s", self._warm.returncode)
                self._warm, self._next_warm_at = None, self._clock() + WARM_UP_DELAY
            if self._warm is None and not self._closed and self._clock() >= self._next_warm_at:
                self._warm = self._spawn()

    def close(self) -> None:
        """Let the warm shim go; those with a job live on."""
        with self._lock:
            self._closed = True
            if self._warm is not None and self._warm.stdin is not None:
                self._warm.stdin.close()
            self._warm = None

    def reconcile(self) -> None:
        """Hand over jobs that have no shim, and end those whose shim is gone."""
        for record in self._records.running():
            try:
                if record.shim_pid is None and not _is_foreground(record):
                    self.hand_over(record.name)
                elif record.shim_pid is None:
                    self._expect_client(record)
                elif not _lives(record):
                    self._bury(record)
            except Exception:
                log.exception("job %s", record.name)

    def _spawn(self) -> subprocess.Popen[bytes]:
        # A container may run as a user of its own, and must read the tree that the shim lays out for it.
        return spawn_detached(self._command, self._paths.door_log, stdin=subprocess.PIPE, umask=0o022)

    def _expect_client(self, record: JobRecord) -> None:
        """Fail a foreground job whose client never came to run it."""
        if time.time() - record.created_at > CLIENT_SECONDS:
            reason = (
                f"ClientError: a job of type {FOREGROUND_TYPE} is run by the client that creates it, "
                f"and none came within {CLIENT_SECONDS:.0f} s."
            )
            with contextlib.suppress(states.IllegalTransition, UnknownJob):
                self._records.transition(record.name, states.FAILED, reason, failure_reason=reason)

    def _bury(self, record: JobRecord) -> None:
        shim_log = self._paths.job(record.name).shim_log
        reason = f"InternalServerError: the process that ran the job ended unexpectedly; its log is {shim_log}"
        try:
            record = self._records.transition(record.name, states.FAILED, reason, failure_reason=reason)
        except (states.IllegalTransition, UnknownJob):
            return  # it ended the job in its last moment
        log.warning("job %s: its shim %s is gone", record.name, record.shim_pid)
        from launcher.local.executors.reap import reap

        reap(self._paths, record)


def _is_foreground(record: JobRecord) -> bool:
    """Whether the job's client runs it on its own terminal and names itself in the record, as a shim does."""
    return bool(record.request["ResourceConfig"].get("InstanceType") == FOREGROUND_TYPE)


def _lives(record: JobRecord) -> bool:
    return ProcessId(record.shim_pid or 0, record.shim_started_at or 0).alive


def _told(child: subprocess.Popen[bytes], name: str) -> bool:
    """Write a job's name to a shim; False when it is gone."""
    if child.stdin is None or child.poll() is not None:
        return False
    try:
        child.stdin.write(f"{name}\n".encode())
        child.stdin.close()
    except OSError:
        return False
    return True
