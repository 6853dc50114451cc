"""``batchrl metrics``: off-policy estimates, epoch by epoch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from batchrl.contract import columns
from launcher.cli.estimates import HEADING, chosen_line, follow_frames, new_rows, records, shown_row
from launcher.cli.finding import find_job
from launcher.cli.groups import make_command
from launcher.cli.options import aws_option, job_argument, output_options
from launcher.cli.output import Column, Form, Output, echo

if TYPE_CHECKING:
    import pandas as pd


@make_command(
    "metrics", examples=("batchrl metrics", "batchrl metrics -f", "batchrl metrics my-job --csv > metrics.csv")
)
@job_argument()
@click.option("-f", "--follow", is_flag=True, help="Go on as epochs end, until the job does.")
@click.option("--csv", "as_csv", is_flag=True, help="Write every column as CSV.")
@aws_option
@output_options
def command(job: str | None, follow: bool, as_csv: bool, aws: bool, out: Output) -> None:
    """Show the off-policy estimates of a job after each epoch, by default the newest
    training job's.

    WIS and SDR estimate the discounted return of the policy that is trained, from logged episodes
    that it was not trained on, with 95 % intervals. ESS is the number of episodes that truly speak
    for it: where it is small, the estimates say little.
    """
    if as_csv and out.form is not Form.HUMAN:
        raise click.UsageError("--csv, --json and --quiet exclude each other.")
    found = find_job(job, aws, with_estimates=True)
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


def _write_csv(frames: Iterator[pd.DataFrame]) -> None:
    known = 0
    for frame in frames:
        click.echo(frame.iloc[known:].to_csv(index=False, header=known == 0), nl=False)
        known = max(known, len(frame))


def _write_table(frames: Iterator[pd.DataFrame]) -> None:
    echo(HEADING)
    row: dict[str, Any] = {}
    for row in new_rows(frames):
        echo(shown_row(row))
    if (chosen := chosen_line(row)) is not None:
        echo(chosen)
