"""``batchrl ps``: the jobs of a cloud."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.groups import make_command
from launcher.cli.jobs import session_for
from launcher.cli.options import aws_option, output_options
from launcher.cli.output import Column, Output, duration, size

if TYPE_CHECKING:
    from launcher.job import JobSummary
    from launcher.session import Session

STATUSES = ("InProgress", "Completed", "Failed", "Stopping", "Stopped")
COLUMNS = (
    Column("name", "JOB"),
    Column("status", "STATUS"),
    Column("age", "AGE", right=True),
    Column("took", "TOOK", right=True),
    Column("size", "SIZE", right=True),
)


@make_command("ps", examples=("batchrl ps", "batchrl ps --status Failed --json", "batchrl stop $(batchrl ps -q -n 1)"))
@click.option("--status", type=click.Choice(STATUSES, case_sensitive=False), help="Only jobs in this state.")
@click.option("--name", help="Only jobs whose name holds this text.")
@click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--sizes/--no-sizes", default=None, help="Sizes of results; on AWS they cost a listing a job.")
@aws_option
@output_options
def command(status: str | None, name: str | None, limit: int, sizes: bool | None, aws: bool, out: Output) -> None:
    """List jobs, the newest first: state, age, time taken, and the size of what they wrote."""
    from launcher.job import list_jobs

    session = session_for(aws)
    summaries = list_jobs(session, status, name, limit)
    wanted = session.is_local if sizes is None else sizes
    known = _sizes(session, summaries) if wanted else {}
    rows = [_row(summary, known.get(summary.name), datetime.now(UTC)) for summary in summaries]
    out.rows(rows if out.for_people else [_facts(row) for row in rows], COLUMNS, "There are no jobs.")


def _row(summary: JobSummary, bytes_: int | None, now: datetime) -> dict[str, Any]:
    return {
        "name": summary.name,
        "status": summary.status,
        "created_at": summary.created_at,
        "ended_at": summary.ended_at,
        "size_bytes": bytes_,
        "age": duration((now - summary.created_at).total_seconds()),
        "took": duration(((summary.ended_at or now) - summary.created_at).total_seconds()),
        "size": size(bytes_),
    }


def _facts(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("name", "status", "created_at", "ended_at", "size_bytes")}


def _sizes(session: Session, summaries: list[JobSummary]) -> dict[str, int]:
    """Bytes of each job's results: by listing them on AWS, by looking at the disk here."""
    from launcher.cli.sizes import local_bytes, results_bytes
    from launcher.job import Job
    from launcher.session import LocalSession

    if isinstance(session, LocalSession):
        return local_bytes(session, [summary.name for summary in summaries])
    return {summary.name: results_bytes(Job(summary.name, session)) for summary in summaries}
