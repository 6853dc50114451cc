"""Whom a fault hits: the processes of a cloud and of a job, found in /proc as they are now."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.local.host.home import HomePaths
from launcher.local.host.processes import ProcessId

FORKSERVER = "launcher.local.shims.forkserver"
SERVER = "launcher.local.server.process"
BOOT = "batchrl.boot"


@dataclass(frozen=True)
class Process:
    """One process as /proc showed it.

    Args:
        pid, parent: process ids.
        command: its arguments.
        environ: its environment.
    """

    pid: int
    parent: int
    command: tuple[str, ...]
    environ: dict[str, str]

    def concerns(self, folder: Path) -> bool:
        """Whether it was told of a folder, by its arguments or in its environment."""
        text = str(folder)
        values = (*self.command, *self.environ.values())
        return any(text == value or f"{text}/" in value for value in values)


def processes() -> Iterator[Process]:
    """All processes that can be read; no zombies, and not this one."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            pairs = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if fields[0] not in "ZX":
            environ = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
            yield Process(int(entry.name), int(fields[1]), tuple(command), environ)


def of_home(paths: HomePaths) -> list[Process]:
    """The processes of one cloud: API server, store, forkserver, shims, jobs; commands that were started for it."""
    return [one for one in processes() if one.concerns(paths.root)]


def forkserver(paths: HomePaths) -> int | None:
    """The forkserver: of the processes with its command line, the one whose parent is none of them."""
    family = {one.pid: one for one in of_home(paths) if FORKSERVER in one.command}
    heads = [pid for pid, one in family.items() if one.parent not in family]
    server = ProcessId.read(paths.server_process)
    ours = [pid for pid in heads if server is not None and family[pid].parent == server.pid]
    return (ours or heads or [None])[0]


def server(paths: HomePaths) -> int | None:
    """The API server."""
    known = ProcessId.read(paths.server_process)
    return known.pid if known and known.alive else None


def store(paths: HomePaths) -> int | None:
    """The embedded store."""
    known = ProcessId.read(paths.store_process)
    return known.pid if known and known.alive else None


def of_job(root: Path, name: str) -> list[Process]:
    """Processes of a job: by its tree, or, in a container, by its name."""
    return [
        one
        for one in processes()
        if one.environ.get("BATCHRL_ML_ROOT") == str(root)
        or one.environ.get("TRAINING_JOB_NAME") == name
        or name in one.environ.get("HOSTNAME", "")
    ]


def script(found: Sequence[Process], ending: str = "train.py") -> int | None:
    """The user's script among a job's processes."""
    return next((one.pid for one in found if any(part.endswith(ending) for part in one.command)), None)


def pid_1(found: Sequence[Process]) -> int | None:
    """The job's PID 1."""
    return next((one.pid for one in found if BOOT in one.command), None)


def strike(pid: int | None, number: signal.Signals) -> bool:
    """Send a signal; whether there was somebody to get it."""
    if pid is None:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def freeze(pid: int | None, seconds: float) -> bool:
    """SIGSTOP, and SIGCONT some seconds later; whether there was somebody to stop."""
    if not strike(pid, signal.SIGSTOP):
        return False
    time.sleep(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid or 0, signal.SIGCONT)
    return True
