"""The product's scripts as processes of their own: they need torch and gymnasium, which this side never imports."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from batchrl.contract.errors import EXIT_INTERRUPTED, InputError
from launcher.base import extras
from launcher.base.product import product_scripts

SIGNALLED = 128
# So long a script that was interrupted by the terminal has for ending, before it is taken for not interrupted at all.
OWN_INTERRUPT_SECONDS = 2.0


def script_path(name: str) -> Path:
    """Where a script lies in this installation.

    Raises:
        InputError: this installation has no such script, or lacks packages that the scripts need.
    """
    scripts = product_scripts()
    if name not in scripts:
        raise InputError(f"this installation has no script {name}.", "Install it again.")
    extras.require(f"{name} on this computer", extras.JOB)
    return scripts[name]


def run_script(script: Path, options: Sequence[str], stdout: int | None = None) -> int:
    """Run a script on this terminal and return its exit code; a signal that ended it counts 128 more, as in shells.

    An interrupt or SIGTERM of ours is passed on to the script, and the exit code is 130.

    Args:
        script: its path.
        options: its command line.
        stdout: file descriptor that takes what it prints, by default our own.
    """
    process = subprocess.Popen([sys.executable, str(script), *options], stdout=stdout)
    terminated = False

    def terminate(signum: int, frame: FrameType | None) -> None:
        nonlocal terminated
        terminated = True
        process.terminate()

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        _end_interrupted(process)
        return EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    if terminated:
        return EXIT_INTERRUPTED
    return code if code >= 0 else SIGNALLED - code


def _end_interrupted(process: subprocess.Popen[bytes]) -> None:
    """Wait for the script to end its file properly; a terminal interrupts it with us, but `kill` reaches us alone."""
    try:
        process.wait(OWN_INTERRUPT_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait()
