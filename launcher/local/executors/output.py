"""From a job's raw output to its log stream and its metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from launcher.local.executors.metricscan import MetricScanner
from launcher.local.logs.joblogs import StreamWriter
from launcher.local.logs.lines import LineAssembler

# Metrics are put into the record at most this often (seconds).
METRICS_EVERY = 1.0


class OutputPump:
    """Reads a job's output to its end, in a thread.

    Args:
        chunks: the raw output.
        log_file: the stream's file; it appears with the first output (contract 117).
        scanner: sees every line.
        on_first_output: called once, before the first line is written.
        on_metrics: called when values changed, at most once a second, and at the end.
    """

    def __init__(
        self,
        chunks: Iterator[bytes],
        log_file: Path,
        scanner: MetricScanner,
        on_first_output: Callable[[], None],
        on_metrics: Callable[[MetricScanner], None],
    ) -> None:
        self._chunks = chunks
        self._log_file = log_file
        self._scanner = scanner
        self._on_first_output = on_first_output
        self._on_metrics = on_metrics
        self._writer: StreamWriter | None = None
        self._metrics_at = 0.0
        self._metrics_new = False
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

    def _run(self) -> None:
        try:
            self._pump()
        except Exception as error:
            self._error = error
        finally:
            if self._writer is not None:
                self._writer.close()

    def _pump(self) -> None:
        assembler = LineAssembler(time.monotonic())
        for chunk in self._chunks:
            self._write(assembler.feed(chunk, time.monotonic()))
        self._write(assembler.end())
        if self._metrics_new:
            self._on_metrics(self._scanner)

    def _write(self, lines: list[bytes]) -> None:
        if not lines:
            return
        if self._writer is None:
            self._writer = StreamWriter(self._log_file)
            self._on_first_output()
        now = time.time()
        for line in self._writer.feed(b"\n".join([*lines, b""])):
            self._metrics_new |= self._scanner.scan(line, now)
        if self._metrics_new and now - self._metrics_at >= METRICS_EVERY:
            self._metrics_at, self._metrics_new = now, False
            self._on_metrics(self._scanner)
