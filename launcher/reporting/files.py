"""What a training job has left so far, read once: its description, and every file that says something of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchrl.contract import columns, jsontext
from batchrl.contract.errors import DamagedContent
from launcher.base.product import TRAIN_SCRIPT
from launcher.jobs.kinds import program_in
from launcher.reports.runs import Files, files_of_job

if TYPE_CHECKING:
    from launcher.jobs.status import JobStatus
    from launcher.jobs.training import Job
    from launcher.reports.evaluations import Evaluation

Json = Mapping[str, Any]
Cells = Mapping[str, str]


@dataclass(frozen=True)
class Simulated:
    """What an evaluation job found in a simulator, with the name of that job."""

    job: str
    found: Evaluation


@dataclass(frozen=True)
class TrainingFiles:
    """A training job as its files tell it; what is missing is None.

    Args:
        name: of the job.
        described: the answer of the API's Describe operation.
        status: its state at that moment.
        is_local: whether it ran on this computer.
        preset: the settings, resolved.
        inputs: its log, its code and its programs (``batchrl.training.inputs``); jobs of earlier versions have none.
        best: the epoch that was chosen, so far.
        epochs: a row for each epoch, cells by column.
        summary: the figures at the end.
        simulated: the newest evaluation of its policy in a simulator.
    """

    name: str
    described: Json
    status: JobStatus
    is_local: bool
    preset: Json | None = None
    inputs: Json | None = None
    best: Json | None = None
    epochs: Sequence[Cells] = ()
    summary: Json | None = None
    simulated: Simulated | None = None

    @property
    def ended_well(self) -> bool:
        """Whether it has its final figures."""
        return self.summary is not None

    @property
    def score(self) -> Json | None:
        """The figure at the end: the chosen policy against the logging policy."""
        found: Json | None = None if self.summary is None else self.summary["estimates"]["score"]
        return found

    @property
    def data(self) -> Json | None:
        """What the log holds."""
        found: Json | None = None if self.inputs is None else self.inputs["data"]
        return found

    @property
    def unit(self) -> str:
        """What the log is made of: episodes, or decisions where each of them is one."""
        return "decisions" if self.of_decisions else "episodes"

    @property
    def outcome(self) -> str:
        """What estimates are of: the discounted return of an episode, or the reward of a decision."""
        return "reward" if self.of_decisions else "discounted return"

    @property
    def of_decisions(self) -> bool:
        """Whether every episode is a single decision."""
        return self.data is not None and self.data["lengths"]["max"] == 1 and self.data["ends"]["truncated"] == 0


def read_training(job: Job, described: dict[str, Any], simulated: Simulated | None = None) -> TrainingFiles:
    """What a job has published; it may still run, or have failed.

    Args:
        job: the job.
        described: the answer of the API's Describe operation.
        simulated: what an evaluation of it found.

    Raises:
        DamagedContent: something could not be read whole, or is not what such a job writes.
        Unreachable: cloud or store does not answer.
    """
    # Of another script's job nothing is read: what it left may be large, and says nothing that a report knows.
    files = files_of_job(job) if program_in(described) == TRAIN_SCRIPT else Files()
    return parsed(job.name, described, job.state_in(described), job.session.is_local, files, simulated)


def parsed(
    name: str, described: Json, status: JobStatus, is_local: bool, files: Files, simulated: Simulated | None = None
) -> TrainingFiles:
    """The same from the contents of the files.

    Raises:
        DamagedContent: one of them is not what such a job writes.
    """
    try:
        epochs: list[Cells] = []
        if files.table is not None:
            epochs = list(csv.DictReader(io.StringIO(files.table.decode())))
            _ = [float(row[columns.EPOCH]) for row in epochs]
        found = TrainingFiles(
            name=name,
            described=described,
            status=status,
            is_local=is_local,
            preset=_json(files.preset),
            inputs=_json(files.inputs),
            best=_json(files.best),
            epochs=epochs,
            summary=_json(files.summary),
            simulated=simulated,
        )
    except (ValueError, LookupError, TypeError) as error:
        raise DamagedContent(f"the results of '{name}' cannot be read: {error!r}.") from error
    return found


def number(cells: Cells, column: str) -> float | None:
    """The number of a cell; None where it is blank or not there."""
    text = cells.get(column)
    return float(text) if text else None


def _json(content: bytes | None) -> Json | None:
    if content is None:
        return None
    value = jsontext.parsed(content)
    if not isinstance(value, dict):
        raise ValueError(f"an object was expected, and {type(value).__name__} was found")
    return value
