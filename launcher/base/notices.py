"""Lines to the user beside a job's own output: on stderr, so that output can be piped."""

from __future__ import annotations

import sys

from launcher.base.terminal import visible


def say(text: str) -> None:
    """Print one notice."""
    print(visible(text), file=sys.stderr, flush=True)
