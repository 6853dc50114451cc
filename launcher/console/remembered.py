"""Reports of training jobs, kept as soon as their jobs have ended: what has ended does not change."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from batchrl.contract import columns
from launcher.documents.model import Block, Document, Paragraph, Section
from launcher.jobs.kinds import EVALUATION, kind_in
from launcher.jobs.training import Job
from launcher.reporting.choice import epoch_curve, metric_of
from launcher.reporting.evaluation import evaluation_document, read_evaluated
from launcher.reporting.files import TrainingFiles, number, read_training
from launcher.reporting.training import training_document

KEPT = 64


class Reports:
    """The reports that were made, the newest of those of ended jobs.

    Args:
        kept: how many.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._documents: OrderedDict[Hashable, Document] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, job: Job, described: dict[str, Any]) -> Document:
        """The report of a job, which may still run.

        Args:
            job: the job.
            described: the answer of the API's Describe operation.

        Raises:
            InputError: there is no such job (any more).
            DamagedContent: what it wrote is not what such a job writes.
            Unreachable: cloud or store does not answer.
        """
        key = (job.name, described["CreationTime"], described["TrainingJobStatus"])
        with self._lock:
            if (known := self._documents.get(key)) is not None:
                self._documents.move_to_end(key)
                return known
        document = _document(job, described)
        if job.state_in(described).ended:
            with self._lock:
                self._documents[key] = document
                while len(self._documents) > self._kept:
                    self._documents.popitem(last=False)
        return document


def has_values(files: TrainingFiles, column: str) -> bool:
    """Whether an epoch has a value in a column."""
    return any(number(row, column) is not None for row in files.epochs)


def estimate_columns(files: TrainingFiles) -> tuple[str, ...]:
    """The estimates of the policy that is shipped which its epochs hold, beside the score that chooses."""
    target = [name for name in columns.TARGET_ESTIMATES if has_values(files, name)]
    found = target or [name for name in (columns.WIS, columns.SDR) if has_values(files, name)]
    return tuple(name for name in found if name != metric_of(files))


def _document(job: Job, described: dict[str, Any]) -> Document:
    if kind_in(described) == EVALUATION:
        return evaluation_document(job.name, described, job.state_in(described), read_evaluated(job))
    files = read_training(job, described)
    places = {"model": job.model_uri, "output": job.output_uri, "checkpoints": job.checkpoint_uri}
    document = training_document(files, places)
    curves = _curves(files)
    return replace(document, sections=(*document.sections, curves)) if curves else document


def _curves(files: TrainingFiles) -> Section | None:
    found = estimate_columns(files)
    if not found:
        return None
    blocks: list[Block] = [
        Paragraph(
            f"What the policy of each epoch is estimated to earn, in {files.outcome}, with 95 % intervals. The score "
            "above is what chooses; these stand beside it."
        )
    ]
    return Section("curves", "The estimates by epoch", (*blocks, *(epoch_curve(files, name) for name in found)))
