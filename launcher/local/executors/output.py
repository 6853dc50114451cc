"""From a job's raw output to its log stream."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from launcher.local.logs.joblogs import StreamWriter
from launcher.local.logs.lines import LineAssembler


class OutputPump:
    """Reads a job's output to its end, in a thread.

    Args:
        chunks: the raw output.
        log_file: the stream's file; it appears with the first output (contract 117).
        on_first_output: called once, before the first line is written.
    """

    def __init__(
        self,
        chunks: Iterator[bytes],
        log_file: Path,
        on_first_output: Callable[[], None],
    ) -> None:
        self._chunks = chunks
        self._log_file = log_file
        self._on_first_output = on_first_output
        self._writer: StreamWriter | None = None
        self._writing = threading.Lock()
        self._announced = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)

    def start(self) -> None:
        """Begin to read the program's output in a thread."""
        self._thread.start()

    def finish(self, timeout: float) -> bool:
        """Wait until everything is in the log; whether it was within ``timeout`` seconds.

        Raises:
            OSError: the log could not be written.
        """
        self._thread.join(timeout)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    def say(self, message: str) -> None:
        """Write a line of the platform's own into the log, while the output is read or after it.

        Raises:
            OSError: the log could not be written.
        """
        with self._writing:
            if self._writer is not None:
                self._writer.write(message)
                return
            writer = self._opened()
            try:
                writer.write(message)
            finally:
                writer.close()

    def _run(self) -> None:
        try:
            self._pump()
        except Exception as error:
            self._error = error
        finally:
            with self._writing:
                writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()

    def _pump(self) -> None:
        assembler = LineAssembler(time.monotonic())
        for chunk in self._chunks:
            self._write(assembler.feed(chunk, time.monotonic()))
        self._write(assembler.end())

    def _write(self, lines: list[bytes]) -> None:
        if not lines:
            return
        with self._writing:
            if self._writer is None:
                self._writer = self._opened()
            self._writer.feed(b"\n".join([*lines, b""]))

    def _opened(self) -> StreamWriter:
        writer = StreamWriter(self._log_file)
        if not self._announced:
            self._announced = True
            self._on_first_output()
        return writer
