"""Standard output whose reader has gone, as after ``| head``."""

from __future__ import annotations

import os
import sys

from batchrl.contract.errors import EXIT_BROKEN_PIPE


def reader_has_gone() -> int:
    """Point stdout at nothing, so that the interpreter's last flush does not complain; returns the exit code."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    return EXIT_BROKEN_PIPE
