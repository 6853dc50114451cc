"""The script as a child of PID 1: its output, its signals, its end (contract 6, 11, 79, 83, 96)."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchrl.boot.signals import StopSignals

TAIL_BYTES = 64 * 1024
CHUNK_BYTES = 64 * 1024
SIGNAL_EXIT_BASE = 128


@dataclass(frozen=True)
class Ending:
    """How a script ended.

    Args:
        exit_code: its exit code, 128+n for signal n.
        signal: the signal that ended it, None if it ended by itself.
        tail: the last 64 KiB of what it wrote; empty when it wrote to a terminal.
    """

    exit_code: int
    signal: int | None
    tail: bytes


class Script:
    """One running script.

    Its stdout and stderr are one pipe, so that the lines keep the order in which they were written; the platform
    merges the two streams in any case. At a terminal (``docker run -it``, a debugger) it gets the terminal itself.

    Args:
        argv: what to run.
        folder: working directory.
        environ: its whole environment.
        stops: where its process group is registered for signals.
    """

    def __init__(self, argv: Sequence[str], folder: Path, environ: Mapping[str, str], stops: StopSignals) -> None:
        self._stops = stops
        self._tail = bytearray()
        self._ending: Ending | None = None
        self._wake, wake_end = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_end, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda signum, frame: None)
        self._at_terminal = os.isatty(0)
        self._output: int | None = None
        if self._at_terminal:
            self._process = subprocess.Popen(argv, cwd=folder, env=environ)
            stops.forward_to(self._process.pid, group=False)
        else:
            self._output, writing_end = os.pipe()
            self._process = subprocess.Popen(
                argv,
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=writing_end,
                stderr=writing_end,
                process_group=0,
            )
            os.close(writing_end)
            stops.forward_to(self._process.pid)

    def wait(self) -> Ending:
        """Pass the output on until the script ends; what it left running is ended with it."""
        while True:
            self._pass_on(timeout=None)
            status = self._reap()
            if status is not None:
                break
        self._stops.forward_to_none()
        if not self._at_terminal:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            while self._pass_on(timeout=0):
                continue
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        return Ending(code if code >= 0 else SIGNAL_EXIT_BASE - code, -code if code < 0 else None, bytes(self._tail))

    def _pass_on(self, timeout: float | None) -> bool:
        """Wait for output or a signal and copy what is there; whether there was output."""
        sources = [self._wake] if self._output is None else [self._wake, self._output]
        ready, _, _ = select.select(sources, [], [], timeout)
        if self._wake in ready:
            os.read(self._wake, CHUNK_BYTES)
        if self._output is None or self._output not in ready:
            return False
        chunk = os.read(self._output, CHUNK_BYTES)
        if not chunk:
            os.close(self._output)
            self._output = None
            return False
        write_all(chunk)
        self._tail += chunk
        del self._tail[:-TAIL_BYTES]
        return True

    def _reap(self) -> int | None:
        """Collect every child that ended, orphans too; the script's wait status if it is among them."""
        status_of_script = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return status_of_script
            if pid == 0:
                return status_of_script
            if pid == self._process.pid:
                status_of_script = status


def write_all(content: bytes) -> None:
    """Write to this process's stdout; a reader that is gone does not end the job."""
    view = memoryview(content)
    try:
        while view:
            view = view[os.write(1, view) :]
    except OSError:
        return
