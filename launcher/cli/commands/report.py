"""``batchrl report``: a job or a loop, told to people who did not make it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchrl.contract.errors import InputError
from launcher.api.constants import ENDPOINT
from launcher.cli.finding import find_handle, find_job
from launcher.cli.groups import make_command
from launcher.cli.options import aws_option, complete_jobs, output_options
from launcher.cli.output import Output

if TYPE_CHECKING:
    from launcher.documents.model import Document
    from launcher.jobs.training import Job

FORMATS = ("html", "md", "json", "pdf")


@make_command(
    "report",
    examples=(
        "batchrl report",
        "batchrl report my-job --out report.pdf",
        "batchrl report my-job --format md --out -",
        "batchrl report my-loop/",
    ),
)
@click.argument("job", required=False, metavar="[JOB|FOLDER]", shell_complete=complete_jobs)
@click.option("--format", "form", type=click.Choice(FORMATS), help="By default that of --out, else html.")
@click.option("-o", "--out", "path", metavar="FILE", help="By default report-NAME.html and the like; - is stdout.")
@click.option("--intended-use", metavar="TEXT", help="What the policy is for, for its model card.")
@aws_option
@output_options
def command(
    job: str | None, form: str | None, path: str | None, intended_use: str | None, aws: bool, out: Output
) -> None:
    """Write a report of a job, by default the newest training job, or of a loop by its folder.

    It says what was logged and by whom, what is wrong with the log, which candidates there were and why one was
    chosen, what it is estimated to earn with interval, bound and doubt, what was never tried, what a canary would
    need, and where all of it comes from. One HTML file that needs nothing else, Markdown with the metadata of a model
    card, JSON, or a PDF, for which Chromium is needed.

    The job may still run, or have failed: what is not known is said.
    """
    from launcher.reporting.writing import format_of, rendered, write

    found_form = format_of(path, form)
    name, document = _document(job, intended_use, aws)
    content = rendered(document, found_form)
    file = path or f"report-{name}.{found_form}"
    write(content, file)
    if file == "-":
        return
    if out.for_people:
        out.text(document.verdict.text)
        out.text(f"\nWrote {file}")
    else:
        out.record({"name": name, "path": Path(file).absolute(), "format": found_form}, "path")


def _document(job: str | None, intended_use: str | None, aws: bool) -> tuple[str, Document]:
    from launcher.jobs.training import Job

    if job is not None and (found_loop := _loop(Path(job).expanduser(), "/" in job or job == ".")) is not None:
        if aws:
            raise InputError(f"{job} is the folder of a loop, which --aws says nothing of.", "Leave --aws out.")
        return _without_use(found_loop, intended_use)
    if job is None:
        return _of_job(find_job(None, aws, with_estimates=True), intended_use)
    found = find_handle(job, aws)
    if not isinstance(found, Job):
        raise InputError(
            f"'{job}' is {'an endpoint' if found.kind == ENDPOINT else f'a {found.noun}'}, which learnt no policy.",
            "Report the training job: `batchrl ps --kind training` lists them.",
        )
    return _of_job(found, intended_use)


def _loop(folder: Path, surely: bool) -> tuple[str, Document] | None:
    """The report of the loop in a folder; None where there is none, unless it can be nothing else.

    A folder of results, as ``pull`` makes it, bears the name of its job.
    """
    from launcher.iterate.report import LoopReport
    from launcher.iterate.state import LoopFolder
    from launcher.reporting.loop import loop_document

    found = LoopFolder(folder)
    if not found.exists and not (surely and folder.is_dir()):
        return None
    report = LoopReport.of(found)
    return report.settings.name, loop_document(report)


def _without_use(found: tuple[str, Document], intended_use: str | None) -> tuple[str, Document]:
    """The same, of what has no model card to say an intended use in."""
    if intended_use is not None:
        raise InputError(f"the report of {found[0]} has no model card.", "Leave --intended-use out.")
    return found


def _of_job(job: Job, intended_use: str | None) -> tuple[str, Document]:
    from launcher.base.product import TRAIN_SCRIPT
    from launcher.jobs.kinds import EVALUATION, kind_in, program_in
    from launcher.reporting.evaluation import evaluation_document, read_evaluated
    from launcher.reporting.files import Simulated, read_training
    from launcher.reporting.training import training_document
    from launcher.reports.evaluations import find_evaluation

    described = job.describe()
    if kind_in(described) == EVALUATION:
        evaluated = evaluation_document(job.name, described, job.state_in(described), read_evaluated(job))
        return _without_use((job.name, evaluated), intended_use)
    played = find_evaluation(job) if program_in(described) == TRAIN_SCRIPT else None
    simulated = None if played is None else Simulated(played[0].name, played[1])
    places = {"model": job.model_uri, "output": job.output_uri, "checkpoints": job.checkpoint_uri}
    document = training_document(read_training(job, described, simulated), places, intended_use)
    return (job.name, document) if document.card else _without_use((job.name, document), intended_use)
