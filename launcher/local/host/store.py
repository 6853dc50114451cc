"""The embedded object store (``launcher.local.store``) as a process of its own, started, watched and ended.

It outlives the API server: the next one finds it by the lock that it holds, and adopts it, if it runs the code that is
installed now; a store of other code, rclone of version 0.1.0 among them, is ended, and its data taken over.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from batchrl.contract.errors import Unreachable
from launcher.local.host.address import HOST, Identity
from launcher.local.host.home import HomePaths
from launcher.local.host.logfile import last_lines
from launcher.local.host.processes import POLL_SECONDS, Activity, ProcessId, spawn_detached
from launcher.local.host.version import fingerprint

STOP_SECONDS = 5.0
# A store that neither computes nor reads nor writes for so long will not answer any more, nor one after so long.
STILL_SECONDS = 60.0
LONGEST_SECONDS = 600.0
PROGRAM = "launcher.local.store.process"
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH")


class EmbeddedStore:
    """The store of one data folder.

    Args:
        paths: the data folder.
        identity: its port and credentials.
    """

    def __init__(self, paths: HomePaths, identity: Identity) -> None:
        self._paths = paths
        self._identity = identity
        self._code = fingerprint()
        self._child: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()

    def process(self) -> ProcessId | None:
        """The store's process while it lives; one that was started here is it before it has taken its lock."""
        return running_store(self._paths) or self._own_child()

    def _own_child(self) -> ProcessId | None:
        if self._child is None or self._child.poll() is not None:
            return None
        return ProcessId.of(self._child.pid)

    def start(self) -> bool:
        """Start the store unless it runs; it may take a moment until it answers.

        Returns:
            Whether it had to be started.
        """
        with self._starting:
            return self._start()

    def _start(self) -> bool:
        if self._child is not None:
            self._child.poll()  # a child that ended stays a zombie until somebody asks
        command = [sys.executable, "-m", PROGRAM, "--home", str(self._paths.root), "--code", self._code]
        if running := self.process():
            if _command_of(running) == command:
                return False
            running.end(STOP_SECONDS)
        environ = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        self._child = spawn_detached(command, self._paths.store_log, environ, umask=0o077)
        if process := ProcessId.of(self._child.pid):
            process.write(self._paths.store_process)
        return True

    def answers(self) -> bool:
        """Whether its port accepts connections now."""
        try:
            with socket.create_connection((HOST, self._identity.store_port), timeout=2):
                return True
        except OSError:
            return False

    def wait(self) -> None:
        """Return when the store accepts connections, however long that takes while it gets on.

        Raises:
            Unreachable: it ended, or does nothing.
        """
        process = self.process()
        activity, longest = Activity(process.pid if process else 0), time.monotonic() + LONGEST_SECONDS
        while not self.answers():
            if self._child is not None:
                self._child.poll()
            ended = process is None or not process.alive
            if not ended and (activity.still_for() > STILL_SECONDS or time.monotonic() > longest):
                end_store(self._paths)  # the next one may do better
                ended = True
            if ended:
                raise Unreachable(f"the embedded store does not answer: {last_lines(self._paths.store_log)}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> bool:
        """End the store.

        Returns:
            Whether it ran.
        """
        return end_store(self._paths, self._own_child())

    def in_use(self) -> bool:
        """Whether anybody holds a connection to it."""
        wanted = f":{self._identity.store_port:04X}"
        established = "01"
        try:
            lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        except OSError:
            return False
        fields = (line.split() for line in lines)
        return any(field[1].endswith(wanted) and field[3] == established for field in fields)


def running_store(paths: HomePaths) -> ProcessId | None:
    """The process of a data folder's embedded store, if it runs."""
    return paths.store_role.player() or _of_former_code(paths)


def end_store(paths: HomePaths, own_child: ProcessId | None = None) -> bool:
    """End the embedded store of a data folder, whatever is left of its files; whether it ran.

    Args:
        paths: the data folder.
        own_child: a store that this process started, which may have no lock yet.
    """
    process = running_store(paths) or own_child
    if process:
        process.end(STOP_SECONDS)
    for leftover in (paths.store_process, paths.store_socket):
        leftover.unlink(missing_ok=True)
    return process is not None


def _of_former_code(paths: HomePaths) -> ProcessId | None:
    """A store of version 0.1.0, which knew no lock of stores: the file names it, and it serves this folder."""
    known = ProcessId.read(paths.store_process)
    serves = known is not None and known.alive and str(paths.former_store) in _command_of(known)
    return known if serves else None


def _command_of(process: ProcessId) -> list[str]:
    """The command line of a process; nothing where it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")[:-1]
    return []
