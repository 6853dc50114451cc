"""``batchrl pull``: download what a job wrote."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from batchrl.contract.errors import InputError
from launcher.api.constants import TUNING
from launcher.base.units import size
from launcher.cli.errorrecords import tell_error_records
from launcher.cli.finding import find_handle
from launcher.cli.groups import make_command
from launcher.cli.options import aws_option, job_argument, kind_option, output_options
from launcher.cli.output import Output
from launcher.cli.sizes import results_bytes

KINDS = ("all", "model", "output", "intermediate", "checkpoints")


@make_command(
    "pull",
    examples=("batchrl pull my-job", "batchrl pull my-job results --what model --unpack"),
)
@job_argument(required=True)
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False), metavar="[DIR]")
@click.option("--what", type=click.Choice(KINDS), default="all", show_default=True, help="Which results.")
@click.option("--unpack", is_flag=True, help="Unpack the archives beside them.")
@kind_option
@aws_option
@output_options
def command(job: str, folder: Path | None, what: str, unpack: bool, kind: str | None, aws: bool, out: Output) -> None:
    """Copy a job's results into a folder, by default one of the job's name; the job may still run.

    Of a transform job these are the outputs below its output path. Every file is verified. What is there and good is
    not fetched again.
    """
    from launcher.jobs.processing import ProcessingJob
    from launcher.jobs.training import Job
    from launcher.jobs.transform import TransformJob

    found = find_handle(job, aws, kind)
    if found.kind == TUNING:
        raise InputError(
            f"'{job}' is a tuning job, whose results are those of its training jobs.", f"batchrl show {job} names them."
        )
    if isinstance(found, ProcessingJob):
        places = " ".join(found.output_uris.values()) or "it has no outputs"
        raise InputError(
            f"'{job}' is a processing job, whose outputs lie where its request says: {places}",
            "Fetch them with any S3 client, which batchrl cloud env leads to the store.",
        )
    if not isinstance(found, Job | TransformJob):
        raise InputError(f"'{job}' is an endpoint, which writes no results.", f"Ask it: batchrl invoke {job}")
    if isinstance(found, TransformJob) and (what != "all" or unpack):
        raise InputError(f"'{job}' is a transform job, whose outputs are pulled whole.", f"batchrl pull {job}")
    target = folder or Path(found.name)
    total = results_bytes(found)
    _check_room(target, total)
    pull = partial(found.pull, what=what, unpack=unpack) if isinstance(found, Job) else found.pull
    with out.byte_progress(f"pull {found.name[:24]}", total) as on_bytes:
        report = pull(target, on_bytes=on_bytes)
    facts = asdict(report) | {"name": found.name}
    for text in report.missing:
        out.note(f"{text}.")
    if isinstance(found, TransformJob):
        facts["error_records"] = tell_error_records(report, out)
    if not out.for_people:
        out.record(facts, "folder")
        return
    for name in report.files:
        out.text(str(target / name))
    out.text(f"{report.downloaded} fetched ({size(report.bytes)}), {report.skipped} were there, in {target}/")


def _check_room(folder: Path, needed: int) -> None:
    """Refuse before anything is written when the disk cannot hold the results."""
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        try:  # a place that takes no files at all has no room either, and that is what to say
            tempfile.TemporaryFile(dir=existing).close()
        except OSError as error:
            raise InputError(f"{folder} cannot be written: {error.strerror}.", "Name another folder.") from error
        raise InputError(f"{folder}: the results need {size(needed)}, and {size(free)} are free there.")
