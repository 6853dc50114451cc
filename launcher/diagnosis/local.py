"""The facts about a job of this computer, read where they lie: nothing is started, no server is asked.

So a cloud that is down or wedged can be asked about its jobs as well.
"""

from __future__ import annotations

import contextlib
import difflib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from batchrl.contract.errors import InputError
from launcher.api.constants import ENDPOINT, PROCESSING, TRAINING, TRANSFORM, TUNING
from launcher.diagnosis.facts import Facts, Living, Phase, Source
from launcher.diagnosis.history import handles, of_events
from launcher.jobs.kinds import api_kind, kind_in
from launcher.local.events.eventfile import read
from launcher.local.events.processes import command_of, processes_of, total_memory, waits_in
from launcher.local.host.home import HomePaths, JobHome
from launcher.local.host.processes import ProcessId
from launcher.local.logs.joblogs import LogEvent, LogReader
from launcher.local.records.jobrecord import MODEL_MEMBER, MODELS_MEMBER, JobRecord, Query
from launcher.local.records.records import Records

KINDS = (TRAINING, TRANSFORM, PROCESSING, TUNING, ENDPOINT)
SHOWN_LINES = 12
LOOK_SECONDS = 1.0
INSTALLS = "Installing what requirements.txt asks for."
# What pip says while it is at work; the first other line is the script's.
PIP_LINES = (INSTALLS, "Collecting ", "Using cached", "Downloading", "Installing collected", "Requirement already", " ")
PIP_DONE = "Successfully installed"


def find_record(name: str, kind: str | None, home: Path | None = None) -> JobRecord:
    """The record of a job or an endpoint of this computer.

    Args:
        name: its name.
        kind: what it is; None for any.
        home: the data folder.

    Raises:
        InputError: there is none, or several kinds bear the name.
    """
    with _records(home) as records:
        found = [
            one for each in ((api_kind(kind),) if kind else KINDS) if records and (one := records.find(name, each))
        ]
        names = [one.name for one in records.list(Query())] if records and not found else []
    if len(found) > 1:
        raise InputError(f"several things are named '{name}'.", f"Say which one: --kind {found[-1].kind}")
    if kind and any(one.kind == TRAINING and kind_in(one.request) != kind for one in found):
        raise InputError(f"'{name}' is of kind {kind_in(found[0].request)}, and not {kind}.")
    if not found:
        nearest = difflib.get_close_matches(name, names, 1)
        hint = f"Did you mean '{nearest[0]}'?" if nearest else "List them: batchrl ps"
        raise InputError(f"there is no {kind or 'job or endpoint'} named '{name}' on this computer.", hint)
    return found[0]


def facts_of(
    record: JobRecord,
    home: Path | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Facts:
    """All that this computer knows about a job.

    Args:
        record: the job.
        home: the data folder.
        clock: seconds since 1970.
        sleep: waits between two looks at its processes.
    """
    folder = HomePaths.of(home).job(record.key)
    history = read(folder.events)
    told: dict[str, Any] = of_events(history)
    told["memory"] = told["memory"] or total_memory()
    told["executor"] = told["executor"] or record.executor
    if told["stopped_by"] is None and record.stop_requested_at is not None:
        told["stopped_by"] = (record.stop_requested_at, "")
    if not record.ended:
        told["shim_lives"] = _shim_lives(record)
        told["living"] = _living(handles(history) or ([record.container] if record.container else []), sleep)
    lines, last_output_at = _log(folder)
    kept = [str(root) for root in folder.roots(record.instances) if record.ended and root.exists()]
    return Facts(
        kind=record.kind,
        name=record.name,
        status=record.status,
        secondary=record.secondary_status,
        ended=record.ended,
        reason=record.failure_reason,
        source=Source.EVENTS if history else Source.RECORD,
        now=clock(),
        created_at=record.created_at,
        ended_at=record.ended_at,
        phases=[Phase(one.status, one.started_at, one.ended_at, one.message) for one in record.transitions],
        image=_image(record.request),
        shim_log=str(folder.shim_log),
        log=lines,
        last_output_at=last_output_at,
        installing=_installing(folder, record),
        kept=", ".join(kept),
        **told,
    )


@contextlib.contextmanager
def _records(home: Path | None) -> Iterator[Records | None]:
    path = HomePaths.of(home).records
    if not path.exists():
        yield None
        return
    with contextlib.closing(Records(path)) as records:
        yield records


def _shim_lives(record: JobRecord) -> bool | None:
    if record.shim_pid is None:
        return None
    return ProcessId(record.shim_pid, record.shim_started_at or 0).alive


def _living(programs: list[str], sleep: Callable[[float], None]) -> Living | None:
    """Two looks at the processes of some programs, a second apart; None where there are none."""

    def look() -> tuple[float, float, list[Any]]:
        found = [one for program in programs for one in processes_of(program)]
        return time.monotonic(), sum(one.cpu_seconds for one in found), found

    began, before, found = look()
    if not found:
        return None
    sleep(LOOK_SECONDS)
    ended, after, found = look()
    if not found:
        return None
    waits = {one.pid: function for one in found if (function := waits_in(one.pid))}
    commands = {one.pid: command_of(one.pid) for one in found}
    return Living(found, max(0.0, after - before) / max(ended - began, 1e-3), after, waits, commands)


def _streams(folder: JobHome) -> list[tuple[str, Path]]:
    """The log's streams, the one that was written last at the end."""
    return sorted(folder.log_streams(), key=lambda stream: stream[1].stat().st_mtime)


def _log(folder: JobHome) -> tuple[list[str], float | None]:
    """Last lines of the newest stream, and when it was written; of a transform job those of the data log before."""
    newest: tuple[LogEvent, ...] = ()
    lines: list[str] = []
    for stream, path in _streams(folder):
        events = LogReader(path).backward(None, limit=SHOWN_LINES).events
        if stream.endswith("data-log"):
            lines = [event.message for event in events[-4:]]
        elif events:
            newest = events
    lines += [event.message for event in newest]
    return [line for line in lines if line.strip()], newest[-1].timestamp / 1000 if newest else None


def _installing(folder: JobHome, record: JobRecord) -> tuple[float, float | None] | None:
    """When pip began and ended, by the times of the lines in the log; None where it had nothing to do."""
    streams = _streams(folder) if record.kind == TRAINING else []
    events = LogReader(streams[-1][1]).forward(0, limit=2000).events if streams else ()
    at = next((index for index, event in enumerate(events[:50]) if event.message == INSTALLS), None)
    if at is None:
        return None
    for event in events[at:]:
        if event.message.startswith(PIP_DONE) or not event.message.startswith(PIP_LINES):
            return events[at].timestamp / 1000, event.timestamp / 1000
    return events[at].timestamp / 1000, record.ended_at


def _image(request: dict[str, Any]) -> str:
    """The container image that a request names, its first model's for an endpoint."""
    models = [request.get(MODEL_MEMBER) or {}, *(request.get(MODELS_MEMBER) or {}).values()]
    containers = [model.get("PrimaryContainer") or {} for model in models]
    application = request.get("AppSpecification") or {}
    named = (request.get("AlgorithmSpecification") or {}).get("TrainingImage") or application.get("ImageUri")
    return str(named or next((one["Image"] for one in containers if one.get("Image")), ""))
