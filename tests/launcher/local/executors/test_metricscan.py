"""Metric definitions against a log: looked for in a process of its own, whatever a user's expression does to it."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from launcher.local.executors import metricscan, metricsearch
from launcher.local.executors.metricscan import MetricWatch, definition_faults
from launcher.local.logs.joblogs import StreamWriter
from launcher.local.records.records import Metric

# Doubles its time with each letter: 40 of them would take a processor for days.
ENDLESS = r"(a+)+$"
TRAP = "a" * 40 + "!"


@dataclass
class Watched:
    """A log and what is found in it."""

    path: Path
    definitions: Sequence[tuple[str, str]]
    told: list[str] = field(default_factory=list)
    latest: tuple[Metric, ...] = ()

    def __post_init__(self) -> None:
        self.writer = StreamWriter(self.path)
        self.watch = MetricWatch(self.definitions, self.path, self._take, self.told.append)

    def _take(self, latest: tuple[Metric, ...]) -> None:
        self.latest = latest

    @property
    def values(self) -> dict[str, float]:
        return {metric.name: metric.value for metric in self.latest}


@pytest.fixture
def watched(tmp_path: Path) -> Callable[..., Watched]:
    return lambda *definitions: Watched(tmp_path / "logs" / "algo-1-1.log", definitions)


def _eventually(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_A113_A115_the_last_value_of_a_metric_counts(watched: Callable[..., Watched]) -> None:
    log = watched(("loss", r"loss=(\S+)"), ("none", "never (.*)"), ("steps", r"^step \d+"), ("whole", r"\d+$"))
    for line in ("epoch 1 loss=0.5", "epoch loss=2.5e-1", "nothing", "loss=many", "loss=nan", "loss=inf", "step 12"):
        log.writer.write(line)
    log.watch.start()
    log.watch.finish()
    assert log.values == {"loss": 0.25, "whole": 12.0}
    assert abs(log.latest[0].at - time.time()) < 60
    assert log.told == []


def test_values_are_there_while_the_job_runs(watched: Callable[..., Watched]) -> None:
    log = watched(("loss", r"loss=(\S+)"))
    log.watch.start()
    log.writer.write("loss=1")
    _eventually(lambda: log.values == {"loss": 1.0})
    log.writer.write("loss=2")
    _eventually(lambda: log.values == {"loss": 2.0})
    log.watch.finish()


def test_an_expression_without_end_is_dropped_and_named_and_the_others_go_on(watched: Callable[..., Watched]) -> None:
    log = watched(("trap", ENDLESS), ("loss", r"loss=(\S+)"))
    log.writer.write(f"loss=3 {TRAP}")
    log.watch.start()
    _eventually(lambda: log.told)
    log.writer.write("loss=4")
    log.watch.finish()
    (told,) = log.told
    assert "metric 'trap'" in told
    assert ENDLESS in told
    assert log.values == {"loss": 4.0}


def test_whoever_watches_is_not_held_up_meanwhile(watched: Callable[..., Watched]) -> None:
    """With the interpreter held, no other thread would count."""
    log = watched(("trap", ENDLESS))
    log.writer.write(TRAP)
    counted = 0
    log.watch.start()
    while not log.told:
        counted += 1
        time.sleep(0.01)
    log.watch.finish()
    assert counted > 20


def test_a_process_that_is_killed_is_started_again(watched: Callable[..., Watched]) -> None:
    log = watched(("loss", r"loss=(\S+)"))
    log.watch.start()
    log.writer.write("loss=1")
    _eventually(lambda: log.values == {"loss": 1.0})
    process = log.watch._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    log.writer.write("loss=2")
    _eventually(lambda: log.values == {"loss": 2.0})
    log.watch.finish()
    assert log.told == []


def test_a_search_that_is_not_done_in_time_is_told(watched: Callable[..., Watched]) -> None:
    log = watched(("loss", r"loss=(\S+)"), ("trap", ENDLESS))
    log.writer.write(f"loss=1 {TRAP}")
    log.watch.start()
    _eventually(lambda: log.values)
    log.watch.finish(0.0)
    assert log.values == {"loss": 1.0}
    assert any("may be missing" in told and "trap" in told for told in log.told)


def test_the_end_of_whoever_watches_ends_the_process(watched: Callable[..., Watched]) -> None:
    log = watched(("loss", r"loss=(\S+)"))
    log.watch.start()
    _eventually(lambda: log.watch._process)
    process = log.watch._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 0


def test_values_at_the_end_of_a_large_log_need_not_wait_for_all_of_it(watched: Callable[..., Watched]) -> None:
    log = watched(("last", r"last=(\S+)"), ("first", r"first=(\S+)"))
    log.writer.write("first=1")
    log.writer.feed(b"of no use " * 10 + b"\n" * 1)
    for _ in range(100):
        log.writer.feed((b"of no use " * 10 + b"\n") * 600)
    log.writer.write("last=2")
    log.watch.start()
    log.watch.finish(120)
    assert log.values == {"last": 2.0, "first": 1.0}


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("(", "unterminated"),
        ("a{99999999999}", "too large"),
        ("(?P<n>a)(?P<n>b)", "redefinition"),
    ],
)
def test_a_definition_that_cannot_be_used_is_found_before_anything_runs(expression: str, said: str) -> None:
    faults = definition_faults((("m", expression), ("loss", r"loss=(\S+)")))
    (fault,) = faults
    assert fault.startswith(f"metric 'm': the regular expression '{expression}'")
    assert said in fault


# Says which definition is at work, as the real one does, and then computes until the system ends it.
COMPILES_FOR_EVER = """
import json, os, resource, sys
order = json.loads(sys.stdin.readline())
if "1" not in order["expressions"]: sys.exit()
os.pwrite(order["current"], bytes((1,)), 0)
resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
while True: pass
"""


def test_a_definition_that_does_not_compile_in_its_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metricscan, "COMMAND", (sys.executable, "-c", COMPILES_FOR_EVER))
    told: list[str] = []
    MetricWatch((("ok", "x"), ("slow", "y")), None, lambda latest: None, told.append).run()
    (said,) = told
    assert "metric 'slow'" in said


def test_lines_come_backwards_whole_and_each_once(tmp_path: Path) -> None:
    chance = random.Random(7)
    for size in (1, 3, 1000, 90_000):
        lines = [bytes(chance.choices(b"abc ", k=chance.randrange(size))) + b"\n" for _ in range(50)]
        path = tmp_path / "log"
        path.write_bytes(b"".join(lines) + b"not whole")
        with path.open("rb") as file:
            end = metricsearch.last_line_end(file.fileno(), 0)
            assert end == sum(map(len, lines))
            start = len(lines[0])
            batches = list(metricsearch.backwards(file.fileno(), start, end))
        assert all(batch.endswith(b"\n") for batch in batches)
        assert b"".join(reversed(batches)) == b"".join(lines[1:])


def test_no_thread_is_left(watched: Callable[..., Watched]) -> None:
    log = watched(("loss", r"loss=(\S+)"))
    log.watch.start()
    log.watch.finish()
    assert not any(thread.name == "metrics" for thread in threading.enumerate())
