"""How much a job wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchrl.contract.layout import S3Url

if TYPE_CHECKING:
    from launcher.jobs.training import Job
    from launcher.jobs.transform import TransformJob


def results_bytes(job: Job | TransformJob) -> int:
    """Bytes that a job wrote: below a training job's own prefix, checkpoints included; of a transform's outputs.

    Raises:
        InputError: there is no such job, or its bucket may not be listed.
        Unreachable: the store does not answer.
    """
    from batchrl.contract.store import list_objects
    from launcher.jobs.training import Job

    if not isinstance(job, Job):
        return sum(count for _, count in job.outputs())
    place = job.layout.job
    with job.session.reported(f"listing {place}", job.session.s3):
        return sum(count for _, count in list_objects(job.session.s3, S3Url(place.bucket, f"{place.key}/")))
