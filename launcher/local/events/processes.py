"""What the processes of a program use, read from ``/proc``: those of a container, or a process with its descendants."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """One process.

    Args:
        pid, parent: process ids.
        state: the kernel's letter: R runs, S sleeps, D waits for a disk, T is stopped, Z has ended.
        cpu_seconds: processor time so far, of children that were waited for as well.
        rss: bytes of resident memory.
    """

    pid: int
    parent: int
    state: str
    cpu_seconds: float
    rss: int


def processes_of(handle: str, proc: Path = PROC) -> list[Process]:
    """The processes of a program that live.

    Args:
        handle: as ``Execution.handle``: a process id, whose descendants count as well, or a container's id.
        proc: where the kernel shows them.
    """
    found = [one for entry in _entries(proc) if (one := _process(entry)) is not None and one.state not in "ZX"]
    if not handle.isdigit():
        return [one for one in found if handle and handle in _text(proc / str(one.pid) / "cgroup")]
    wanted = {int(handle)}
    while more := {one.pid for one in found if one.parent in wanted} - wanted:
        wanted |= more
    return [one for one in found if one.pid in wanted]


def waits_in(pid: int, proc: Path = PROC) -> str:
    """The kernel function that a process waits in; empty where that is not told."""
    text = _text(proc / str(pid) / "wchan").strip()
    return "" if text == "0" else text


def command_of(pid: int, proc: Path = PROC) -> str:
    """The beginning of a process's command line."""
    return _text(proc / str(pid) / "cmdline").replace("\0", " ").strip()[:120]


def available_memory(proc: Path = PROC) -> int:
    """Bytes that programs could still take on this computer; 0 where that is not told."""
    return _figure(_text(proc / "meminfo"), "MemAvailable:") * 1024


def total_memory(proc: Path = PROC) -> int:
    """Bytes of memory of this computer; 0 where that is not told."""
    return _figure(_text(proc / "meminfo"), "MemTotal:") * 1024


def oom_kills(proc: Path = PROC) -> int:
    """How many processes the kernel has ended for want of memory since this computer started."""
    return _figure(_text(proc / "vmstat"), "oom_kill")


def _entries(proc: Path) -> list[Path]:
    try:
        return [entry for entry in proc.iterdir() if entry.name.isdigit()]
    except OSError:
        return []


def _process(entry: Path) -> Process | None:
    text = _text(entry / "stat")
    # The name in parentheses may hold anything.
    fields = text[text.rfind(")") + 2 :].split()
    try:
        cpu = sum(int(ticks) for ticks in fields[11:15]) / _TICKS
        return Process(int(entry.name), int(fields[1]), fields[0], cpu, int(fields[21]) * _PAGE)
    except (IndexError, ValueError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def _figure(text: str, name: str) -> int:
    for line in text.splitlines():
        if line.startswith((f"{name} ", f"{name}\t")):
            return int(line.split()[1])
    return 0
