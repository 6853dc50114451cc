"""What Ctrl-C does while a job is waited for: ask once whether to leave the job alone or to stop it.

Without a terminal nobody can answer, so the job is stopped: whoever interrupts a script means its work. A second
Ctrl-C, at any time after the first, leaves at once. Every way out raises KeyboardInterrupt, so that no exit code is 0.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from launcher.base.notices import say

QUESTION = "The job '{name}' is still running. [d]etach and leave it running, or [s]top it? [s] "


@contextmanager
def handled(
    name: str,
    stop: Callable[[], object],
    settle: Callable[[], object] = lambda: None,
    stdin: TextIO | None = None,
    asks: bool = True,
) -> Iterator[None]:
    """Run a block that waits for a job.

    Args:
        name: of the job.
        stop: asks it to stop.
        settle: waits until it has stopped, so that its last lines and checkpoints are not cut off.
        stdin: where the answer comes from; None for the process's own.
        asks: whether the user is asked at all; else the job is stopped.

    Raises:
        KeyboardInterrupt: after Ctrl-C, whatever was answered.
    """
    try:
        yield
    except KeyboardInterrupt:
        if asks and _wants_to_detach(name, stdin or sys.stdin):
            say(f"Detached: the job goes on. Come back with: batchrl logs -f {name}")
        else:
            stop()
            say(f"Stopping '{name}'; Ctrl-C again leaves at once.")
            settle()
        raise


def _wants_to_detach(name: str, stdin: TextIO) -> bool:
    if not stdin.isatty():
        return False
    sys.stderr.write("\n" + QUESTION.format(name=name))
    sys.stderr.flush()
    return stdin.readline().strip().lower().startswith("d")
