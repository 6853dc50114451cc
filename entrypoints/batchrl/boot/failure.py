"""The text of ``/opt/ml/output/failure``: the script's own exception, from what it wrote last (contract 80, 85)."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from batchrl.boot.supervise import Ending
from batchrl.contract.paths import MAX_FAILURE_CHARACTERS

LAST_LINES = 12
# A traceback that so many lines follow was handled, and is not what ended the script.
MAX_LINES_AFTER_TRACEBACK = 25

_TRACEBACK = re.compile(r"^\s*(?:[+|] )*(?:Exception Group )?Traceback \(most recent call last\):$")
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(?:: |:$|$)")


def describe(ending: Ending) -> str:
    """At most 1024 characters that say why a script failed: first the exception, then where it was raised."""
    lines = ending.tail.decode(errors="replace").replace("\r\n", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if ending.signal is not None:
        return _fitting(_signal_text(ending.signal), lines[-LAST_LINES:])
    start = next((index for index in reversed(range(len(lines))) if _TRACEBACK.match(lines[index])), None)
    if start is not None:
        end = next(
            (index for index in range(start + 1, len(lines)) if _EXCEPTION.match(lines[index])),
            None,
        )
        if end is not None and len(lines) - end <= MAX_LINES_AFTER_TRACEBACK:
            return _fitting("\n".join(lines[end:]), lines[start + 1 : end])
    if not lines:
        return f"The script ended with exit code {ending.exit_code} and wrote nothing."
    return _fitting("", lines[-LAST_LINES:])


def write(path: Path, text: str) -> None:
    """Write the failure file unless the script wrote one itself."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text[:MAX_FAILURE_CHARACTERS], encoding="utf-8")


def _signal_text(number: int) -> str:
    name = signal.Signals(number).name
    hint = "; the machine may have run out of memory" if number == signal.SIGKILL else ""
    return f"The script was ended by {name}{hint}."


def _fitting(head: str, lines: list[str]) -> str:
    """The head and as many of the last lines as fit."""
    chosen: list[str] = []
    room = MAX_FAILURE_CHARACTERS - len(head) - 1
    for line in reversed(lines):
        if len(line) + 1 > room:
            break
        chosen.append(line)
        room -= len(line) + 1
    return "\n".join(filter(None, [head, *reversed(chosen)]))[:MAX_FAILURE_CHARACTERS]
