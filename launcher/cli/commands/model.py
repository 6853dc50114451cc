"""``batchrl model show|export``."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrl.contract.errors import InputError
from batchrl.contract.pointers import POINTERS
from launcher.base.units import size
from launcher.cli.groups import make_group
from launcher.cli.options import aws_option, complete_jobs, output_options
from launcher.cli.output import Output

if TYPE_CHECKING:
    from launcher.jobs.training import Job
    from launcher.serving.exported import ExportedModel
    from launcher.staging.fetch import Fetched

SCRIPT = "export.py"
KINDS = ("greedy", "epsilon_greedy", "softmax")
COLUMNS_SHOWN = 8
DIGEST_SHOWN = 12
# What stands in the description where there are no networks of their own.
VALUES = {None: "none", "preferences": "those that it prefers by"}
NO_CODE = "none: the image's own serves it"


@make_group("model", examples=("batchrl model show my-job", "batchrl model export my-job policy.onnx"))
def command() -> None:
    """Look at trained models, and export them.

    A model is a model.tar.gz: weights without pickles, a description, and the code that serves it.
    """


@command.command(
    "show",
    examples=(
        "batchrl model show",
        "batchrl model show results/model --json",
        "batchrl model show s3://bucket/j/output/model.tar.gz",
    ),
)
@click.argument("model", metavar="[MODEL]", required=False, shell_complete=complete_jobs)
@aws_option
@output_options
def show(model: str | None, aws: bool, out: Output) -> None:
    """Show what a model is, and where it comes from.

    Networks, inputs, mask, target policy, training job and data. MODEL is a training job's name, by
    default the newest one's, a model.tar.gz, a folder with model.json, or an S3 URL.
    """
    from launcher.cli.finding import session_for
    from launcher.cli.scoring import find_policy
    from launcher.reports.evaluations import newest_training
    from launcher.reports.policies import fetch_model
    from launcher.serving.exported import read_exported

    model = model or newest_training(session_for(aws)).name
    with tempfile.TemporaryDirectory(prefix="batchrl-") as scratch:
        found = find_policy(model, Path(scratch), aws, fetch_model)
        # An archive below an S3 prefix is what the prefix stands for.
        inside = sorted(found.path.glob("*.tar.gz")) if found.path.is_dir() else []
        read = read_exported(inside[0] if len(inside) == 1 else found.path)
    out.record({"source": model, **read.description, "files": dict(read.files)}, "source", _lines(model, read))


@command.command(
    "export",
    examples=(
        "batchrl model export my-job policy.onnx",
        "batchrl model export checkpoints/ m.tar.gz --which latest",
        "batchrl model export epoch_0007.pt greedy/ --policy greedy",
    ),
)
@click.argument("model", metavar="MODEL")
@click.argument("target", metavar="TARGET")
@click.option("--which", type=click.Choice(tuple(POINTERS)), help="Which checkpoint; by default the best one.")
@click.option("--policy", type=click.Choice(KINDS), help="The target policy; by default the one of its training.")
@click.option("--epsilon", type=float, help="epsilon_greedy: share of random actions.")
@click.option("--temperature", type=float, help="softmax: of the values.")
@click.option("--encoded", is_flag=True, help="ONNX: take encoded features, not raw records.")
@click.option("--force", is_flag=True, help="Replace TARGET where it exists.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON to stdout.")
@aws_option
def export(model: str, target: str, aws: bool, **options: Any) -> int:
    """Write a policy as a folder, archive or ONNX file.

    TARGET is a folder, a .tar.gz that can be served, or an .onnx file. MODEL is a training job's
    name, checkpoints, a .pt file, an exported model, a model.tar.gz, or an S3 URL of these. Of a
    job that has ended, its own model is taken unless --which is given.

    An ONNX file of a model with categories, dates or missing values takes raw records, an input a
    column, as its metadata says (docs/serving.md); with --encoded, one matrix of encoded features.
    It is kept only if onnxruntime computes what torch computes; it needs the packages onnx,
    onnxscript and onnxruntime: pip install 'batchrl[onnx]'.
    """
    from launcher.cli.scoring import find_policy
    from launcher.library.scripts import run_script, script_path

    script = script_path(SCRIPT)
    with tempfile.TemporaryDirectory(prefix="batchrl-") as scratch:
        found = find_policy(model, Path(scratch) / "policy", aws, partial(_of_job, which=options["which"]))
        words = [str(found.path), str(Path(target).expanduser())]
        for name, value in options.items():
            option = "--json" if name == "as_json" else f"--{name}"
            if value is True:
                words.append(option)
            elif value is not None and value is not False:
                words += [option, str(value)]
        return run_script(script, words)


def _of_job(job: Job, folder: Path, which: str | None) -> Fetched:
    """What is exported of a job: its model, with the code that it ran with; else a checkpoint."""
    from launcher.reports.policies import fetch_model, fetch_policy

    if which is None:
        try:
            return fetch_model(job, folder)
        except InputError:  # it still runs, or was told to save no model
            return fetch_policy(job, folder)
    return fetch_policy(job, folder, POINTERS[which])


def _lines(model: str, read: ExportedModel) -> dict[str, Any]:
    """What people want to know, label to value; what is not known is left out."""
    facts = read.description
    policy, taken = facts["policy"], facts.get("preprocessing", {})
    columns = taken.get("state_columns", ())
    more = f" and {len(columns) - COLUMNS_SHOWN} more" if len(columns) > COLUMNS_SHOWN else ""
    values = policy["values"]
    code = read.code
    lines: dict[str, Any] = {
        "model": model,
        "job": facts.get("job_name"),
        "preset": facts.get("preset"),
        "algorithm": facts.get("algorithm"),
        "epoch": f"{facts['epoch']}: {facts['selection']}" if "selection" in facts else facts.get("epoch"),
        "policy": facts.get("target_policy") or policy["target"]["kind"],
        "mask": _mask(policy["mask"], policy["fallback"]),
        "networks": _networks(policy["preferences"]),
        "values": _networks(values) if isinstance(values, Mapping) else VALUES[values],
        "state": f"{', '.join(columns[:COLUMNS_SHOWN])}{more}" if columns else None,
        "scaling": taken.get("scaling"),
        "data": f"sha256 {facts['data_sha256']}" if facts.get("data_sha256") else None,
        "code": f"{code['files']} files, sha256 {code['sha256'][:DIGEST_SHOWN]}" if code else NO_CODE,
        "made with": ", ".join(f"{name} {version}" for name, version in facts.get("versions", {}).items()),
        "size": f"{size(read.bytes)} in {len(read.files)} files",
    }
    return {label: value for label, value in lines.items() if value}


def _networks(scorer: Mapping[str, Any]) -> str:
    shape = scorer["network"]
    widths = " - ".join(str(width) for width in (shape["n_features"], *shape["hidden"], shape["n_outputs"]))
    return widths if shape["ensemble"] == 1 else f"{shape['ensemble']} of {widths}, averaged"


def _mask(mask: Mapping[str, Any] | None, fallback: str) -> str:
    if mask is None:
        return "none"
    if mask["kind"] == "nearest":
        compared = "states" if mask["embedding"] is None else "their embeddings"
        rule = f"near a logged use of the action, by {compared}"
    else:
        share = "the likeliest action's share times " if mask["relative"] else ""
        rule = f"in the log at least {share}{mask['threshold']:g} likely"
    return f"{rule}; where it allows nothing: {fallback.replace('_', ' ')}"
