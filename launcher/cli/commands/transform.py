"""``batchrl transform``: a trained policy over many states."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrl.contract.errors import JobFailed
from launcher.base.units import size
from launcher.cli.errorrecords import BadRecords, counted, downloaded
from launcher.cli.groups import make_command
from launcher.cli.modeloptions import ServingOptions, serving_options
from launcher.cli.options import complete_jobs, output_options
from launcher.cli.output import Output
from launcher.cli.running import AFTER_START, follow_to_end
from launcher.cli.transformdata import content_type_of_data

if TYPE_CHECKING:
    from launcher.jobs.transform import TransformJob
    from launcher.results.pull import PullReport
    from launcher.serving.transformer import Transformer
    from launcher.serving.transformplan import TransformPlan

SPLITS = ("Line", "None", "RecordIO", "TFRecord")
NOTHING = "none"
EMPTY_NAMED = 3


@make_command(
    "transform",
    examples=(
        "echo '[0.1, 0, -0.2, 0]' > states.jsonl",
        "batchrl transform states.jsonl -o out",
        "batchrl transform states.jsonl --model my-job --plan",
        "batchrl transform s3://bucket/states/ --no-wait \\",
        "    --content-type application/jsonlines",
        "batchrl transform rows.csv --join input --no-wait -q",
    ),
)
@click.argument("data", metavar="DATA")
@click.option(
    "--model",
    metavar="JOB|S3URL|FILE",
    shell_complete=complete_jobs,
    help="A training job or a model.tar.gz; by default the newest training job.",
)
@click.option("--output-path", metavar="S3URL", help="Where outputs go; by default s3://BUCKET/TRANSFORM-JOB.")
@click.option("--content-type", help="MIME type of the records; by default by the name of DATA.")
@click.option("--accept", help="MIME type of the outputs; by default that of the records.")
@click.option("--split-type", type=click.Choice(SPLITS), help="How DATA falls into records; by default by lines.")
@click.option(
    "--join",
    type=click.Choice(("input", NOTHING)),
    default=NOTHING,
    show_default=True,
    help="Put each record beside its prediction; a line that is no JSON (NaN) or CSV then fails its whole file.",
)
@click.option("--input-filter", metavar="JSONPATH", help="What the policy sees of a record.")
@click.option("--output-filter", metavar="JSONPATH", help="What is kept of an output.")
@click.option("--strategy", type=click.Choice(("MultiRecord", "SingleRecord")), help="Records in one request.")
@click.option("--max-payload", type=click.IntRange(0), metavar="MB", help="Size of one request.")
@click.option("--max-concurrent", type=click.IntRange(0), metavar="N", help="Requests at a time and machine.")
@click.option("--timeout", type=click.IntRange(1, 3600), metavar="SECONDS", help="Of one request.")
@click.option("--retries", type=click.IntRange(0, 3), help="How often a request is sent again.")
@serving_options
@click.option("--job-name", help="Name of the transform job; by default one is made.")
@click.option("--plan", "only_plan", is_flag=True, help="Print the exact requests; send nothing.")
@click.option("--wait/--no-wait", default=True, help="Follow the job until it ends, or start it and come back.")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Download the outputs.",
)
@output_options
def command(
    data: str,
    model: str | None,
    output_path: str | None,
    serving: ServingOptions,
    max_payload: int | None,
    max_concurrent: int | None,
    strategy: str | None,
    accept: str | None,
    only_plan: bool,
    wait: bool,
    folder: Path | None,
    out: Output,
    **records: Any,
) -> None:
    """Run a trained policy over states with batch transform, on this computer or on Amazon SageMaker.

    DATA is a file or a folder, which is uploaded, or an S3 URL. A record is a list of features, one a line. Each
    input becomes one output, of the same name with .out behind it.

    A record that the policy cannot take gets an error in its place, the others go on, and the exit code is 2; where
    none was taken, 1. With --join input that holds for records that can be joined. On AWS nobody looks for such records
    unless the outputs are downloaded (-o).
    """
    if folder is not None and (only_plan or not wait):
        raise click.UsageError("--output needs the outputs: leave out --no-wait and --plan.")
    described = _records(data, accept, records)
    found = serving.model(model)
    transformer = found.transformer(
        serving.instance_count,
        serving.instance_type,
        strategy=strategy,
        assemble_with="Line" if described["split_type"] == "Line" else None,
        output_path=output_path,
        accept=described.pop("accept"),
        max_concurrent_transforms=max_concurrent,
        max_payload=max_payload,
        env=serving.env,
        tags=serving.tags,
    )
    plan = transformer.plan(data, **described)
    if only_plan:
        out.json(plan.to_dict())
        out.note(f"Nothing was sent. {len(plan.all_uploads)} files, {size(plan.size)}, would be.")
        return
    job = _run(transformer, plan, wait, out)
    _tell(job, folder, wait, out).check()


def _records(data: str, accept: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of ``Transformer.plan`` beside the data, and ``accept``; what was left out follows from the data.

    Raises:
        InputError: nothing tells what the data holds.
    """
    from launcher.api.transform_rules import LINE_TYPES

    content_type = given["content_type"] or content_type_of_data(data)
    client = {"InvocationsTimeoutInSeconds": given["timeout"], "InvocationsMaxRetries": given["retries"]}
    return {
        "content_type": content_type,
        "accept": accept or content_type,
        "split_type": given["split_type"] or ("Line" if content_type in LINE_TYPES else None),
        "join_source": None if given["join"] == NOTHING else "Input",
        "input_filter": given["input_filter"],
        "output_filter": given["output_filter"],
        "job_name": given["job_name"],
        "model_client_config": {name: value for name, value in client.items() if value is not None} or None,
    }


