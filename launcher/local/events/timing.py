"""A piece of work as one event: how long it took, and why it failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from launcher.local.events.eventfile import EventFile
from launcher.local.events.kinds import Event


@contextmanager
def told(events: EventFile, kind: Callable[[float, str | None], Event]) -> Iterator[None]:
    """Add an event of a kind, with seconds and error, when the block is over."""
    began = time.monotonic()
    try:
        yield
    except Exception as error:
        events.add(kind(time.monotonic() - began, str(error)))
        raise
    events.add(kind(time.monotonic() - began, None))
