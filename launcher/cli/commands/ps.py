"""``batchrl ps``: the jobs and endpoints of a cloud."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from launcher.api.constants import ENDPOINT, PROCESSING, TRAINING, TUNING
from launcher.base.units import duration, size
from launcher.cli.finding import list_kinds, session_for
from launcher.cli.groups import make_command
from launcher.cli.options import aws_option, output_options
from launcher.cli.output import Column, Output
from launcher.jobs.kinds import KINDS, STATUSES, api_kind, looked_at, statuses_of

if TYPE_CHECKING:
    from launcher.jobs.training import JobSummary
    from launcher.session.session import Session

COLUMNS = (
    Column("name", "JOB"),
    Column("kind", "KIND"),
    Column("status", "STATUS"),
    Column("age", "AGE", right=True),
    Column("took", "TOOK", right=True),
    Column("size", "SIZE", right=True),
)
FACTS = ("name", "kind", "status", "created_at", "ended_at", "size_bytes")


@make_command("ps", examples=("batchrl ps", "batchrl ps --status Failed --json", "batchrl stop $(batchrl ps -q -n 1)"))
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    metavar="KIND",
    help=f"Only jobs of this kind, or endpoints: {', '.join(KINDS)}.",
)
@click.option(
    "--status",
    type=click.Choice(STATUSES, case_sensitive=False),
    metavar="STATE",
    help="Only those in this state, as Failed or InService.",
)
@click.option("--name", help="Only those whose name holds this text.")
@click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--sizes/--no-sizes", default=None, help="Sizes of results; on AWS they cost a listing a job.")
@aws_option
@output_options
def command(
    kind: str | None, status: str | None, name: str | None, limit: int, sizes: bool | None, aws: bool, out: Output
) -> None:
    """List jobs and endpoints, the newest first: kind, state, age, time taken, and the size of what they wrote."""
    session = session_for(aws)
    kinds = looked_at(kind, session.is_local)
    asked = tuple(each for each in kinds if status in (None, *statuses_of(each)))
    found = list_kinds(session, asked, status, name, limit + 1)
    summaries = found[:limit]
    wanted = session.is_local if sizes is None else sizes
    known = _sizes(session, summaries) if wanted else {}
    now = datetime.now(UTC)
    rows = [_row(summary, known.get((api_kind(summary.kind), summary.name)), now) for summary in summaries]
    out.rows(
        rows if out.for_people else [{fact: row[fact] for fact in FACTS} for row in rows],
        COLUMNS,
        "There are no jobs." if kind is None else f"There are no {kind}{' jobs' if kind != ENDPOINT else 's'}.",
    )
    if len(found) > limit:
        others = "" if kind else "; those of one kind: --kind training"
        out.note(f"These are the newest {limit}. More of them: -n {4 * limit}{others}")


def _row(summary: JobSummary, bytes_: int | None, now: datetime) -> dict[str, Any]:
    return {
        "name": summary.name,
        "kind": summary.kind,
        "status": summary.status,
        "created_at": summary.created_at,
        "ended_at": summary.ended_at,
        "size_bytes": bytes_,
        "age": duration((now - summary.created_at).total_seconds()),
        "took": duration(((summary.ended_at or now) - summary.created_at).total_seconds()),
        "size": size(bytes_),
    }


def _sizes(session: Session, summaries: list[JobSummary]) -> dict[tuple[str, str], int]:
    """Bytes of each job's results: by listing them on AWS, by looking at the disk here."""
    from launcher.cli.sizes import results_bytes
    from launcher.jobs.training import Job
    from launcher.jobs.transform import TransformJob
    from launcher.local.usage import local_bytes
    from launcher.session.session import LocalSession

    without = (ENDPOINT, TUNING)  # what a tuning job's training jobs wrote is theirs
    jobs = [(api_kind(summary.kind), summary.name) for summary in summaries if summary.kind not in without]
    if isinstance(session, LocalSession):
        return local_bytes(session.home, jobs)
    return {
        (kind, name): results_bytes((Job if kind == TRAINING else TransformJob)(name, session))
        for kind, name in jobs
        if kind != PROCESSING
    }
