"""Runs a program that ends when its parent does, however that ends: ``python -I -S bound.py PID PROGRAM ARGUMENT...``

A process that outlived the command that started it would go on writing into a folder that the next command has swept.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

# From <linux/prctl.h>: the signal that this process gets when its parent has ended; it is kept by execve.
PR_SET_PDEATHSIG = 1


def command(program: Sequence[str]) -> list[str]:
    """The command line that runs a program bound to this process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *program]


def main(arguments: Sequence[str]) -> None:
    """Become the program; where the parent has ended already, end."""
    parent, *program = arguments
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == int(parent):
        os.execv(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
