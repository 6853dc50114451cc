"""TensorBoard event files beside the csv: every number of every row as a scalar, by epoch.

The file is a function of the rows, so that a run that was resumed shows no point twice: what stands on disk is replaced
when a run begins, and each epoch after that is appended in place, because readers keep the file open. Times are the
run's own seconds of work, which the rows hold, and not the clock's.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Sequence

from batchrl.checkpoints.files import publish
from batchrl.contract import columns
from batchrl.contract.paths import JobPaths
from batchrl.training.table import Row

FOLDER = "events"
# Readers look for "tfevents" in the name.
NAME = "events.out.tfevents.0.batchrl"


class EventFile:
    """The event file of a run.

    Args:
        paths: of the job.
        rows: of the epochs that are done already.
    """

    def __init__(self, paths: JobPaths, rows: Sequence[Row]) -> None:
        self.path = paths.intermediate / FOLDER / NAME
        publish(self.path, to_events(rows))

    def append(self, row: Row) -> None:
        """Add one epoch; it is on disk when this returns."""
        with self.path.open("ab") as file:
            file.write(_records(_events([row])))
            file.flush()
            os.fsync(file.fileno())


def to_events(rows: Sequence[Row]) -> bytes:
    """The whole file; the same rows give the same bytes."""
    from tensorboard.compat.proto.event_pb2 import Event

    return _records([Event(file_version="brain.Event:2").SerializeToString()]) + _records(_events(rows))


def scalars(row: Row) -> Iterator[tuple[str, float]]:
    """Names and values of a row; cells that are blank or no numbers are left out."""
    for column, cell in row.items():
        try:
            value = float(cell)
        except ValueError:
            continue
        if column != columns.EPOCH and math.isfinite(value):
            yield column, value


def _events(rows: Sequence[Row]) -> Iterator[bytes]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    for row in rows:
        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars(row)]
        event = Event(
            wall_time=float(row["Wall-Clock Time"]), step=int(row[columns.EPOCH]), summary=Summary(value=values)
        )
        yield event.SerializeToString()


def _records(events: Sequence[bytes] | Iterator[bytes]) -> bytes:
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event)
    return buffer.getvalue()
