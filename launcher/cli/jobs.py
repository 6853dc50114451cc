"""Finding the job that a command is about."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from batchrl.contract.errors import InputError
from batchrl.contract.hyperparameters import PROGRAM, decode_value

if TYPE_CHECKING:
    from launcher.jobs.training import Job
    from launcher.session.session import Session


TRAIN_SCRIPT = "train.py"
EVALUATE_SCRIPT = "evaluate.py"
# How far back the newest job of a kind is looked for.
LOOKED_AT = 50


def program_of(job: Job) -> object:
    """The script that a job runs, None where its request names none."""
    return decode_value(job.describe().get("HyperParameters", {}).get(PROGRAM, "null"))


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
    from launcher.jobs.training import Job, list_jobs

    session = session_for(aws)
    if name is None:
        for summary in list_jobs(session, limit=LOOKED_AT if with_estimates else 1):
            job = Job(summary.name, session)
            if not with_estimates or program_of(job) != EVALUATE_SCRIPT:
                return job
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
