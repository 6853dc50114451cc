"""``batchrl rm``: forget jobs that have ended, and take endpoints down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from batchrl.contract.errors import InputError
from launcher.api.constants import ENDPOINT, TRAINING, TRANSFORM
from launcher.cli.finding import find_handle
from launcher.cli.groups import make_command
from launcher.cli.options import aws_option, complete_jobs, kind_option, output_options
from launcher.cli.output import Column, Output

if TYPE_CHECKING:
    from launcher.jobs.handle import Handle

KEPT = " Its results and checkpoints stay in {place}/; a job of the same name would go on from them."
SHARED = " What has a name of its own stays: {names}."


@make_command("rm", examples=("batchrl rm my-job", "batchrl rm my-job --results", "batchrl rm my-endpoint"))
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...", shell_complete=complete_jobs)
@click.option("--results", is_flag=True, help="Delete what they wrote into the bucket, too.")
@click.option("--force", is_flag=True, help="Delete results, too, that are on this computer's disk alone.")
@kind_option
@aws_option
@output_options
def command(jobs: tuple[str, ...], results: bool, force: bool, kind: str | None, aws: bool, out: Output) -> None:
    """Delete jobs that have ended, and endpoints; their names are free again.

    Nothing is deleted when one of the jobs still runs. Results and checkpoints stay unless --results says otherwise;
    a new job of the same name would go on from those checkpoints. With a job go the models that were made of it for
    transform jobs, with an endpoint the configuration and the model that bear its name. SageMaker keeps transform
    jobs: they cannot be deleted. A local job whose results had not reached the bucket when it ended is deleted with
    --force only; batchrl recover publishes them.
    """
    found = [find_handle(name, aws, kind) for name in dict.fromkeys(jobs)]
    if kept := [handle.name for handle in found if handle.kind == TRANSFORM]:
        raise InputError(
            f"a transform job cannot be deleted: {', '.join(kept)}. Nothing was deleted.",
            f"SageMaker keeps its record. Its outputs are yours: batchrl show {kept[0]}",
        )
    running = [handle.name for handle in found if handle.kind != ENDPOINT and not handle.status().ended]
    if running:
        raise InputError(f"still running: {', '.join(running)}. Nothing was deleted.", f"batchrl stop {running[0]}")
    _settle_unsaved([handle.name for handle in found if handle.kind == TRAINING and handle.session.is_local], force)
    rows = [_delete(handle, results, out) for handle in found]
    if not out.for_people:
        out.rows(rows, (Column("name", "JOB"),), "")
        return
    for row in rows:
        out.text(_sentence(row))


def _settle_unsaved(names: list[str], force: bool) -> None:
    """Refuse to delete local jobs whose results are on disk alone, or give these up."""
    if not names:
        return
    from launcher.local.host.trees import remove_tree
    from launcher.local.recovery import unsaved

    left = {name: root for name in names if (root := unsaved(name)) is not None}
    if left and not force:
        name, root = next(iter(left.items()))
        raise InputError(
            f"results are on this disk alone, not in the bucket: {', '.join(left)} (in {root}). Nothing was deleted.",
            f"batchrl recover {name} publishes them; batchrl rm {name} --force deletes them.",
        )
    for root in left.values():
        if error := remove_tree(root):
            raise InputError(f"{root} cannot be removed: {error}. Nothing was deleted.")


def _delete(handle: Handle, results: bool, out: Output) -> dict[str, Any]:
    from launcher.jobs.endpoint import Endpoint
    from launcher.jobs.processing import ProcessingJob
    from launcher.jobs.training import Job
    from launcher.jobs.tuning import TuningJob
    from launcher.serving.modelplan import delete_models_of

    facts: dict[str, Any] = {"name": handle.name, "kind": handle.kind, "results": None, "models": [], "kept": []}
    if isinstance(handle, Endpoint):
        removed = handle.delete()
        return facts | {"models": list(removed.models), "kept": list(removed.kept)}
    if isinstance(handle, ProcessingJob | TuningJob):
        handle.delete()
        return facts
    assert isinstance(handle, Job)
    place = str(handle.layout.job)
    try:
        facts["models"] = delete_models_of(handle)
    except InputError as error:  # who may delete jobs need not be allowed to look at models
        out.note(f"Its models stay: {error.message}")
    handle.delete(results)
    return facts | {"results": None if results else place}


def _sentence(row: dict[str, Any]) -> str:
    models = row["models"]
    if row["kind"] == ENDPOINT:
        own = f" and its model{'s' if len(models) > 1 else ''}" if models else ""
        return f"Deleted the endpoint {row['name']}, its configuration{own}." + (
            SHARED.format(names=", ".join(row["kept"])) if row["kept"] else ""
        )
    more = f" and {len(models)} model{'s' if len(models) > 1 else ''} of it" if models else ""
    return f"Deleted {row['name']}{more}." + (KEPT.format(place=row["results"]) if row["results"] else "")
