"""The events of a job as facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from launcher.diagnosis.facts import Ending, Measure, Outage, Transfer
from launcher.local.events import kinds
from launcher.local.events.eventfile import Recorded


def of_events(history: Sequence[Recorded]) -> dict[str, Any]:
    """Members of ``Facts`` by name, from what an event file tells.

    Args:
        history: the events, the oldest first.
    """

    def all_of(kind: type[kinds.Event]) -> list[tuple[float, Any]]:
        return [(one.time, one.event) for one in history if isinstance(one.event, kind)]

    def last_of(kind: type[kinds.Event]) -> tuple[float, Any] | None:
        return next(reversed(all_of(kind)), None)

    started = all_of(kinds.ProgramStarted)
    endings = [
        Ending(at, event.exit_code, event.seconds, event.highest_rss, event.oom_kills)
        for at, event in all_of(kinds.ProgramEnded)
    ]
    # What was published again, by ``batchrl recover``, counts as it came out then.
    finished = {event.kind: event for _, event in all_of(kinds.CheckpointsFinished)}
    finished |= {event.folder: event for _, event in all_of(kinds.FolderPublished)}
    cut, stop, used = last_of(kinds.CutShort), all_of(kinds.StopRequested), last_of(kinds.StoreUsed)
    first, lost = all_of(kinds.FirstOutput), last_of(kinds.ShimLost)
    disk, memory, checkpoint = all_of(kinds.DiskLow), all_of(kinds.MemoryLow), last_of(kinds.CheckpointUploaded)
    return {
        "executor": started[-1][1].executor if started else None,
        "started": [at for at, _ in started],
        "memory": max((event.memory_limit for _, event in started), default=0),
        "endings": endings,
        "first_output": first[0][1].seconds if first else None,
        "out_of_memory": bool(all_of(kinds.OutOfMemory)),
        "measures": [
            Measure(at, event.rss, event.cpu_seconds, event.silent_seconds, event.free_disk, event.free_memory)
            for at, event in all_of(kinds.Usage)
        ],
        "disk_low": min(((at, event.free_disk) for at, event in disk), key=lambda one: one[1], default=None),
        "memory_low": min(((at, event.free_memory) for at, event in memory), key=lambda one: one[1], default=None),
        "signals": [(at, event.signal) for at, event in all_of(kinds.SignalSent)],
        "cut": (cut[0], cut[1].why, cut[1].limit_seconds) if cut else None,
        "stopped_by": (stop[0][0], stop[0][1].by) if stop else None,
        "inputs": [
            Transfer(event.channel, event.files, event.size_bytes, event.seconds)
            for _, event in all_of(kinds.InputDownloaded)
        ],
        "outages": _outages(history),
        "upload_bytes": used[1].upload_bytes if used else 0,
        "upload_seconds": used[1].upload_seconds if used else 0.0,
        "checkpoint_at": checkpoint[0] if checkpoint else None,
        "saved_after": sum(event.seconds for event in finished.values()),
        "save_error": next((one.error for one in finished.values() if one.error is not None), None),
        "published": [
            Transfer(event.folder, 1, event.size_bytes, event.seconds) for _, event in all_of(kinds.FolderPublished)
        ],
        "metrics_dropped": [event.fault for _, event in all_of(kinds.MetricDropped)],
        "events_dropped": sum(event.count for _, event in all_of(kinds.EventsDropped)),
        "servers_began": [at for at, _ in all_of(kinds.ServerBegan)],
        "shim_lost": lost[0] if lost else None,
    }


def handles(history: Sequence[Recorded]) -> list[str]:
    """The programs that were started last, one an instance."""
    newest = {one.event.instance: one.event.handle for one in history if isinstance(one.event, kinds.ProgramStarted)}
    return list(newest.values())


def _outages(history: Sequence[Recorded]) -> list[Outage]:
    found: list[Outage] = []
    for one in history:
        if isinstance(one.event, kinds.StoreFailed):
            found.append(Outage(one.time, None, f"{one.event.operation}: {one.event.error}"))
        elif isinstance(one.event, kinds.StoreAnswered) and found:
            found[-1] = Outage(found[-1].began, one.time, found[-1].error)
    return found
