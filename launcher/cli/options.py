"""Options and arguments that several commands share, and what completes them in a shell."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from launcher.cli.output import Form, Output

Function = TypeVar("Function", bound=Callable[..., Any])


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json`` and ``--quiet``; the command receives them as ``out``."""

    @click.option("--json", "as_json", is_flag=True, help="Write JSON to stdout.")
    @click.option("-q", "--quiet", is_flag=True, help="Write names alone.")
    @functools.wraps(function)
    def wrapped(*arguments: Any, as_json: bool, quiet: bool, **settings: Any) -> Any:
        form = Form.JSON if as_json else Form.QUIET if quiet else Form.HUMAN
        return function(*arguments, out=Output(form), **settings)

    return wrapped


def complete_jobs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of this computer's jobs, newest first, read from the records: no cloud is started for a Tab."""
    from launcher.local.host.home import HomePaths
    from launcher.local.records.records import Records

    path = HomePaths.of().records
    if not path.exists():
        return []
    names = [record.name for record in Records(path).list() if record.name.startswith(incomplete)]
    return list(dict.fromkeys(names))


def complete_presets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Names of presets; a path may stand there as well."""
    from click.shell_completion import CompletionItem

    import presets

    names: list[Any] = [name for name in [*presets.names(), *presets.ALIASES] if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def complete_settings(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Keys of a training's preset, or of an evaluation's, as ``agent.discount=``; past the sign, what a choice may be.

    A file may stand for no value: what is offered is what the schema knows.
    """
    from typing import get_args

    from click.shell_completion import CompletionItem

    from presets.resolving import leaves
    from presets.schema import EvaluatePreset, TrainPreset

    fields = dict(leaves(EvaluatePreset if ctx.info_name == "evaluate" else TrainPreset))
    key, sign, _ = incomplete.partition("=")
    if not sign:
        return [
            CompletionItem(f"{name}=", help=(field.description or "").partition(":")[0])
            for name, field in fields.items()
            if name.startswith(incomplete)
        ]
    choices = get_args(fields[key].annotation) if key in fields else ()
    values = [f"{key}={choice}" for choice in choices if isinstance(choice, str)]
    return [value for value in values if value.startswith(incomplete)]


def complete_instance_types(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Types of this computer, then those of SageMaker that its model names."""
    from launcher.api.instances import LOCAL_INSTANCE_TYPES
    from launcher.api.servicemodel import service_model

    shape: Any = service_model("sagemaker").shape_for("TrainingInstanceType")
    return [name for name in (*LOCAL_INSTANCE_TYPES, *shape.enum) if name.startswith(incomplete)]


def job_argument(required: bool = False) -> Callable[[Function], Function]:
    """The argument ``JOB``; where it may be left out the newest job is meant."""
    return click.argument("job", required=required, shell_complete=complete_jobs)


def kind_option(function: Function) -> Function:
    """Add ``--kind``, for names that are of several kinds; the command receives it as ``kind``."""
    from launcher.jobs.kinds import KINDS

    return click.option(
        "--kind",
        type=click.Choice(KINDS),
        metavar="KIND",
        help=f"What it is, where several bear the name: {', '.join(KINDS)}.",
    )(function)


aws_option = click.option("--aws", is_flag=True, help="It is on Amazon SageMaker, not on this computer.")


set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=complete_settings,
    help="Change one key of the preset, as agent.discount=0.98.",
)
