"""The page of one job or endpoint, made of its description, its report, its log and its objects."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from batchrl.contract.errors import BatchRLError, DamagedContent
from launcher.api.constants import TUNING
from launcher.console.artifacts import Artifacts, artifacts_of
from launcher.console.output import Output, tail_of
from launcher.console.pages import Page, pace
from launcher.console.phases import phases_of
from launcher.console.remembered import Reports
from launcher.documents.model import Block, Column, Command, Document, Fact, Facts, Paragraph, Section, Table, Tone
from launcher.jobs.endpoint import Endpoint
from launcher.jobs.handle import Handle, JobHandle
from launcher.jobs.handles import handle_of
from launcher.jobs.kinds import kind_in
from launcher.jobs.processing import ProcessingJob
from launcher.jobs.training import Job
from launcher.jobs.transform import TransformJob
from launcher.jobs.tuning import TunedJob, TuningJob
from launcher.jobs.waiting import log_place
from launcher.reporting import described as lines_of
from launcher.reporting.lineage import channels
from launcher.reporting.words import clause, moment, plain
from launcher.session.session import Session

# Sections that answer what is asked first; the others follow, folded.
FIRST = ("candidates", "choice", "curves", "estimate", "policy")
LAST = ("repeat",)
MOST_COMPARED = 8


def job_page(session: Session, kind: str, name: str, reports: Reports) -> Page | None:
    """The page of something by its kind and name; None where there is nothing of that name.

    Raises:
        InputError: it may not be looked at.
        Unreachable: the cloud does not answer.
    """
    handle = handle_of(kind, name, session)
    answer = handle.find()
    if answer is None:
        return None
    trials = handle.training_jobs() if isinstance(handle, TuningJob) else []
    if isinstance(handle, Job):
        document = _of_training(handle, answer, reports)
        artifacts, fault = _artifacts(handle)
    else:
        document, artifacts, fault = _of_another(handle, answer, trials), Artifacts((), False), ""
    status = handle.state_in(answer)
    runs = not status.ended or (isinstance(handle, Endpoint) and status.status != "Failed")
    output = Output((), "") if kind == TUNING else _output(handle)
    sections = {one.name: one for one in document.sections}
    values = {
        "name": name,
        "kind": kind_in(answer) if isinstance(handle, Job) else handle.kind,
        "api_kind": handle.kind,
        "noun": handle.noun,
        "status": status,
        "document": document,
        "phases": phases_of(answer) if isinstance(handle, JobHandle) else [],
        "first": [sections[one] for one in FIRST if one in sections],
        "rest": [one for one in document.sections if one.name not in (*FIRST, *LAST)],
        "last": [sections[one] for one in LAST if one in sections],
        "output": output,
        "log_place": log_place(handle),
        "with_data": isinstance(handle, Job) and bool(channels(answer)),
        "with_log": kind != TUNING,
        "artifacts": artifacts,
        "artifacts_fault": fault,
        "with_artifacts": isinstance(handle, Job),
        "stoppable": isinstance(handle, JobHandle) and status.status == "InProgress",
        "trials": [one.name for one in trials],
        "most_compared": MOST_COMPARED,
    }
    return Page(f"{name}: {status.status}", "job.html.j2", values, pace(session.is_local) if runs else None)


def tone_of(status: str) -> Tone:
    """What a state is for its reader."""
    tones: Mapping[str, Tone] = {"Completed": "good", "InService": "good", "Failed": "bad", "Stopped": "doubt"}
    return tones.get(status, "plain")


def _of_training(job: Job, answer: dict[str, Any], reports: Reports) -> Document:
    try:
        return reports.of(job, answer)
    except DamagedContent as error:
        # The page goes on: what cannot be read is said, the log and the objects are shown.
        status = job.state_in(answer)
        facts = Facts((Fact("Job", job.name, answer.get("TrainingJobArn", "")),))
        verdict = Paragraph(f"What the job wrote cannot be read: {error.message}", "bad")
        return Document(job.name, f"A job. {status}.", verdict, (), (Section("lineage", "Lineage", (facts,)),))


def _artifacts(job: Job) -> tuple[Artifacts, str]:
    try:
        return artifacts_of(job), ""
    except BatchRLError as error:
        return Artifacts((), False), str(error)


def _output(handle: Handle) -> Output:
    try:
        return tail_of(handle)
    except BatchRLError as error:
        return Output((), f"The log cannot be read: {error.message}")


def _of_another(handle: Handle, answer: dict[str, Any], trials: list[TunedJob]) -> Document:
    """Jobs without a report, and endpoints: what was asked for, and what came of it."""
    lines = _lines(handle, answer)
    status = handle.state_in(answer)
    blocks: list[Block] = [Facts(tuple(Fact(label.capitalize(), _text(value)) for label, value in lines.items()))]
    if isinstance(handle, TuningJob):
        blocks = [_trials_block(answer, trials), *blocks]
    commands = _commands(handle)
    reason = status.failure_reason
    if status.status == "Failed":
        verdict = Paragraph(f"It failed: {clause(reason or 'no reason was given')}", "bad")
    else:
        verdict = Paragraph(f"The {handle.noun} is {_said(status.status)}.", tone_of(status.status))
    sections = [Section("policy", "What it is", tuple(blocks))]
    if commands:
        sections.append(Section("repeat", "Commands", tuple(commands)))
    kind = f"{handle.noun[:1].upper()}{handle.noun[1:]}"
    return Document(handle.name, f"{kind}.", verdict, (), tuple(sections))


def _said(status: str) -> str:
    words = {"InProgress": "in progress", "InService": "in service", "Completed": "completed", "Stopping": "stopping"}
    return words.get(status, status.lower())


def _lines(handle: Handle, answer: dict[str, Any]) -> Mapping[str, Any]:
    places = {} if isinstance(handle, TuningJob) else {"log": log_place(handle)}
    if isinstance(handle, TransformJob):
        model = lines_of.model_of(handle.session, answer["ModelName"])
        return lines_of.transform_lines(answer, {"output": handle.output_uri, **places}, model)
    if isinstance(handle, ProcessingJob):
        return lines_of.processing_lines(answer, places)
    if isinstance(handle, TuningJob):
        return lines_of.tuning_lines(answer, [])
    if isinstance(handle, Endpoint):
        config = handle.config()
        names = [str(each["ModelName"]) for each in config.get("ProductionVariants", ()) if each.get("ModelName")]
        models = [lines_of.model_of(handle.session, name) for name in dict.fromkeys(names)]
        return lines_of.endpoint_lines(answer, places, config, models)
    return {}


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_text(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return value if isinstance(value, str) else plain(value) if isinstance(value, int | float) else json.dumps(value)


def _trials_block(answer: dict[str, Any], trials: list[TunedJob]) -> Block:
    """The training jobs of a tuning job, the best of them marked."""
    if not trials:
        return Paragraph("No training job was started yet.")
    best = (answer.get("BestTrainingJob") or {}).get("TrainingJobName")
    keys = sorted({key for one in trials for key in one.parameters})
    columns = (
        Column("Training job"),
        Column("State"),
        Column("Objective", right=True),
        *(Column(key, right=True) for key in keys),
    )
    rows = tuple(
        (one.name, one.status, plain(one.value), *(one.parameters.get(key, "-") for key in keys)) for one in trials
    )
    marked = tuple(at for at, one in enumerate(trials) if one.name == best)
    return Table("Its training jobs", columns, rows, "The best one stands out." if marked else "", marked)


def _commands(handle: Handle) -> list[Block]:
    """What its owner may type next."""
    aws = "" if handle.session.is_local else " --aws"
    name = shlex.quote(handle.name)
    if isinstance(handle, Endpoint):
        return [Paragraph("Delete it:"), Command(f"batchrl rm {name}{aws}")]
    return [Paragraph("All that the API says of it:"), Command(f"batchrl show --json {name}{aws}")]
