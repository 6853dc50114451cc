"""The page of a data set, as the training jobs that learnt from it tell it."""

from __future__ import annotations

from typing import Any

from batchrl.contract.errors import DamagedContent
from launcher.console.joblist import USERS_AMONG, Scripts, users_of
from launcher.console.pages import Page
from launcher.console.remembered import Reports
from launcher.documents.model import Document
from launcher.jobs.training import Job
from launcher.reporting.lineage import channels
from launcher.session.session import Session

SECTIONS = ("log", "doubts", "untried")


def data_page(session: Session, name: str, reports: Reports, scripts: Scripts) -> Page | None:
    """The data of a training job: what was logged and by whom, what is wrong with it, and who else learnt from it.

    Args:
        session: the cloud.
        name: of the job.
        reports: those that were made.
        scripts: what is known of jobs.

    Raises:
        InputError: it may not be looked at.
        Unreachable: the cloud does not answer.
    """
    job = Job(name, session)
    answer = job.find()
    if answer is None:
        return None
    places = channels(answer)
    document, fault = _document(job, answer, reports)
    values = {
        "name": name,
        "places": places,
        "sections": [] if document is None else [one for one in document.sections if one.name in SECTIONS],
        "fault": fault,
        "users": users_of(session, frozenset(places.values()), scripts),
        "among": USERS_AMONG,
    }
    return Page(f"Data of {name}", "data.html.j2", values)


def _document(job: Job, answer: dict[str, Any], reports: Reports) -> tuple[Document | None, str]:
    try:
        return reports.of(job, answer), ""
    except DamagedContent as error:
        return None, str(error)
