"""Lines to the user beside a job's own output: on stderr, so that output can be piped."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Print one notice."""
    print(text, file=sys.stderr, flush=True)
