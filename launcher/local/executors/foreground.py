"""Jobs on the terminal of whoever submitted them: the process executor's job, with stdin, stdout and stderr left alone.

The script is where a debugger needs it: in the terminal's foreground process group, so that ``breakpoint()`` works and
Ctrl-C reaches it. What it writes goes to the terminal; the job's log says so.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

from batchrl.contract.paths import DEBUG_PORT_VARIABLE
from launcher.local.executors.base import PROCESS, Program
from launcher.local.executors.process import ProcessExecution, command, environment, reported_start

LOGGED = "This job ran in the foreground: its output went to the terminal of process {pid}.\n"


class ForegroundExecution(ProcessExecution):
    """One job that shares the terminal with this process."""

    def output(self) -> Iterator[bytes]:
        """One line that names the process; its own output goes to the terminal."""
        yield LOGGED.format(pid=os.getpid()).encode()


class ForegroundExecutor:
    """Runs one job in front of the user.

    Args:
        debug_port: port on loopback at which the script waits for a debugger that speaks debugpy's protocol.
    """

    name = PROCESS

    def __init__(self, debug_port: int | None = None) -> None:
        self._debug_port = debug_port

    def start(self, program: Program) -> ForegroundExecution:
        """Start a job's program.

        Raises:
            JobFault: it cannot be started here.
        """
        environ = environment(program)
        if self._debug_port is not None:
            environ[DEBUG_PORT_VARIABLE] = str(self._debug_port)
        argv = command(program)
        with reported_start(argv):
            process = subprocess.Popen(argv, cwd=program.root, env=environ)
        return ForegroundExecution(process, program.root)
