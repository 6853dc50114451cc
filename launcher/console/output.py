"""The log of something that runs: its end, and lines that hold a text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from batchrl.contract.errors import InputError, Unreachable, shortened
from launcher.jobs.follow import PAGE_LINES
from launcher.jobs.handle import Handle
from launcher.jobs.waiting import log_end
from launcher.session.answers import known

TAIL = 60
MOST_FOUND = 500
MOST_PAGES = 20
LONGEST = 2_000
LONGEST_SEARCH = 200
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,32}m")


@dataclass(frozen=True)
class Output:
    """Lines of a log.

    Args:
        lines: in order, without colours, the long ones cut.
        note: what the reader has to know, as that there are more.
    """

    lines: tuple[str, ...]
    note: str = ""


def tail_of(handle: Handle, count: int = TAIL) -> Output:
    """The last lines, or why they cannot be read."""
    notes: list[str] = []
    try:
        lines = log_end(handle, count, notes.append)
        return Output(_shown(lines), shortened(" ".join(notes), LONGEST))
    except Unreachable as error:
        return Output((), f"The log cannot be read: {error.message}")


def search(handle: Handle, text: str) -> Output:
    """The lines that hold a text, the first ones where there are many.

    Raises:
        InputError: the text is too long.
        Unreachable: the cloud does not answer.
    """
    if len(text) > LONGEST_SEARCH:
        raise InputError(
            f"a text of {len(text):,} characters is too long.", f"At most {LONGEST_SEARCH} are looked for."
        )
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    asked = {"logGroupName": handle.log_group, "filterPattern": f'"{escaped}"', "limit": min(MOST_FOUND, PAGE_LINES)}
    if handle.stream_prefix:
        asked["logStreamNamePrefix"] = handle.stream_prefix
    found: list[str] = []
    with handle.session.reported(f"searching the log of {handle.name}", handle.session.logs):
        for _ in range(MOST_PAGES):
            answer = known(handle.session.logs.filter_log_events, **asked) or {}
            found += [event["message"] for event in answer.get("events", ())]
            if len(found) >= MOST_FOUND or not answer.get("nextToken"):
                break
            asked["nextToken"] = answer["nextToken"]
        else:
            return Output(_shown(found), "The log is long: only a part of it was searched.")
    more = len(found) > MOST_FOUND or bool(answer.get("nextToken"))
    return Output(_shown(found[:MOST_FOUND]), f"These are the first {MOST_FOUND} lines." if more else "")


def _shown(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(shortened(_COLOUR.sub("", line), LONGEST) for line in lines)
