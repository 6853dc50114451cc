"""``batchrl compare``: training runs side by side, or policies scored on the same data."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrl.contract.errors import InputError
from batchrl.contract.interval import with_interval
from launcher.cli.estimates import number
from launcher.cli.finding import find_job
from launcher.cli.groups import make_command
from launcher.cli.options import aws_option, complete_jobs
from launcher.cli.output import Form, Output, echo, plain
from launcher.cli.scoring import score, scoring_options

if TYPE_CHECKING:
    from launcher.reports.runs import Run, Score

LINE = "  {score:<25}{effective:>6}  {final:<25}{rely:<6}{simulator:>12}"
HEADING = {
    "score": "SCORE [95 %]",
    "effective": "ESS",
    "final": "AT THE END [95 %]",
    "rely": "RELY",
    "simulator": "IN SIMULATOR",
}
WIDTH = 80
WITHOUT_DATA = frozenset({"as_json", "output", "plot"})


@make_command(
    "compare",
    examples=(
        "batchrl compare first-job second-job",
        "batchrl compare first-job model.tar.gz --data test.csv",
        "batchrl compare a b --data logs/ --policy greedy --fqe",
    ),
)
@click.argument("runs", nargs=-1, required=True, metavar="JOB|POLICY...", shell_complete=complete_jobs)
@click.option("--data", metavar="DATA", help="Score all policies on these logged episodes: a file, folder or S3 URL.")
@click.option(
    "--against",
    type=click.Choice(("first", "logged")),
    default="first",
    show_default=True,
    help="With --data, what differences are against.",
)
@scoring_options
@aws_option
def command(runs: tuple[str, ...], data: str | None, against: str, scoring: dict[str, Any], aws: bool) -> int:
    """Compare training jobs, or policies.

    Without --data: for each job (or folder of checkpoints) the epoch that was chosen, the score
    that chose it, the figures at its end, and the mean return in a simulator where an evaluation
    job found one. With --data: every policy is scored on the same logged episodes and the same
    resamples, and told apart by paired differences; beside that, they are ranked by values that
    several methods fit to the log, which sees where weights are blind.

    What may be relied on comes first.
    """
    if len(set(runs)) < len(runs):
        raise InputError(f"'{next(name for name in runs if runs.count(name) > 1)}' is named twice.", "Name it once.")
    if data is not None:
        return score(data, runs, scoring, aws, "--brief", "--rank", "--baseline", against)
    if useless := sorted(scoring.keys() - WITHOUT_DATA):
        raise click.UsageError(f"--{useless[0].replace('_', '-')} needs --data.")
    _tell([_read(name, aws) for name in runs], scoring)
    return 0


def _read(name: str, aws: bool) -> Run:
    from launcher.reports.evaluations import find_evaluation
    from launcher.reports.runs import files_of_folder, files_of_job, read_run

    path = Path(name).expanduser()
    if path.is_dir():
        return read_run(name, files_of_folder(path))
    if path.exists() or "/" in name:
        raise InputError(f"{name} is no job and no folder of checkpoints.", "A policy alone needs --data DATA.")
    job = find_job(name, aws)
    found = read_run(job.name, files_of_job(job))
    if (evaluated := find_evaluation(job)) is None:
        return found
    _, played = evaluated
    return replace(found, mean_return=played.mean_return, return_error=played.standard_error)


def _tell(runs: list[Run], scoring: dict[str, Any]) -> None:
    from launcher.reports.runs import remarks, sort_key

    runs = sorted(runs, key=sort_key)
    words = remarks(runs)
    report = {"runs": [asdict(run) | {"reliable": run.reliable} for run in runs], "remarks": words}
    if "output" in scoring:
        _write(scoring["output"], json.dumps(plain(report), indent=2, allow_nan=False) + "\n")
    if "plot" in scoring:
        from launcher.reports.forestplot import draw_runs

        draw_runs(runs, scoring["plot"])
        echo(f"Drew {scoring['plot']}", err=True)
    if "as_json" in scoring:
        Output(Form.JSON).json(report)
        return
    echo(LINE.format(**HEADING))
    for run in runs:
        echo(f"{run.name}: {run.preset or 'no preset'}, epoch {run.epoch} of {run.epochs}")
        echo(_line(run))
    echo()
    for sentence in _sentences(runs, words):
        for line in textwrap.wrap(sentence, WIDTH, subsequent_indent="  ", break_on_hyphens=False):
            echo(line)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


def _line(run: Run) -> str:
    figures = LINE.format(
        score=_shown(run.score),
        effective=number(run.score.effective, 0),
        final="" if run.final is None else _shown(run.final),
        rely="yes" if run.reliable else "no",
        simulator="" if run.mean_return is None else number(run.mean_return, 1),
    )
    return figures.rstrip()


def _shown(figure: Score) -> str:
    return with_interval(figure.value, figure.interval, ".4g", ".3g")


def _sentences(runs: Sequence[Run], words: Sequence[str]) -> Iterator[str]:
    """What the figures are, why some are not to be relied on, and how to read them."""
    alike: dict[str, list[str]] = {}
    for run in runs:
        what = f"{run.shown.metric or 'no score'}: {run.meaning or run.reason}"
        alike.setdefault(what, []).append(run.name)
    yield from (f"{', '.join(names)}: {what}." for what, names in alike.items())
    yield from (f"{run.name} is not to be relied on: {run.doubt}." for run in runs if run.doubt is not None)
    yield from words
