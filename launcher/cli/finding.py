"""Finding what a command is about by its name: a training job, a transform job or an endpoint."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from batchrl.contract.errors import InputError
from launcher.api.constants import ENDPOINT, PROCESSING, TRAINING, TRANSFORM, TUNING
from launcher.jobs.kinds import EVALUATION, JOBS, api_kind, kind_in, looked_at

if TYPE_CHECKING:
    from launcher.jobs.handle import Handle
    from launcher.jobs.listing import JobSummary
    from launcher.jobs.training import Job
    from launcher.session.session import Session


def find_handle(name: str | None, aws: bool = False, kind: str | None = None) -> Handle:
    """What bears a name, or the newest job.

    Args:
        name: None for the newest.
        aws: whether it is on Amazon SageMaker.
        kind: what it is; None for any, and where none is named for any job.

    Raises:
        InputError: there is none, or several kinds bear the name; the hint names the nearest, or what tells them apart.
        Unreachable: the cloud does not answer.
    """
    from launcher.jobs.handles import handle_of

    session = session_for(aws)
    if name is None:
        newest = list_kinds(session, (kind,) if kind else JOBS, limit=1)
        if not newest:
            raise InputError(f"there are no {_plural(kind)} yet.", _START[kind or TRAINING])
        return handle_of(newest[0].kind, newest[0].name, session)
    kinds = dict.fromkeys(map(api_kind, looked_at(kind, session.is_local)))
    candidates = [handle_of(each, name, session) for each in kinds]
    found = [(handle, answer) for handle in candidates if (answer := handle.find()) is not None]
    if len(found) == 1:
        handle, answer = found[0]
        is_kind = kind_in(answer) if handle.kind == TRAINING else handle.kind
        if kind in (None, is_kind):
            return handle
        raise InputError(f"'{name}' is of kind {is_kind}, and not {kind}.")
    if found:
        named = [handle for handle, _ in found]
        nouns = " and ".join(f"a {handle.noun}" if handle.kind != ENDPOINT else "an endpoint" for handle in named)
        raise InputError(f"{nouns} are named '{name}'.", f"Say which one: --kind {named[-1].kind}")
    raise _unknown(name, kind, session)


def list_kinds(
    session: Session,
    kinds: tuple[str, ...],
    status: str | None = None,
    name_contains: str | None = None,
    limit: int = 100,
) -> list[JobSummary]:
    """The newest of several kinds, the newest first; arguments and errors as ``launcher.list_jobs``."""
    from launcher.jobs.handles import LISTINGS
    from launcher.jobs.training import list_by_script

    others = [LISTINGS[kind] for kind in kinds if api_kind(kind) != TRAINING]
    found = [summary for listing in others for summary in listing.newest(session, status, name_contains, limit)]
    if scripts := tuple(kind for kind in kinds if api_kind(kind) == TRAINING):
        found += list_by_script(session, scripts, status, name_contains, limit)
    return sorted(found, key=lambda summary: summary.created_at, reverse=True)[:limit]


_START = {
    TRAINING: "Start one: batchrl demo, or batchrl train --training DATA",
    EVALUATION: "Start one: batchrl evaluate",
    TRANSFORM: "Start one: batchrl transform DATA",
    PROCESSING: "Start one by CreateProcessingJob: docs/local-cloud.md shows how.",
    TUNING: "Start one: batchrl tune DATA --set KEY=A,B",
    ENDPOINT: "Start one: batchrl deploy JOB",
}


def _plural(kind: str | None) -> str:
    return "jobs" if kind is None else "endpoints" if kind == ENDPOINT else f"{kind} jobs"


def _unknown(name: str, kind: str | None, session: Session) -> InputError:
    from launcher.jobs.handle import where

    what = "job or endpoint" if kind is None else kind if kind == ENDPOINT else f"{kind} job"
    names = [summary.name for summary in list_kinds(session, looked_at(kind, session.is_local))]
    nearest = difflib.get_close_matches(name, names, 1)
    hint = f"Did you mean '{nearest[0]}'?" if nearest else "List them: batchrl ps"
    return InputError(f"there is no {what} named '{name}' {where(session)}.", hint)


def session_for(aws: bool) -> Session:
    """The cloud that ``--aws`` or its absence names; nothing is started or asked yet."""
    from launcher.session.session import Session

    return Session.aws() if aws else Session.local()


def find_job(name: str | None, aws: bool = False, with_estimates: bool = False) -> Job:
    """The job of a name, or the newest one.

    Args:
        name: None for the newest.
        aws: whether it is on Amazon SageMaker.
        with_estimates: whether an evaluation, which has none, is passed over in looking for the newest.

    Raises:
        InputError: there is no such job, or none at all; the hint names the nearest.
        Unreachable: the cloud does not answer.
    """
    from launcher.jobs.training import Job, list_by_script, list_jobs

    session = session_for(aws)
    if name is None:
        wanted = (TRAINING,) if with_estimates else (TRAINING, EVALUATION)
        for summary in list_by_script(session, wanted, None, None, limit=1):
            return Job(summary.name, session)
        kind = "training jobs" if with_estimates else "jobs"
        raise InputError(f"there are no {kind} yet.", "Start one: batchrl demo, or batchrl train --training DATA")
    try:
        return Job.attach(name, session)
    except InputError as error:
        names = [summary.name for summary in list_jobs(session)]
        nearest = difflib.get_close_matches(name, names, 1)
        if name in names or not nearest:
            raise
        raise InputError(error.message, f"Did you mean '{nearest[0]}'?") from error
