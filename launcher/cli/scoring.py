"""Scoring policies on a log from the command line: what ``ope`` and ``compare`` share."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrl.contract.errors import InputError
from batchrl.contract.given import MOST_FREQUENT, WRITTEN, is_given
from batchrl.contract.inference import refuse_onnx
from batchrl.contract.layout import S3_SCHEME
from launcher.base import extras
from launcher.cli.dataoptions import DATA_SPEC, MAP, STATE_COLUMNS
from launcher.cli.finding import find_job
from launcher.cli.output import echo
from launcher.library.scripts import run_script, script_path
from launcher.reports.policies import fetch_policy
from launcher.staging.fetch import Fetched, fetch_prefix

if TYPE_CHECKING:
    from launcher.jobs.training import Job

SCRIPT = "ope.py"

# Options whose parameters are called otherwise.
SPELLED = {"as_json": "--json", "mapping": "--map", "pairs": "--set"}
# Options of the script's own, with the same names there.
SHARED = (
    click.option(
        "--policy",
        multiple=True,
        metavar="P",
        help="greedy, epsilon_greedy, softmax: what is made of a model's values, by default its target policy and "
        "epsilon_greedy. "
        f"Or a policy that nobody trained: {MOST_FREQUENT}, {WRITTEN}. Several may be given.",
    ),
    click.option("--epsilon", type=float, help="epsilon_greedy: share of random actions, by default 0.1."),
    click.option("--temperature", type=float, help="softmax: of the values, by default 1."),
    click.option("--no-mask", is_flag=True, help="Let a policy take actions that its mask forbids."),
    click.option("--discount", type=float, help="Of one step; by default the policy's own."),
    click.option(
        "--episodes",
        type=click.Choice(("auto", "test", "evaluation", "all")),
        help="auto: where the data trained the policy, those that its run kept for the test, or for the choice.",
    ),
    click.option("--resamples", type=int, help="Of episodes, by default 1000."),
    click.option("--confidence", type=float, help="That intervals aim to cover, by default 0.95."),
    click.option("--seed", type=int, help="Of resamples and fits, by default 0."),
    click.option(
        "--reward-range",
        metavar="LOW:HIGH",
        help="What a step can pay, for the bounds, as 0:1; by default the logged range.",
    ),
    click.option("--clip", type=float, help="Largest ratio of a step; by default none is changed."),
    click.option("--fqe", is_flag=True, help="Fit values of each policy, on other episodes."),
    click.option("--fqe-data", metavar="DATA", help="Fit them on this data instead."),
    click.option("--fqe-updates", type=int, help="Gradient steps of a fit, by default 20000."),
    DATA_SPEC,
    MAP,
    STATE_COLUMNS,
    click.option(
        "--set",
        "pairs",
        multiple=True,
        metavar="data.KEY=VALUE",
        help="Change one key of how DATA is read, as data.decimal=comma.",
    ),
    click.option(
        "--loggers",
        type=click.Choice(("separate", "balanced")),
        help="Of several loggers: weigh an episode by the probabilities of its own one, as is the default, or by those "
        "of all, mixed in their shares.",
    ),
    click.option("--schema", type=click.Choice(("auto", "A", "B")), help="Of the data, by default auto."),
    click.option("--json", "as_json", is_flag=True, help="Write JSON to stdout."),
    click.option(
        "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the JSON into a file as well."
    ),
    click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw the figures into a PNG file."),
)


def scoring_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command receives those that were given as ``scoring``."""

    @functools.wraps(command)
    def wrapped(*arguments: Any, **values: Any) -> Any:
        own = {name: values.pop(name) for name in _names()}
        # 0 is a value: it equals False, but is not it.
        given = {name: value for name, value in own.items() if value is not None and value is not False and value != ()}
        return command(*arguments, scoring=given, **values)

    decorated: Callable[..., Any] = wrapped
    for option in reversed(SHARED):
        decorated = option(decorated)
    return decorated


def score(data: str, models: Sequence[str], scoring: dict[str, Any], aws: bool, *more: str) -> int:
    """Run the script on what the names mean, draw what it found, and return its exit code.

    Args:
        data: a path or S3 URL.
        models: paths, S3 URLs or names of training jobs; or what names a policy that nobody trained.
        scoring: the shared options that were given.
        aws: whether jobs are on Amazon SageMaker.
        more: further options of the script.

    Raises:
        InputError: something does not exist, or cannot be drawn into.
        Unreachable: cloud or store does not answer.
    """
    plot = scoring.pop("plot", None)
    if plot is not None:
        from launcher.results.plot import check_format

        check_format(plot)
        extras.require("a picture", extras.PLOTS)
    script = script_path(SCRIPT)
    with tempfile.TemporaryDirectory(prefix="batchrl-") as scratch:
        folder = Path(scratch)
        log = fetch_prefix(data, folder / "data")
        options = [str(log.path), "--data-name", log.name, *more]
        for number, model in enumerate(models):
            if is_given(model):
                options += ["--model", model]
                continue
            found = find_policy(model, folder / f"policy-{number}", aws)
            options += ["--model", f"{found.name}={found.path}"]
        if other := scoring.pop("fqe_data", None):
            options += ["--fqe-data", str(fetch_prefix(other, folder / "fqe-data").path)]
        if plot is not None and "output" not in scoring:
            scoring["output"] = folder / "report.json"
        code = run_script(script, [*options, *_spelled(scoring)])
        if code == 0 and plot is not None:
            from launcher.reports.forestplot import draw

            draw(json.loads(Path(scoring["output"]).read_text()), plot, brief="--brief" in more)
            echo(f"Drew {plot}", err=True)
    return code


def find_policy(text: str, folder: Path, aws: bool, of_job: Callable[[Job, Path], Fetched] = fetch_policy) -> Fetched:
    """A trained policy by path, S3 URL or the name of its training job.

    Args:
        text: what the user gave.
        folder: where to copy what lies elsewhere.
        aws: whether jobs are on Amazon SageMaker.
        of_job: copies what is wanted of a job.

    Raises:
        InputError: there is no such path, prefix or job, or it is an ONNX file.
    """
    refuse_onnx(text)
    if text.startswith(S3_SCHEME) or Path(text).expanduser().exists():
        return fetch_prefix(text, folder)
    if "/" in text or text.endswith((".pt", ".gz")):
        raise InputError(f"there is no policy {text}.", "Give a path, an S3 URL or the name of a training job.")
    return of_job(find_job(text, aws), folder)


def _names() -> list[str]:
    """Names of the parameters that the shared options make."""

    @click.command()
    def probe() -> None: ...

    for option in SHARED:
        probe = option(probe)
    return [parameter.name for parameter in probe.params if parameter.name]


def _spelled(scoring: dict[str, Any]) -> list[str]:
    """Options as the script reads them."""
    spelled: list[str] = []
    for name, value in scoring.items():
        option = SPELLED.get(name, f"--{name.replace('_', '-')}")
        if value is True:
            spelled.append(option)
        else:
            for part in value if isinstance(value, tuple) else (value,):
                spelled.append(f"{option}={part}")  # a value may begin with a dash
    return spelled
