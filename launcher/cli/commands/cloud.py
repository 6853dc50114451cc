"""``batchrl cloud up|down|status|env|interrupt|gc``."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from batchrl.contract.errors import InputError, Unreachable
from launcher.base.units import size
from launcher.cli.groups import make_group
from launcher.cli.options import output_options
from launcher.cli.output import Column, Output

if TYPE_CHECKING:
    from launcher.local.cloud import CloudAddress
    from launcher.local.host.jobrules import JobRules

EMBEDDED = "embedded"
NONE = "none"
DEFAULT = "default"
GIGABYTE = 1_000_000_000
KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
TOKEN_VARIABLE = "AWS_SESSION_TOKEN"
REMOVED = (Column("path", "REMOVED"), Column("size", "SIZE", right=True), Column("why", "WHY"))


@make_group("cloud", examples=("batchrl cloud status", 'eval "$(batchrl cloud env)"', "batchrl cloud down"))
def command() -> None:
    """The local cloud: a SageMaker and an object store that run on this computer.

    It starts by itself when a command needs it, and ends after 30 minutes without jobs.
    """


@command.command(
    "up",
    examples=(
        "batchrl cloud up",
        "batchrl cloud up --store https://s3.example.com \\",
        "    --store-profile my-profile",
        "batchrl cloud up --store embedded",
        "batchrl cloud up --let-jobs-call \\",
        "    arn:aws:iam::000000000000:role/loop",
        "batchrl cloud up --image-alias '*/pytorch-*=mine:1'",
    ),
)
@click.option("--store", metavar="URL", help="Use this S3 endpoint; 'embedded' goes back to batchrl's own.")
@click.option("--store-region", metavar="REGION", help="The store's region.")
@click.option("--store-profile", metavar="PROFILE", help="AWS profile with its credentials.")
@click.option(
    "--store-variables",
    metavar="NAMES",
    help=f"Else the variables that hold them, separated by commas; by default {', '.join(KEY_VARIABLES)}.",
)
@click.option(
    "--let-jobs-call",
    "calling_roles",
    metavar="ROLE_ARN",
    multiple=True,
    help="Let jobs with this role call SageMaker and the other services; 'none' lets none. By default none may.",
)
@click.option(
    "--allow-root",
    "root_images",
    metavar="IMAGE",
    multiple=True,
    help="Let containers of this image run as root, where the image does; '*' stands for any text, 'none' lets none.",
)
@click.option(
    "--image-alias",
    "image_aliases",
    metavar="PATTERN=IMAGE",
    multiple=True,
    help="Run IMAGE where a request names one that matches; '*' stands for any text. By default batchrl's own runs "
    "where Coach's are named; 'none' lets every image run under its own name, 'default' goes back.",
)
@click.option(
    "--container-memory",
    type=click.FloatRange(min=0.1),
    metavar="GB",
    help="Most memory of one container; by default four fifths of this computer's.",
)
@click.option(
    "--container-processes",
    type=click.IntRange(min=16),
    metavar="N",
    help="Most processes and threads of one container.",
)
@click.option(
    "--interrupt-rate",
    type=click.FloatRange(min=0),
    metavar="PER_HOUR",
    help="Take the capacity of running spot jobs away so often an hour, on average, as AWS may; 0 for never, as is the "
    "default.",
)
@click.option(
    "--interrupt-seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="Of the times at which it is taken: the same ones for the same job name.",
)
@output_options
def up(
    store: str | None,
    store_region: str | None,
    store_profile: str | None,
    store_variables: str | None,
    calling_roles: tuple[str, ...],
    root_images: tuple[str, ...],
    image_aliases: tuple[str, ...],
    container_memory: float | None,
    container_processes: int | None,
    interrupt_rate: float | None,
    interrupt_seed: int | None,
    out: Output,
) -> None:
    """Start the cloud, and choose its object store and what jobs may do if need be.

    The choices are kept; credentials are not: they are looked up whenever they are needed.
    """
    from launcher.local import cloud

    if store is None and (store_region or store_profile or store_variables):
        raise click.UsageError("--store-region, --store-profile and --store-variables need --store.")
    if store == EMBEDDED:
        cloud.set_store(None)
    elif store is not None:
        variables = () if store_profile and not store_variables else _variables(store_variables)
        cloud.set_store(store, region=store_region, profile=store_profile, variables=variables)
    given = (calling_roles, root_images, image_aliases, container_memory, container_processes)
    if any(given) or interrupt_rate is not None or interrupt_seed is not None:
        cloud.set_job_rules(
            calling_roles=_listed(calling_roles),
            root_images=_listed(root_images),
            memory_bytes=int(container_memory * GIGABYTE) if container_memory else None,
            processes=container_processes,
            image_aliases=_aliases(image_aliases),
            interruptions_per_hour=interrupt_rate,
            interruption_seed=interrupt_seed,
        )
    address = cloud.ensure_up()
    rules = cloud.job_rules()
    out.record(_public(address) | asdict(rules), "api_url", _lines(address) | _told(rules))


def _listed(given: tuple[str, ...]) -> tuple[str, ...] | None:
    """What was given, all of it in place of what was there; ``none`` for nothing. None where nothing was given."""
    if not given:
        return None
    return () if given == (NONE,) else given


def _aliases(given: tuple[str, ...]) -> tuple[str, ...] | None:
    """What was given, all of it in place of what was there. None where nothing was given."""
    if not given:
        return None
    return () if given == (DEFAULT,) else given


def _told(rules: JobRules) -> dict[str, Any]:
    """What jobs may do beyond the rule, and what containers may take, in words."""
    allowed = {"roles that call": rules.calling_roles, "images as root": rules.root_images}
    allowed["image aliases"] = rules.image_aliases
    if rules.interruptions_per_hour:
        rate = f"{rules.interruptions_per_hour:g} times an hour, seed {rules.interruption_seed}"
        allowed["spot jobs interrupted"] = (rate,)
    limits = f"{size(rules.memory)} of memory, {rules.max_processes} processes"
    return {what: names for what, names in allowed.items() if names} | {"a container": limits}


def _variables(given: str | None) -> tuple[str, ...]:
    """Names of the variables with the store's credentials; a session token counts when there is one."""
    if given is not None:
        return tuple(name.strip() for name in given.split(",") if name.strip())
    return (*KEY_VARIABLES, TOKEN_VARIABLE) if os.environ.get(TOKEN_VARIABLE) else KEY_VARIABLES


