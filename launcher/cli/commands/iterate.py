"""``batchrl iterate``: the closed loop, begun, gone on with, or looked at."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from batchrl.contract.errors import InputError
from launcher.api.joboptions import JobOptions
from launcher.cli.groups import make_command
from launcher.cli.joboptions import job_options
from launcher.cli.options import output_options
from launcher.cli.output import Column, Output

if TYPE_CHECKING:
    from launcher.iterate.report import LoopReport

COLUMNS = (
    Column("round", "ROUND", right=True),
    Column("in_place", "INCUMBENT"),
    Column("returned", "RETURN +- S.E.", right=True),
    Column("difference", "DIFFERENCE", right=True),
    Column("outcome", "DECISION"),
    Column("evaluated", "EVALUATED", right=True),
)


ROUNDS = 3
FOLDER = Path("batchrl-iterate")
# Options that go with looking at a loop.
LOOKING = frozenset({"shown", "as_json", "quiet"})
# Options that do not say what the loop is.
BESIDE = LOOKING | {"rounds", "folder"}


@make_command(
    "iterate",
    examples=(
        "batchrl iterate --rounds 4",
        "batchrl iterate --preset mail-iterate --rounds 3 \\",
        "    --set gate.undecided=keep",
        "batchrl iterate --data logged.csv --output my-loop",
        "batchrl iterate --output my-loop --rounds 6",
        "batchrl iterate --show my-loop",
    ),
)
@click.option("--rounds", type=click.IntRange(1, 999), help=f"How many in all; by default {ROUNDS}, or as before.")
@job_options(with_script=False)
@click.option("--data", metavar="DATA", help="Logged episodes for the first round, instead of playing them.")
@click.option("--name", help="What its jobs' names begin with; by default its preset's.")
@click.option(
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    show_default=True,
    help="Folder of the loop; one that is there goes on.",
)
@click.option(
    "--show", "shown", type=click.Path(path_type=Path, file_okay=False), help="Only look at the loop in a folder."
)
@output_options
@click.pass_context
def command(
    ctx: click.Context,
    rounds: int | None,
    job: JobOptions,
    data: str | None,
    name: str | None,
    folder: Path,
    shown: Path | None,
    out: Output,
) -> None:
    """Run rounds of: collect with the incumbent policy, train, gate, evaluate.

    A candidate takes the place of the incumbent policy if the gate is sure, from episodes that no training saw, that it
    is better. Everything is kept in the folder. A loop that was interrupted or killed goes on where it was: give the
    same command again, or --output alone.
    """
    from launcher.iterate.report import LoopReport
    from launcher.iterate.running import go_on
    from launcher.iterate.state import LoopFolder

    given = {option for option in ctx.params if ctx.get_parameter_source(option) is ParameterSource.COMMANDLINE}
    if shown is not None:
        _check_alone(ctx, given - LOOKING)
        tell(LoopReport.of(LoopFolder(shown)), out)
        return
    say = out.text if out.for_people else out.note
    # Whoever ends the loop by a signal wants it to end as by Ctrl-C: jobs stopped, nothing half written.
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        go_on(LoopFolder(folder), job, data, name, rounds, ROUNDS, given - BESIDE, say)
    finally:
        signal.signal(signal.SIGTERM, before)
    if out.for_people:
        out.text()
    tell(LoopReport.of(LoopFolder(folder)), out)


def tell(report: LoopReport, out: Output) -> None:
    """Show a loop."""
    from launcher.iterate.report import notes

    if not out.for_people:
        out.record(report.to_json(), "name")
        return
    out.rows(report.rows(), COLUMNS, "No round is done yet.")
    for note in notes(report.rounds):
        out.text(note)
    out.text()
    for line in report.lines():
        out.text(line)


def _check_alone(ctx: click.Context, others: set[str]) -> None:
    """Refuse options that looking at a loop would do nothing with."""
    names = [parameter.opts[0] for parameter in ctx.command.params if parameter.name in others]
    if names:
        raise InputError(
            f"--show only looks at a loop, and {', '.join(names)} would change nothing.",
            "Leave it out; or go on with the loop: batchrl iterate --output FOLDER",
        )


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
