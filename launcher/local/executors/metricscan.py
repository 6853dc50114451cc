"""Metric definitions against the lines of a log (contract 113, 115): the side of whoever watches over the job.

Nothing here evaluates an expression. ``metricsearch`` does, in a process of its own, which reads the log from its file:
the job's output never waits for it, and there is no queue that could grow. What becomes of a definition:

====================================================  ================================================
it                                                    then
====================================================  ================================================
is no regular expression                              it is dropped and named
takes more than 2 s of processor time for 64 KiB      the process ends; it is dropped and named
the process ended otherwise while it was at work      it is tried again; the second time, it is dropped
has not seen the whole log 30 s after the job's end   it keeps the last value that was found, and is named
====================================================  ================================================
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from launcher.local.executors.metricsearch import FINISH_SECONDS, NOTHING, SEARCH_SECONDS, Order
from launcher.local.records.records import Metric

MOST_ENDS = 5
# Values are handed on at most this often, but for the last ones (seconds).
METRICS_EVERY = 1.0
# A process that has ended itself by then is not waited for any longer (seconds).
END_SECONDS = 5.0
COMMAND = (sys.executable, "-m", "launcher.local.executors.metricsearch")

Definitions = Sequence[tuple[str, str]]

log = logging.getLogger(__name__)


def definitions_in(entries: Iterable[Mapping[str, str]] | None) -> Definitions:
    """Name and expression of each of a request's ``MetricDefinitions``; the first group is the value."""
    return tuple((entry["Name"], entry["Regex"]) for entry in entries or ())


@functools.lru_cache(maxsize=256)
def definition_faults(definitions: Definitions) -> tuple[str, ...]:
    """What is wrong with definitions, each in one sentence."""
    found: list[str] = []
    if definitions:
        MetricWatch(definitions, None, lambda latest: None, found.append).run()
    return tuple(found)


class MetricWatch:
    """Keeps the last value of every metric in a log.

    Args:
        definitions: names and regular expressions.
        log_file: the stream's file, which need not exist yet; None to look at the definitions only.
        on_metrics: called with the last values, in the order of the definitions, when one has changed.
        tell: called with a sentence for each definition that is given up.
    """

    def __init__(
        self,
        definitions: Definitions,
        log_file: Path | None,
        on_metrics: Callable[[tuple[Metric, ...]], None],
        tell: Callable[[str], None],
    ) -> None:
        self._definitions = dict(enumerate(definitions))
        self._names = {number: name for number, (name, _) in self._definitions.items()}
        self._log_file = log_file
        self._on_metrics = on_metrics
        self._tell = tell
        self._latest: dict[int, Metric] = {}
        self._handed_on: dict[int, Metric] = {}
        self._handed_on_at = 0.0
        self._mark = 0
        self._ends: Counter[int] = Counter()
        self._complete = threading.Event()
        self._seen_at_end: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._run_or_tell, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to look, in a process of its own."""
        if self._definitions:
            self._thread.start()

    def finish(self, seconds: float = FINISH_SECONDS) -> None:
        """Have the rest of the log looked at, which is complete now; not longer than ``seconds``."""
        if not self._definitions or self._thread.ident is None:
            return
        with self._starting:
            self._seen_at_end.clear()
            self._complete.set()
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._break_off(seconds)
        self._hand_on()

    def _break_off(self, seconds: float) -> None:
        with self._starting:
            unseen = [self._names[number] for number in self._definitions if number not in self._seen_at_end]
            self._definitions = {}
            if self._process is not None:
                self._process.kill()
        self._thread.join(END_SECONDS)
        if unseen:
            self._tell(
                f"metrics: the log could not be searched whole within {seconds:.0f} s of its end: "
                f"the last values of {', '.join(unseen)} may be missing or old."
            )

    def run(self) -> None:
        """Start the process, and a new one while it ends before its work is done."""
        current = os.memfd_create("metric", os.MFD_CLOEXEC)
        try:
            while self._definitions and not self._follow(current):
                pass
        finally:
            os.close(current)

    def _run_or_tell(self) -> None:
        try:
            self.run()
        except Exception as error:
            log.exception("looking for metrics")
            self._tell(f"metrics are not looked for any more: {type(error).__name__}: {error}")

    def _follow(self, current: int) -> bool:
        """The life of one process; whether its work is done."""
        os.pwrite(current, bytes((NOTHING,)), 0)
        with self._starting:
            process = self._process = self._started(current)
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with contextlib.suppress(ValueError):  # the last line of a process that was killed
                    self._hear(json.loads(line))
        code = process.wait()
        self._hand_on()
        if code:
            self._drop_culprit(code, os.pread(current, 1, 0)[0])
        return code == 0

    def _started(self, current: int) -> subprocess.Popen[bytes]:
        order = Order(
            {number: text for number, (_, text) in self._definitions.items()},
            str(self._log_file) if self._log_file else None,
            self._mark,
            current,
        )
        process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            pass_fds=(current,),
        )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: that is seen at its output
            process.stdin.write(order.written())
            process.stdin.flush()
            if self._complete.is_set():
                process.stdin.close()
        return process

    def _hear(self, said: Mapping[str, float | str]) -> None:
        if "mark" in said:
            self._mark = int(said["mark"])
            self._hand_on()
        elif "refused" in said:
            number = int(said["refused"])
            self._drop(number, f"cannot be used: {said['why']}")
        elif "found" in said:
            number = int(said["found"])
            if number not in self._names:
                return
            self._seen_at_end.add(number)
            self._latest[number] = Metric(self._names[number], float(said["value"]), float(said["at"]))
            if time.monotonic() - self._handed_on_at >= METRICS_EVERY:
                self._hand_on()

    def _hand_on(self) -> None:
        """Say which values are the last ones now, if they are others than before."""
        latest = dict(self._latest)
        if latest == self._handed_on:
            return
        try:
            self._on_metrics(tuple(latest[number] for number in sorted(latest)))
        except Exception:
            log.exception("metric values are handed on later")
            return
        self._handed_on, self._handed_on_at = latest, time.monotonic()

    def _drop_culprit(self, code: int, number: int) -> None:
        """Decide what follows when a process has ended too early: with ``code``, and a definition at work."""
        self._ends[number] += 1
        if code == -signal.SIGXCPU and number in self._definitions:
            self._drop(
                number,
                f"takes more than {SEARCH_SECONDS} s of processor time to compile or for one piece of the log "
                "(64 KiB at most): write it without repetitions within repetitions",
            )
        elif number in self._definitions and self._ends[number] > 1:
            self._drop(number, f"ended the process that looked for it ({_ending(code)})")
        elif self._ends.total() >= MOST_ENDS and self._definitions:
            self._definitions = {}
            self._tell(f"metrics are not looked for any more: the process that does it ended ({_ending(code)}).")

    def _drop(self, number: int, why: str) -> None:
        dropped = self._definitions.pop(number, None)
        if dropped is not None:
            name, text = dropped
            self._tell(f"metric '{name}': the regular expression '{text}' {why}.")


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
