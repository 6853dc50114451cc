"""Processes that outlive the one that started them, told apart from later ones with the same number."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from batchrl.contract.files import write_atomically

POLL_SECONDS = 0.02


@dataclass(frozen=True)
class ProcessId:
    """One process, for ever: a pid is used again, a pid with its start time is not.

    Args:
        pid: process id.
        started_at: start of the process in clock ticks since boot.
    """

    pid: int
    started_at: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The process that has a pid now; None when there is none, or only a zombie."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        # The name in parentheses may hold anything; state and start time are fields 3 and 22.
        fields = text[text.rindex(")") + 2 :].split()
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @classmethod
    def read(cls, path: Path) -> ProcessId | None:
        """The process that a file names, whether it lives or not; None where there is no such file."""
        try:
            parsed = json.loads(path.read_text())
            return cls(int(parsed["pid"]), int(parsed["started_at"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
            return None

    def write(self, path: Path) -> None:
        """Name this process in a file."""
        write_atomically(path, json.dumps(asdict(self)), shared=True, private=True)

    @property
    def alive(self) -> bool:
        """Whether this very process runs: same pid, same start time."""
        return ProcessId.of(self.pid) == self

    def end(self, grace: float) -> None:
        """Terminate the process, and kill it when it is still there ``grace`` seconds later; wait until it is gone."""
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
            if not self._send(number):
                return
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                if not self.alive:
                    return
                time.sleep(POLL_SECONDS)

    def _send(self, number: signal.Signals) -> bool:
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            # Looked at after the handle was opened: from here on it cannot be another process.
            if not self.alive:
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True


class Activity:
    """Whether a process gets on, however slowly: it computes, reads or writes.

    Args:
        pid: the process.
        clock: seconds, monotonic.
    """

    def __init__(self, pid: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._pid = pid
        self._clock = clock
        self._seen = self._figures()
        self._since = clock()

    def still_for(self) -> float:
        """For how many seconds it has done nothing."""
        figures = self._figures()
        if figures != self._seen:
            self._seen, self._since = figures, self._clock()
        return self._clock() - self._since

    def _figures(self) -> tuple[str, ...]:
        """Ticks of processor time, page faults, bytes read and written; empty where they cannot be had."""
        try:
            text = Path(f"/proc/{self._pid}/stat").read_text()
            fields = text[text.rindex(")") + 2 :].split()
            return (*fields[7:15], *Path(f"/proc/{self._pid}/io").read_text().split())
        except (OSError, ValueError):
            return ()


def spawn_detached(
    command: Sequence[str],
    log: Path,
    environ: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    umask: int = -1,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, with its output appended to a file.

    It keeps no folder busy: its working directory is ``/``.
    """
    with open(log, "ab", opener=_private) as output:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=output,
            stderr=output,
            env=environ,
            cwd="/",
            start_new_session=True,
            umask=umask,
            pass_fds=pass_fds,
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def allow_descriptors(count: int) -> None:
    """Let this process open so many files and connections, or as many as its hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count)), hard))
