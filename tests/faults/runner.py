"""Runs a plan's faults, some side by side, and keeps what is needed to look into those that found something."""

from __future__ import annotations

import json
import queue
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import services

from faults.fault import Fault
from faults.findings import LOST, UNJUDGED, Given, TooLate
from faults.lanes import Lane, References
from faults.plan import Planned
from faults.registry import Kind


@dataclass(frozen=True)
class Result:
    """What came of one fault.

    Args:
        planned: which.
        found: findings by category.
        notes: how it went.
        too_late: whether the job had ended before it came.
        seconds: it took.
        lack: why it could not be made here; None where it was.
    """

    planned: Planned
    found: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    too_late: bool = False
    seconds: float = 0.0
    lack: str | None = None

    @property
    def lost(self) -> bool:
        """Whether anything was lost or damaged."""
        return any(category == LOST for category, _ in self.found)

    def to_json(self) -> str:
        """As a line of a file of results."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Result:
        """Back from such a line."""
        values = json.loads(line)
        values["found"] = [tuple(one) for one in values["found"]]
        return cls(**(values | {"planned": Planned(**values["planned"])}))

    def line(self) -> str:
        """One line of progress."""
        state = f"not made: {self.lack}" if self.lack else "too late" if self.too_late else "held"
        if self.found:
            state = "; ".join(f"{category.upper()}: {text}" for category, text in self.found)
        return f"{self.planned.number:4d} {self.planned.kind:28s} {self.seconds:6.1f} s  {state}"


def run(
    plan: Sequence[Planned],
    kinds: Mapping[str, Kind],
    folder: Path,
    lanes: int,
    lack_of: Callable[[str], str | None],
    say: Callable[[str], None],
    save: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Make all faults of a plan.

    Args:
        plan: the faults.
        kinds: all kinds by name.
        folder: where clouds lie; what found nothing is removed from it.
        lanes: how many faults run side by side.
        lack_of: why a service cannot be used here, or None.
        say: told the progress.
        save: told each result.
    """
    if not plan:
        return []
    references = References(folder / "reference")
    try:
        results = _make_all(plan, kinds, folder, lanes, lack_of, say, save, references)
    finally:
        references.close()
    if not any(result.found for result in results):
        shutil.rmtree(folder, ignore_errors=True)
    return sorted(results, key=lambda result: result.planned.number)


def make(planned: Planned, kind: Kind, lane: Lane, lack_of: Callable[[str], str | None]) -> Result:
    """Make one fault, and look at what is left of it."""
    for service in kind.needs:
        if (lack := lack_of(service)) is not None:
            required = service in services.required()
            return Result(
                planned, [(UNJUDGED, f"{service} is required")] if required else (), lack=f"{service}: {lack}"
            )
    fault, began, too_late = Fault(planned, lane), time.monotonic(), False
    findings = fault.findings
    try:
        kind.make(fault)
    except TooLate:
        too_late = True
    except Given:
        pass
    except Exception:
        findings.check(False, UNJUDGED, f"the harness could not go on: {traceback.format_exc()}")
    for cloud in lane.clouds():
        try:
            cloud.check_clean(findings)
        except Exception:
            findings.check(False, UNJUDGED, f"the cloud cannot be looked at: {traceback.format_exc()}")
    if findings.found:
        for cloud in lane.clouds():
            findings.notes += cloud.last_words()
    return Result(planned, findings.found, findings.notes, too_late, time.monotonic() - began)


def _make_all(
    plan: Sequence[Planned],
    kinds: Mapping[str, Kind],
    folder: Path,
    lanes: int,
    lack_of: Callable[[str], str | None],
    say: Callable[[str], None],
    save: Callable[[Result], None],
    references: References,
) -> list[Result]:
    references.prepare()
    waiting: queue.SimpleQueue[Planned] = queue.SimpleQueue()
    for planned in plan:
        waiting.put(planned)
    results: list[Result] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        lane = Lane(folder / f"lane{number}", references)
        while True:
            try:
                planned = waiting.get_nowait()
            except queue.Empty:
                break
            result = make(planned, kinds[planned.kind], lane, lack_of)
            with lock:
                results.append(result)
                save(result)
                say(result.line())
                if result.found:
                    for note in result.notes:
                        say(f"       {note}")
                    say(f"       again: {planned.command()}")
                    say(f"       kept: {', '.join(map(str, lane.abandon()))}")
        lane.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = {result.planned for result in results}
    results += [Result(one, [(UNJUDGED, "its lane broke off")]) for one in plan if one not in made]
    return results
