"""What a transform job would be, before anything is sent: the exact requests, and the files that it needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import botocore.exceptions

from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3Url
from launcher.local import preflight
from launcher.serving.modelplan import ModelPlan
from launcher.session.answers import is_denied, known
from launcher.session.creation import Creation
from launcher.session.session import LocalSession, Session
from launcher.staging.datasets import Upload
from launcher.staging.uploads import send

TRANSFORM_JOB = Creation(
    "a transform job", "transform_job", "TransformJobName", ("ModelName", "TransformInput", "TransformOutput")
)


@dataclass(frozen=True)
class TransformPlan:
    """A transform job that can be looked at and then submitted.

    Args:
        request: the CreateTransformJob request.
        uploads: the inputs, where they are files of this computer.
        model: the model, where it may have to be created; None for one that is named and exists.
    """

    request: dict[str, Any]
    uploads: tuple[Upload, ...] = ()
    model: ModelPlan | None = None

    @property
    def job_name(self) -> str:
        """Name of the transform job."""
        return str(self.request["TransformJobName"])

    @property
    def all_uploads(self) -> tuple[Upload, ...]:
        """The model archive and the inputs."""
        return (*(self.model.uploads if self.model else ()), *self.uploads)

    @property
    def size(self) -> int:
        """Bytes that travel when nothing of it is there yet."""
        return sum(upload.size for upload in self.all_uploads)

    def to_dict(self) -> dict[str, Any]:
        """The plan in JSON's types: the requests as they will be sent, and each upload with size and sha256."""
        return {
            "model": dict(self.model.request) if self.model else None,
            "request": self.request,
            "uploads": [upload.to_dict() for upload in self.all_uploads],
        }

    def to_json(self) -> str:
        """``to_dict`` as text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def submit(self, session: Session, on_bytes: Callable[[int], None] = lambda count: None) -> None:
        """Have the model, send the files, then the request; nothing is sent under a name that is taken.

        Args:
            session: the cloud.
            on_bytes: told the bytes of every part that was sent.

        Raises:
            InputError: the cloud refuses, a transform job of this name exists, or there is no such model.
            Unreachable: the cloud or its store does not answer.
        """
        image = self.model.image if self.model else _image_of(session, self.request["ModelName"])
        if session.is_local and image is not None:
            preflight.check_instance(self.request["TransformResources"]["InstanceType"], image, session.home)
        if isinstance(session, LocalSession):
            preflight.check_space(self.size, session.home)
        TRANSFORM_JOB.check_free(session, self.request)
        if self.model is not None:
            self.model.ensure(session, on_bytes)
        send(session, self.uploads, on_bytes)
        session.provide_bucket(S3Url.parse(self.request["TransformOutput"]["S3OutputPath"]).bucket)
        TRANSFORM_JOB.create(session, self.request)


def _image_of(session: Session, model_name: str) -> str | None:
    """The image of a model that exists; None where it may not be looked at.

    Raises:
        InputError: there is no such model.
    """
    with session.reported(f"looking for a model {model_name}", session.sagemaker):
        try:
            model = known(session.sagemaker.describe_model, ModelName=model_name)
        except botocore.exceptions.ClientError as error:
            if is_denied(error):
                return None
            raise
    if model is None:
        raise InputError(
            f"there is no model named '{model_name}'.", "Give launcher.Model(model_data), or estimator.transformer()."
        )
    image: str | None = (model.get("PrimaryContainer") or {}).get("Image")
    return image
