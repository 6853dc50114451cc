"""TensorBoard event files, read back by TensorBoard itself."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

from batchrl.contract import columns
from batchrl.contract.paths import JobPaths
from batchrl.training.events import FOLDER, NAME, EventFile, to_events

Train = Callable[..., Path]
Points = dict[str, list[tuple[int, float]]]


def points(path: Path) -> Points:
    """Steps and values by tag, in the order of the file."""
    found: Points = defaultdict(list)
    for record in RawEventFileLoader(str(path)).Load():
        event = Event.FromString(record)
        for value in event.summary.value:
            found[value.tag].append((event.step, value.simple_value))
    return dict(found)


def event_file(output: Path) -> Path:
    return output / "output" / "intermediate" / FOLDER / NAME


def table(output: Path) -> list[dict[str, str]]:
    with (output / "output" / "intermediate" / columns.INTERMEDIATE_CSV).open() as file:
        return list(csv.DictReader(file))


def test_every_number_of_the_csv_is_a_scalar_by_epoch(trained: Path) -> None:
    rows, found = table(trained), points(event_file(trained))
    numbers = {name for name in rows[0] if any(row[name] for row in rows)} - {columns.EPOCH, columns.CHECKPOINT}
    assert set(found) == numbers
    for name, scalars in found.items():
        expected = [(int(row[columns.EPOCH]), float(row[name])) for row in rows if row[name]]
        assert [step for step, _ in scalars] == [step for step, _ in expected]
        assert [value for _, value in scalars] == pytest.approx([value for _, value in expected], rel=1e-6)


def test_a_resumed_run_shows_no_point_twice(train: Train, tmp_path: Path) -> None:
    train(tmp_path, epochs="2")
    train(tmp_path, epochs="4")
    assert [step for step, _ in points(event_file(tmp_path))[columns.SDR]] == [1, 2, 3, 4]
    assert event_file(tmp_path).read_bytes() == to_events(table(tmp_path))


def test_epochs_are_appended_in_place_and_a_torn_end_is_replaced_at_the_next_start(
    trained: Path, tmp_path: Path
) -> None:
    rows = table(trained)
    paths = JobPaths(tmp_path)
    events = EventFile(paths, rows[:1])
    inode = events.path.stat().st_ino
    events.append(rows[1])
    assert events.path.stat().st_ino == inode
    assert events.path.read_bytes() == to_events(rows[:2])
    with events.path.open("ab") as file:
        file.write(b"torn")
    EventFile(paths, rows[:2]).append(rows[2])
    assert events.path.read_bytes() == to_events(rows[:3])


def test_without_tensorboard_no_file_is_written(train: Train, tmp_path: Path) -> None:
    train(tmp_path, epochs="1", tensorboard="false")
    assert not event_file(tmp_path).parent.exists()
