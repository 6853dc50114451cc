"""Raw output of a job as lines (contract 11, 113, 116).

A progress bar redraws its line with carriage returns. A log keeps the last state of such a line, and one state every
two seconds while it goes on.
"""

from __future__ import annotations

MAX_LINE_BYTES = 256 * 1024
PROGRESS_SECONDS = 2.0


class LineAssembler:
    """Cuts a byte stream into lines.

    Args:
        now: time at the start, in seconds.
    """

    def __init__(self, now: float = 0.0) -> None:
        self._partial = b""
        self._returned = False
        self._progress_at = now

    def feed(self, chunk: bytes, now: float) -> list[bytes]:
        """The lines that a chunk completes, without their ends; ``now`` in seconds."""
        *whole, self._partial = (self._partial + chunk).split(b"\n")
        # Most output knows no carriage return, and then a line is what it is.
        lines = [_final_state(line) for line in whole] if b"\r" in chunk or self._returned else whole
        self._returned = b"\r" in self._partial
        if b"\r" in self._partial[:-1]:
            finished, _, self._partial = self._partial.rpartition(b"\r")
            if self._partial == b"":
                # A carriage return at the end may be the first half of a line end.
                finished, _, last = finished.rpartition(b"\r")
                self._partial = last + b"\r"
            if now - self._progress_at >= PROGRESS_SECONDS and (state := _final_state(finished)):
                self._progress_at = now
                lines.append(state)
        while len(self._partial) >= MAX_LINE_BYTES:
            lines.append(self._partial[:MAX_LINE_BYTES])
            self._partial = self._partial[MAX_LINE_BYTES:]
        return lines

    def end(self) -> list[bytes]:
        """What is left at the end of the stream."""
        rest, self._partial = self._partial, b""
        return [_final_state(rest)] if rest else []


def _final_state(line: bytes) -> bytes:
    """What a terminal would show of a line: the text after the last carriage return."""
    return line.rstrip(b"\r").rpartition(b"\r")[2]
