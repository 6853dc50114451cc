"""The embedded object store (``launcher.local.store``) as a process of its own, started, watched and ended.

It outlives the API server: the next one adopts it by its pid and start time, if it runs the code that is installed now;
a store of other code, rclone of version 0.1.0 among them, is ended, and its data taken over.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from batchrl.contract.errors import Unreachable
from launcher.local.host.address import HOST, Identity
from launcher.local.host.home import HomePaths
from launcher.local.host.processes import POLL_SECONDS, ProcessId, spawn_detached
from launcher.local.host.version import fingerprint

STOP_SECONDS = 5.0
READY_SECONDS = 15.0
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
        """The store's process while it lives."""
        known = ProcessId.read(self._paths.store_process)
        return known if known and known.alive else None

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

    def wait(self, seconds: float = READY_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        """Return when the store accepts connections.

        Raises:
            Unreachable: it ended, or did not within ``seconds``.
        """
        deadline = clock() + seconds
        while not self.answers():
            ended = self._child is not None and self._child.poll() is not None
            if ended or clock() > deadline:
                raise Unreachable(f"the embedded store does not answer: {last_lines(self._paths.store_log)}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> bool:
        """End the store.

        Returns:
            Whether it ran.
        """
        process = self.process()
        if process:
            process.end(STOP_SECONDS)
        for leftover in (self._paths.store_process, self._paths.store_socket):
            leftover.unlink(missing_ok=True)
        return process is not None

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


def _command_of(process: ProcessId) -> list[str]:
    """The command line of a process; nothing where it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")[:-1]
    return []


def last_lines(log: Path, count: int = 5) -> str:
    """The end of a log, for a message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return f"{log} is not there"
    return " | ".join(text.strip().splitlines()[-count:]) or f"{log} is empty"
