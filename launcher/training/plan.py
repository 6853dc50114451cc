"""What a job would be, before anything is sent: the exact request, and the files that it needs.

Making a plan sends nothing, starts nothing and writes only to the cache. The very object is submitted afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from batchrl.contract.layout import S3Url
from launcher.session.creation import Creation
from launcher.session.session import Session
from launcher.staging.datasets import Upload
from launcher.staging.package import Package
from launcher.staging.uploads import Sent, send

TRAINING_JOB = Creation("a job", "training_job", "TrainingJobName", ("HyperParameters", "RoleArn", "InputDataConfig"))


@dataclass(frozen=True)
class Plan:
    """A job that can be looked at and then submitted.

    Args:
        request: the CreateTrainingJob request.
        package: the code archive.
        code_url: where the archive goes.
        uploads: local inputs and where they go.
    """

    request: dict[str, Any]
    package: Package
    code_url: S3Url
    uploads: tuple[Upload, ...]

    @property
    def job_name(self) -> str:
        """Name of the training job."""
        return str(self.request["TrainingJobName"])

    @property
    def all_uploads(self) -> tuple[Upload, ...]:
        """The code archive and the inputs."""
        code = Upload(self.package.archive, self.code_url, self.code_url, self.package.size, self.package.sha256)
        return (code, *self.uploads)

    @property
    def size(self) -> int:
        """Bytes that travel when nothing of it is there yet."""
        return sum(upload.size for upload in self.all_uploads)

    def to_dict(self) -> dict[str, Any]:
        """The plan in JSON's types: the request as it will be sent, and each upload with size and sha256."""
        return {
            "request": self.request,
            "uploads": [upload.to_dict() for upload in self.all_uploads],
            "package": {
                "sha256": self.package.sha256,
                "size": self.package.size,
                "program": self.package.listing.program,
                "files": len(self.package.listing.files),
            },
        }

    def to_json(self) -> str:
        """``to_dict`` as text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)


def submit(plan: Plan, session: Session, on_bytes: Callable[[int], None] = lambda count: None) -> Sent:
    """Send the files, then the request; nothing is sent under a name that is taken.

    Args:
        plan: the job.
        session: the cloud.
        on_bytes: told the bytes of every part that was sent.

    Raises:
        InputError: the cloud refuses the request, or a job of this name exists.
        Unreachable: the cloud or its store does not answer.
    """
    TRAINING_JOB.check_free(session, plan.request)
    sent = send(session, plan.all_uploads, on_bytes)
    TRAINING_JOB.create(session, plan.request)
    return sent
