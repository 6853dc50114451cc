"""Jobs as processes of this machine: the same boot, the same tree under another root."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from batchrl.contract.paths import PLATFORM_ROOT, ROOT_VARIABLE, SERVE_SOCKET_VARIABLE
from launcher.local.executors.address import ServerAddress
from launcher.local.executors.base import PROCESS, Program, direct_loopback, server_socket_name
from launcher.local.host.faults import JobFault, client_fault

CHUNK_BYTES = 64 * 1024
SIGNAL_EXIT_BASE = 128
COMMAND_NOT_FOUND = 127
# What an image calls the Python that a process has from here.
PYTHONS = ("python", "python3")
_PLATFORM_PATH = re.compile(rf"(?<![\w./-]){re.escape(PLATFORM_ROOT)}(?=/|$)")
# Variables that say who and where a process is: the caller's must not reach a job.
WITHHELD_PREFIXES = ("AWS_", "BATCHRL_", "SM_", "SAGEMAKER_", "TRAINING_JOB_")


class ProcessExecution:
    """One job as a session of processes.

    Args:
        process: PID 1 of the job, leader of its session.
        root: the job's tree; every process of the job has it in its environment.
        address: where it listens, if it is a model server.
    """

    def __init__(self, process: subprocess.Popen[bytes], root: Path, address: ServerAddress | None = None) -> None:
        self._process = process
        self._root = root
        self.address = address

    @property
    def handle(self) -> str:
        """The process id."""
        return str(self._process.pid)

    def output(self) -> Iterator[bytes]:
        """Chunks of what the process writes, until it closes its output."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while chunk := os.read(descriptor, CHUNK_BYTES):
            yield chunk

    def wait(self) -> int:
        """Wait for the end, end what the process left running, and return the exit code (128 + n for signal n)."""
        code = self._process.wait()
        # The job's end is the end of all its processes, as in a container; this closes the output too.
        kill_processes(self._root)
        return code if code >= 0 else SIGNAL_EXIT_BASE - code

    def terminate(self) -> None:
        """Send SIGTERM to the process."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the process and to all that it started."""
        kill_processes(self._root)
        if self._process.poll() is None:
            self._process.kill()

    def remove(self) -> bool:
        """Close its output and remove its socket; whether the kernel ended it for want of memory."""
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self.address is not None and self.address.path is not None:
            Path(self.address.path).unlink(missing_ok=True)
        return False


class ProcessExecutor:
    """Runs jobs with this Python, whatever image their request names."""

    name = PROCESS

    def start(self, program: Program) -> ProcessExecution:
        """Start a program; a model server listens at a unix socket, which is its owner's alone.

        Raises:
            JobFault: its entry point does not exist here, or it needs a folder outside of its tree.
        """
        argv, environ, address = command(program), environment(program), None
        if program.serves:
            socket = program.home.socket(server_socket_name(program.name))
            socket.unlink(missing_ok=True)
            socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            address = ServerAddress.unix(str(socket))
            environ[SERVE_SOCKET_VARIABLE] = str(socket)
        with reported_start(argv):
            process = subprocess.Popen(
                argv,
                cwd=program.root,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return ProcessExecution(process, program.root, address)


def command(program: Program) -> list[str]:
    """What PID 1 is.

    Raises:
        JobFault: the program needs a folder outside of its tree.
    """
    if program.outside is not None:
        raise client_fault(
            f"CheckpointConfig.LocalPath {program.outside[0]} lies outside of {PLATFORM_ROOT}: "
            "a job that runs as a process has no file system of its own. Use a folder below it, or a container."
        )
    if not program.names_places:
        return [*(program.entrypoint or [sys.executable, "-m", "batchrl.boot"]), *(program.arguments or [])]
    if not program.entrypoint:
        raise client_fault(
            "AppSpecification.ContainerEntrypoint is missing: a job that runs as a process has no image whose own "
            "entry point it could take. Give one, or use a container."
        )
    words = [_placed(word, program.root) for word in (*program.entrypoint, *(program.arguments or []))]
    return [sys.executable if words[0] in PYTHONS else words[0], *words[1:]]


def environment(program: Program) -> dict[str, str]:
    """A program's whole environment: this machine's, the program's own on top."""
    told = dict(program.environment)
    if program.names_places:
        told = {name: _placed(text, program.root) for name, text in told.items()}
    own = inherited(os.environ) | told | {ROOT_VARIABLE: str(program.root)}
    return own | direct_loopback(own)


def _placed(word: str, root: Path) -> str:
    """A word in which places below ``/opt/ml`` are named as they lie on this machine."""
    return _PLATFORM_PATH.sub(lambda _: str(root), word)


@contextlib.contextmanager
def reported_start(argv: list[str]) -> Iterator[None]:
    """A program that cannot be started is the job's fault."""
    try:
        yield
    except OSError as error:
        raise JobFault(
            f"AlgorithmError: {argv[0]} cannot be started: {error.strerror}, exit code: {COMMAND_NOT_FOUND}"
        ) from error


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of this process's environment that a job gets: the machine's, not the caller's cloud."""
    return {name: text for name, text in environ.items() if not name.startswith(WITHHELD_PREFIXES)}


def kill_processes(root: Path) -> None:
    """SIGKILL to every process of the job with this tree, whatever session it moved to; repeated until none is left."""
    for _ in range(100):
        pids = job_processes(root)
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def job_processes(root: Path) -> list[int]:
    """Live processes of this user that have the tree in their environment."""
    mark = f"{ROOT_VARIABLE}={root}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0") and _alive(entry):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _alive(entry: Path) -> bool:
    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
    return state not in ("Z", "X")
