"""What tests of whole jobs share: both executors, the command line, processes, waiting without blind sleeps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from launcher.api.joboptions import JobOptions

# A command line's options of a job that runs as a process, none of which was given.
PROCESS_JOBS = JobOptions("", instance_type="local_process")
EXECUTORS = [
    pytest.param("local_process", id="process"),
    pytest.param("local", id="docker", marks=pytest.mark.engine),
]


def wait_until(what: str, happened: Callable[[], object], timeout: float = 60.0) -> None:
    """Poll until something is true; fail with its name when it does not become so."""
    deadline = time.monotonic() + timeout
    while not happened():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {timeout:.0f} s")
        time.sleep(0.02)


def run_command(
    home: Path, *arguments: str, check: bool = True, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``batchrl`` as a user would; fail the test when it fails, unless ``check`` is off."""
    answer = subprocess.run(
        [sys.executable, "-m", "launcher.cli", *arguments],
        env=os.environ | {"BATCHRL_HOME": str(home)} | dict(environ or {}),
        capture_output=True,
        text=True,
        timeout=240,
    )
    if check and answer.returncode:
        pytest.fail(f"batchrl {' '.join(arguments)} ended with {answer.returncode}:\n{answer.stdout}\n{answer.stderr}")
    return answer


def processes(matches: Callable[[Sequence[str], Mapping[str, str]], bool]) -> list[int]:
    """Pids of the processes whose command line and environment match; those of others cannot be read and do not."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            pairs = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if matches(arguments, dict(pair.split("=", 1) for pair in pairs if "=" in pair)):
            found.append(int(folder.name))
    return found


def kill_now(pid: int) -> None:
    """``kill -9``, and wait until the process is gone."""
    os.kill(pid, signal.SIGKILL)
    wait_until(f"process {pid} is gone", lambda: not _alive(pid))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
