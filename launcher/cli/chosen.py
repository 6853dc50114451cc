"""The epoch that a training job calls best, as its checkpoints say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchrl.contract import jsontext
from launcher.base.product import TRAIN_SCRIPT
from launcher.jobs.training import program_of

if TYPE_CHECKING:
    from launcher.jobs.training import Job


def chosen_of(job: Job) -> dict[str, Any] | None:
    """The epoch that a training job calls best, so far; None for another job, and before the first epoch.

    Raises:
        DamagedContent: the checkpoints do not say it.
        Unreachable: the store does not answer.
    """
    from batchrl.contract.errors import DamagedContent
    from batchrl.contract.layout import BEST_NAME, S3Url
    from batchrl.contract.published import find_published

    if program_of(job) != TRAIN_SCRIPT:
        return None
    place = S3Url.parse(job.checkpoint_uri.rstrip("/"))
    with job.session.reported(f"reading the checkpoints of {job.name}", job.session.s3):
        try:
            if (content := find_published(job.session.s3, place, BEST_NAME)) is None:
                return None
            pointer: dict[str, Any] = jsontext.parsed(content)
            return {key: pointer[key] for key in ("epoch", "metric", "value", "reason")}
        except (ValueError, KeyError) as error:
            raise DamagedContent(f"{place / BEST_NAME} cannot be read: {error!r}.") from error