def _run(transformer: Transformer, plan: TransformPlan, wait: bool, out: Output) -> TransformJob:
    with out.byte_progress("upload", plan.size) as on_bytes:
        job = transformer.submit(plan, wait=False, on_bytes=on_bytes)
    if not wait:
        return job
    try:
        follow_to_end(job, out)
    except JobFailed:
        if outputs := job.outputs():
            out.note(f"Objects that went well: {len(outputs)}. Their outputs: batchrl pull {job.name}")
        raise
    return job


def _tell(job: TransformJob, folder: Path | None, waited: bool, out: Output) -> BadRecords:
    """Say which job it was, where its outputs are, and what may come next; download them if that is wanted."""
    outputs = job.outputs() if waited else []
    pulled: PullReport | None = None
    bad = BadRecords()
    if folder is not None:
        with out.byte_progress(f"pull {job.name[:24]}", sum(count for _, count in outputs)) as on_bytes:
            pulled = job.pull(folder, on_bytes)
        bad = downloaded(pulled)
    elif waited:
        bad = counted(job)
    facts: dict[str, object] = {
        "name": job.name,
        "status": job.status().status,
        "output": job.output_uri,
        "model": job.model_name,
    }
    if not out.for_people:
        if pulled is not None:
            facts |= {"files": pulled.files, "folder": pulled.folder}
        if waited:
            facts["error_records"] = bad.count if bad.known else None
        out.record(facts, "name")
        return bad
    ended = "has ended." if bad.count else "has ended well."
    out.text(f"\nTransform job {job.name} {ended if waited else 'was started.'}")
    many = "" if len(outputs) == 1 else "s"
    held = f" ({len(outputs)} file{many}, {size(sum(count for _, count in outputs))})" if waited else ""
    out.text(f"Outputs: {job.output_uri}{held}")
    for file in [pulled.folder / name for name in pulled.files] if pulled is not None else []:
        out.text(f"  {file}")
    _tell_empty([key for key, count in outputs if not count], out)
    out.text("Next:")
    aws = "" if job.session.is_local else " --aws"
    for follow_up in ("show",) if folder else ("pull", "show") if waited else (*AFTER_START, "pull"):
        out.text(f"  batchrl {follow_up} {job.name}{aws}")
    return bad


def _tell_empty(keys: Sequence[str], out: Output) -> None:
    if keys:
        named = ", ".join(key.rpartition("/")[2] for key in keys[:EMPTY_NAMED])
        more = f" and {len(keys) - EMPTY_NAMED} more" if len(keys) > EMPTY_NAMED else ""
        are = "is empty: its input holds" if len(keys) == 1 else "are empty: their inputs hold"
        out.note(f"Note: {named}{more} {are} no record.")
