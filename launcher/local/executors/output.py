"""From a job's raw output to its log stream.

A program whose output nobody reads stops at a full pipe, for ever. So it is read on whatever happens:

=================================  =====================================================================
what happens                       what is done
=================================  =====================================================================
a line cannot be written           it is dropped and counted; the log says how many are missing, later
the output cannot be read          tried again; after ``MOST_FAILURES`` in a row whoever waits for the
                                   program is told, so that it ends
=================================  =====================================================================
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from launcher.local.logs.joblogs import StreamWriter
from launcher.local.logs.lines import LineAssembler

MOST_FAILURES = 5
PAUSE_SECONDS = 0.2
TAIL_BYTES = 4096

log = logging.getLogger(__name__)


class OutputPump:
    """Reads a job's output to its end, in a thread.

    Args:
        output: begins to read the raw output, or goes on with it.
        log_file: the stream's file; it appears with the first output (contract 117).
        on_first_output: called once, before the first line is written.
        on_lost: called when the output cannot be read any more: the program has to be ended.

    Attributes:
        fault: why the output could not be read to its end; None as long as it could.
    """

    def __init__(
        self,
        output: Callable[[], Iterator[bytes]],
        log_file: Path,
        on_first_output: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.fault: Exception | None = None
        self._output = output
        self._log_file = log_file
        self._on_first_output = on_first_output
        self._on_lost = on_lost
        self._writer: StreamWriter | None = None
        self._writing = threading.Lock()
        self._announced = False
        self._lost, self._why = 0, ""
        self._tail = b""
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)

    def start(self) -> None:
        """Begin to read the program's output in a thread."""
        self._thread.start()

    def finish(self, timeout: float) -> bool:
        """Wait until everything is in the log; whether it was within ``timeout`` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def last_words(self) -> str:
        """The end of the output, also where it could not be written: its last lines, together at most 4 KiB."""
        with self._writing:
            return self._tail.decode("utf-8", "replace").strip()

    def say(self, message: str) -> None:
        """Write a line of the platform's own into the log, while the output is read or after it."""
        with self._writing:
            if self._writer is not None:
                self._writer.write(message)
                return
            writer = self._opened()
            writer.write(message)
            self._closed(writer)

    def settle(self) -> None:
        """Let the log say what is missing in it, if that was not possible before; after the output's end."""
        with self._writing:
            if self._lost:
                self._closed(self._opened())

    def _run(self) -> None:
        try:
            self._pump()
        except Exception as error:
            self._give_up(error)
        finally:
            with self._writing:
                writer, self._writer = self._writer, None
                if writer is not None:
                    self._closed(writer)

    def _pump(self) -> None:
        assembler, failures = LineAssembler(time.monotonic()), 0
        while True:
            try:
                for chunk in self._output():
                    failures = 0
                    self._write(assembler.feed(chunk, time.monotonic()))
                break
            except Exception as error:
                failures += 1
                log.warning("the output of the program cannot be read: %s: %s", type(error).__name__, error)
                if failures == MOST_FAILURES:
                    self._give_up(error)
                    break
                time.sleep(PAUSE_SECONDS)
        self._write(assembler.end())

    def _give_up(self, error: Exception) -> None:
        self.fault = error
        self._on_lost()

    def _write(self, lines: list[bytes]) -> None:
        if not lines:
            return
        written = b"\n".join([*lines, b""])
        with self._writing:
            self._tail = (self._tail + written)[-TAIL_BYTES:]
            if self._writer is None:
                self._writer = self._opened()
            self._writer.feed(written)

    def _opened(self) -> StreamWriter:
        writer = StreamWriter(self._log_file)
        writer.lost, writer.why, self._lost = writer.lost + self._lost, writer.why or self._why, 0
        if not self._announced:
            self._announced = True
            self._on_first_output()
        return writer

    def _closed(self, writer: StreamWriter) -> None:
        writer.close()
        self._lost, self._why = writer.lost, writer.why
        if writer.lost:
            log.warning("%s: %d lines are missing: %s", self._log_file, writer.lost, writer.why)
