"""``batchrl pull``: download what a job wrote."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import click

from batchrl.contract.errors import InputError
from launcher.cli.groups import make_command
from launcher.cli.jobs import find_job
from launcher.cli.options import aws_option, job_argument, output_options
from launcher.cli.output import Output, size
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
@aws_option
@output_options
def command(job: str, folder: Path | None, what: str, unpack: bool, aws: bool, out: Output) -> None:
    """Copy a job's results into a folder, by default one of the job's name; the job may still run.

    Every file is verified. What is there and good is not fetched again.
    """
    found = find_job(job, aws)
    target = folder or Path(found.name)
    total = results_bytes(found)
    _check_room(target, total)
    with out.byte_progress(f"pull {found.name[:24]}", total) as on_bytes:
        report = found.pull(target, what, unpack, on_bytes)
    if not out.for_people:
        out.record(asdict(report) | {"name": found.name}, "folder")
        return
    for name in report.files:
        out.text(str(target / name))
    out.text(f"{report.downloaded} fetched ({size(report.bytes)}), {report.skipped} were there, in {target}/")


def _check_room(folder: Path, needed: int) -> None:
    """Refuse before anything is written when the disk cannot hold the results."""
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise InputError(f"{folder}: the results need {size(needed)}, and {size(free)} are free there.")
