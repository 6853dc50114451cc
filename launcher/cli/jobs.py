"""Finding the job that a command is about."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from batchrl.contract.errors import InputError

if TYPE_CHECKING:
    from launcher.job import Job
    from launcher.session import Session


def session_for(aws: bool) -> Session:
    """The cloud that ``--aws`` or its absence names; nothing is started or asked yet."""
    from launcher.session import Session

    return Session.aws() if aws else Session.local()


def find_job(name: str | None, aws: bool = False) -> Job:
    """The job of a name, or the newest one.

    Raises:
        InputError: there is no such job, or none at all; the hint names the nearest.
        Unreachable: the cloud does not answer.
    """
    from launcher.job import Job, list_jobs

    session = session_for(aws)
    if name is None:
        newest = list_jobs(session, limit=1)
        if not newest:
            raise InputError("there are no jobs yet.", "Start one: batchrl demo, or batchrl train --training DATA")
        return Job(newest[0].name, session)
    try:
        return Job.attach(name, session)
    except InputError as error:
        names = [summary.name for summary in list_jobs(session)]
        nearest = difflib.get_close_matches(name, names, 1)
        if name in names or not nearest:
            raise
        raise InputError(error.message, f"Did you mean '{nearest[0]}'?") from error
