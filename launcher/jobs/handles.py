"""Every kind of what runs: its handle, and how the API lists it."""

from __future__ import annotations

from collections.abc import Mapping

from launcher.api.constants import ENDPOINT, PROCESSING, TRAINING, TRANSFORM, TUNING
from launcher.jobs import endpoint, processing, training, transform, tuning
from launcher.jobs.handle import Handle
from launcher.jobs.kinds import api_kind
from launcher.jobs.listing import Listing
from launcher.session.session import Session

HANDLES: Mapping[str, type[Handle]] = {
    TRAINING: training.Job,
    TRANSFORM: transform.TransformJob,
    PROCESSING: processing.ProcessingJob,
    TUNING: tuning.TuningJob,
    ENDPOINT: endpoint.Endpoint,
}
LISTINGS: Mapping[str, Listing] = {
    one.LISTING.kind: one.LISTING for one in (training, transform, processing, tuning, endpoint)
}


def handle_of(kind: str, name: str, session: Session) -> Handle:
    """A handle of a kind, one of ``launcher.jobs.kinds.KINDS``; nothing is asked."""
    return HANDLES[api_kind(kind)](name, session)