@command.command("down", examples=("batchrl cloud down", "batchrl cloud down --stop-jobs"))
@click.option("--stop-jobs", is_flag=True, help="Stop running jobs as well, and wait for their end.")
@output_options
def down(stop_jobs: bool, out: Output) -> None:
    """Stop the cloud. Running jobs go on unless --stop-jobs is given."""
    from launcher.local import cloud

    report = cloud.down(stop_jobs=stop_jobs)
    if not out.for_people:
        if out.form.value == "json":
            out.json(report)
        return
    out.text("The local cloud is down." if report.server_stopped or report.store_stopped else "Nothing was up.")
    for name in report.stopped_jobs:
        out.text(f"Stopped {name}.")
    for name in report.running_jobs:
        out.text(f"{name} goes on; its results are there when the cloud is up again.")


@command.command(
    "interrupt",
    examples=("batchrl cloud interrupt my-job",),
)
@click.argument("job")
@output_options
def interrupt(job: str, out: Output) -> None:
    """Take its spot capacity from a training job, as AWS may at any time.

    The job, which was submitted with --spot, starts again from its checkpoints.
    """
    from launcher.local import cloud

    cloud.interrupt(job)
    out.record({"name": job}, "name", {"job": f"{job}: its capacity is taken away; it starts again by itself"})


@command.command("status", examples=("batchrl cloud status", "batchrl cloud status --json"))
@output_options
def status(out: Output) -> int | None:
    """Say what is up. Exit code 3 when the cloud is not."""
    from launcher.local import cloud
    from launcher.local.host.home import HomePaths

    found = cloud.status()
    if found is None:
        home = HomePaths.of().root
        out.record(
            {"up": False, "home": home}, "up", {"cloud": "down; it starts when it is needed", "data folder": home}
        )
        return Unreachable.exit_code
    rules = cloud.job_rules()
    facts = {
        "up": True,
        **_public(found.address),
        **asdict(rules),
        "version": found.version,
        "stale": found.stale,
        "server_pid": found.server_pid,
        "store_pid": found.store_pid,
        "running_jobs": found.running_jobs,
    }
    note = " (other code than this; replaced at the next use)" if found.stale else ""
    lines = {
        **_lines(found.address),
        **_told(rules),
        "version": f"{found.version}{note}",
        "running jobs": found.running_jobs or "none",
    }
    out.record(facts, "api_url", lines)
    return None


@command.command(
    "env",
    examples=(
        'eval "$(batchrl cloud env)"',
        'aws --endpoint-url "$AWS_ENDPOINT_URL" \\',
        "    sagemaker list-training-jobs",
    ),
)
def env() -> None:
    """Print shell commands that point AWS tools at the local cloud, which is started if need be.

    They hold its credentials, which open nothing else. Which AWS tools do not listen to them is said on stderr.
    """
    from launcher.base import notices
    from launcher.local import cloud
    from launcher.local.host import shell

    for line in shell.shell_exports(cloud.ensure_up()):
        click.echo(line)
    if version := shell.deaf_cli():
        notices.say(
            f"Note: the AWS CLI here ({version}) ignores AWS_ENDPOINT_URL and would ask AWS itself. Write: "
            'aws --endpoint-url "$AWS_ENDPOINT_URL" ...; or install 2.13 (1.29 of version 1) or newer.'
        )


@command.command("gc", examples=("batchrl cloud gc", "batchrl cloud gc --json"))
@output_options
def gc(out: Output) -> None:
    """Remove what is of no use any more: work folders of jobs that have ended, and leftovers.

    Records, logs and results stay. What a training job left goes only when its results are found in S3; what is kept is
    named on stderr, with the reason.
    """
    from launcher.local import cleanup

    collected = cleanup.gc()
    removed = collected.removed
    rows: list[dict[str, Any]] = [asdict(one) | {"size": size(one.size_bytes)} for one in removed if not one.error]
    out.rows(rows, REMOVED, "There was nothing to remove.")
    for kept in collected.kept:
        out.note(f"Kept {kept.path} ({size(kept.size_bytes)}): {kept.why}")
    if failed := [one for one in removed if one.error]:
        what = "\n".join(f"  {one.path}: {one.error}" for one in failed)
        raise InputError(f"not everything could be removed:\n{what}", "Remove it as its owner, or as root.")


def _public(address: CloudAddress) -> dict[str, Any]:
    """What anybody may see of an address."""
    return {
        "home": address.home,
        "api_url": address.api_url,
        "store_url": address.store.endpoint_url,
        "store_embedded": address.store.embedded,
        "region": address.region,
        "account_id": address.account_id,
        "bucket": address.bucket,
    }


def _lines(address: CloudAddress) -> dict[str, Any]:
    kind = "embedded" if address.store.embedded else "your own"
    return {
        "cloud": f"up at {address.api_url}",
        "store": f"{address.store.endpoint_url} ({kind})",
        "bucket": address.bucket,
        "data folder": address.home,
    }
