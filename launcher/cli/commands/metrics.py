"""``batchrl metrics``: off-policy estimates, epoch by epoch."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from launcher.cli.groups import make_command
from launcher.cli.jobs import find_job
from launcher.cli.options import aws_option, job_argument, output_options
from launcher.cli.output import Column, Form, Output

if TYPE_CHECKING:
    import pandas as pd

    from launcher.job import Job

LOCAL_POLL_S = 0.5
AWS_POLL_S = 5.0
LOSS = "Loss/Mean"
TABLE = (
    Column("epoch", "EPOCH", right=True),
    Column("loss", "LOSS", right=True),
    Column("wis", "WIS [95 %]", right=True),
    Column("sdr", "SDR [95 %]", right=True),
    Column("ess", "ESS", right=True),
)
LINE = "{epoch:>5}  {loss:>8}  {wis:>20}  {sdr:>20}  {ess:>6}"


@make_command(
    "metrics", examples=("batchrl metrics", "batchrl metrics -f", "batchrl metrics my-job --csv > metrics.csv")
)
@job_argument()
@click.option("-f", "--follow", is_flag=True, help="Go on as epochs end, until the job does.")
@click.option("--csv", "as_csv", is_flag=True, help="Write every column as CSV.")
@aws_option
@output_options
def command(job: str | None, follow: bool, as_csv: bool, aws: bool, out: Output) -> None:
    """Show the off-policy estimates of a job after each epoch, by default the newest job's.

    WIS and SDR estimate the discounted return of the policy that is trained, from logged episodes
    that it was not trained on, with 95 % intervals. ESS is the number of episodes that truly speak
    for it: where it is small, the estimates say little.
    """
    if as_csv and out.form is not Form.HUMAN:
        raise click.UsageError("--csv, --json and --quiet exclude each other.")
    found = find_job(job, aws)
    frames = follow_frames(found) if follow else iter((found.metrics().frame,))
    if as_csv:
        _write_csv(frames)
    elif out.form is Form.JSON and follow:
        for row in new_rows(frames):
            click.echo(json.dumps(row))
    elif out.for_people:
        _write_table(frames)
    else:
        out.rows([row for frame in frames for row in records(frame)], (Column(columns.EPOCH, "EPOCH"),), "")


def follow_frames(job: Job) -> Iterator[pd.DataFrame]:
    """The table of estimates, whenever it may have grown, until the job has ended; the last one is complete.

    Raises:
        InputError: the job ended without any estimate.
    """
    pause = LOCAL_POLL_S if job.session.is_local else AWS_POLL_S
    while True:
        # The state is asked for first: what is written before the end is then read after it.
        ended = job.status().ended
        try:
            yield job.metrics().frame
        except InputError:
            if ended:
                raise
        if ended:
            return
        time.sleep(pause)


def new_rows(frames: Iterator[pd.DataFrame]) -> Iterator[dict[str, Any]]:
    """Each epoch's row once, as soon as it is there."""
    known = 0
    for frame in frames:
        yield from records(frame.iloc[known:])
        known = max(known, len(frame))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows in JSON's types; what is undefined is None."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records"))
    return rows


def shown_row(row: dict[str, Any]) -> dict[str, str]:
    """One epoch as people read it."""
    return {
        "epoch": f"{row[columns.EPOCH]:g}",
        "loss": _number(row.get(LOSS), 4),
        "wis": interval(row, columns.WIS),
        "sdr": interval(row, columns.SDR),
        "ess": _number(row.get(columns.WIS_ESS), 1),
    }


def interval(row: dict[str, Any], estimate: str) -> str:
    """``19.3 [17.2, 21.5]``; without brackets where no interval was computed."""
    ends = [row.get(columns.lower(estimate)), row.get(columns.upper(estimate))]
    value = _number(row.get(estimate), 2)
    return value if None in ends else f"{value} [{_number(ends[0], 2)}, {_number(ends[1], 2)}]"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _write_csv(frames: Iterator[pd.DataFrame]) -> None:
    known = 0
    for frame in frames:
        click.echo(frame.iloc[known:].to_csv(index=False, header=known == 0), nl=False)
        known = max(known, len(frame))


def _write_table(frames: Iterator[pd.DataFrame]) -> None:
    """Lines of fixed widths: a table that grows cannot be measured beforehand."""
    click.echo(LINE.format(**{column.key: column.title for column in TABLE}))
    for row in new_rows(frames):
        click.echo(LINE.format(**shown_row(row)))
