"""A model as it would be created, and its creation on first need.

A model is a few lines in the cloud's records: it names an archive and an image, and costs nothing. One that
``named_by_content`` named is made once however often it is asked for. Who removes it: deleting the training job that
it is made of (``batchrl rm JOB``), or ``Model.delete()``. The model of an endpoint bears the endpoint's name, belongs
to it alone, and goes with it (``batchrl rm ENDPOINT``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import botocore.exceptions

from batchrl.contract.errors import InputError
from batchrl.contract.inference import refuse_onnx
from batchrl.contract.layout import S3Url
from batchrl.contract.store import is_hidden, size_of
from launcher.api.model import is_named_by_content, is_same_model, name_base
from launcher.jobs.training import Job
from launcher.session.answers import known, says_taken
from launcher.session.creation import Creation
from launcher.session.session import Session
from launcher.staging.datasets import Upload
from launcher.staging.uploads import send

MODEL = Creation("a model", "model", "ModelName", ())
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class ModelPlan:
    """A model that can be looked at and then created.

    Args:
        request: the CreateModel request.
        uploads: the archive, where it is a file of this computer.
    """

    request: Mapping[str, Any]
    uploads: tuple[Upload, ...] = ()

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self.request["ModelName"])

    @property
    def image(self) -> str:
        """Container image that serves it."""
        return str(self.request["PrimaryContainer"]["Image"])

    @property
    def archive(self) -> S3Url | None:
        """Where the archive lies, or will."""
        url = self.request["PrimaryContainer"].get("ModelDataUrl")
        return S3Url.parse(url) if url else None

    def ensure(self, session: Session, on_bytes: Callable[[int], None] = lambda count: None) -> bool:
        """Have the model: create it, unless the very same is there.

        Args:
            session: the cloud.
            on_bytes: told the bytes of every part of the archive that was sent.

        Returns:
            Whether it had to be created.

        Raises:
            InputError: another model has the name, there is no archive, or the cloud refuses.
            Unreachable: cloud or store do not answer.
        """
        if self._is_there(session):
            return False
        send(session, self.uploads, on_bytes)
        if self.archive is not None and not self.uploads:
            require_archive(session, self.archive)
        with session.reported(f"creating the model {self.name}", session.sagemaker):
            try:
                session.sagemaker.create_model(**self.request)
            except botocore.exceptions.ClientError as error:
                # Somebody else may have made the same one at this moment.
                if not says_taken(error) or not self._is_there(session):
                    raise
                return False
        return True

    def _is_there(self, session: Session) -> bool:
        with session.reported(f"looking for a model {self.name}", session.sagemaker):
            found = MODEL.find(session, self.name)
        if found is not None and not is_same_model(found, self.request):
            raise InputError(
                f"a model named '{self.name}' exists already, with another archive, image or settings.",
                "Choose another name, or leave it out.",
            )
        return found is not None


class ServedModel(Protocol):
    """What transform jobs and endpoints need of a ``launcher.Model``, which describes each of these."""

    @property
    def name(self) -> str:
        """Its name, whether or not it has been created."""

    @property
    def base_name(self) -> str:
        """What the names of its jobs and endpoints begin with."""

    def session_for(self, instance_type: str) -> Session:
        """The cloud that serves it on a type of instance."""

    def plan(
        self, session: Session | None = None, name: str | None = None, env: Mapping[str, str] | None = None
    ) -> ModelPlan:
        """The model as it would be created; nothing is sent."""


def require_archive(session: Session, archive: S3Url) -> None:
    """Refuse a model archive that does not exist; one that may not be looked at is the server's affair.

    Raises:
        InputError: there is no such object.
        Unreachable: the store does not answer.
    """
    with session.reported(f"looking for {archive}", session.s3):
        if not exists(session, archive):
            raise InputError(f"there is no model archive {archive}.", "A training job leaves one: batchrl show JOB")


def exists(session: Session, url: S3Url) -> bool:
    """Whether an object exists, as far as the caller may know: an answer other than that it is missing counts."""
    try:
        return size_of(session.s3, url) is not None
    except botocore.exceptions.ClientError as error:
        if is_hidden(error):
            return True
        raise


def check_local_archive(path: Path) -> None:
    """Refuse a file that cannot be a ``model.tar.gz`` (contract 126), before it is sent.

    Raises:
        InputError: it does not exist, is a folder, or is no gzip file.
    """
    refuse_onnx(str(path))
    where = path.absolute()
    if path.is_dir():
        raise InputError(f"model: {where} is a folder.", "Give the model.tar.gz itself.")
    try:
        with path.open("rb") as file:
            magic = file.read(len(GZIP_MAGIC))
    except OSError as error:
        raise InputError(f"model: {where} cannot be read: {error.strerror}.") from error
    if magic != GZIP_MAGIC:
        raise InputError(f"model: {where} is no gzip archive.", "Give the model.tar.gz that a training job left.")


def archive_of(job: Job) -> S3Url:
    """The model archive of a training job.

    Raises:
        InputError: the job has not ended, has failed, or has left none.
        Unreachable: cloud or store do not answer.
    """
    state = job.status()
    if not state.ended:
        raise InputError(
            f"the job '{job.name}' has not ended ({state}), so that it has no model yet.", f"batchrl wait {job.name}"
        )
    if state.status == "Failed":
        reason = state.failure_reason or "no reason was given"
        raise InputError(f"the job '{job.name}' failed, so that it has no model: {reason}", f"batchrl logs {job.name}")
    archive = job.layout.model_archive
    with job.session.reported(f"looking for {archive}", job.session.s3):
        if not exists(job.session, archive):
            raise InputError(
                f"the job '{job.name}' has left no model: there is no {archive}.",
                "Training jobs leave one; evaluations and collections do not.",
            )
    return archive


def delete_models_of(job: Job) -> list[str]:
    """Delete the models that were made of a job's archive and named by their content; returns their names.

    Raises:
        InputError: the cloud refuses.
        Unreachable: the cloud does not answer.
    """
    client = job.session.sagemaker
    deleted = []
    with job.session.reported(f"deleting the models of {job.name}", client):
        pages = client.get_paginator("list_models").paginate(NameContains=name_base(job.name))
        for name in [entry["ModelName"] for page in pages for entry in page["Models"]]:
            if is_named_by_content(name, job.name) and _is_made_of(job, name):
                client.delete_model(ModelName=name)
                deleted.append(name)
    return deleted


def _is_made_of(job: Job, model_name: str) -> bool:
    model = known(job.session.sagemaker.describe_model, ModelName=model_name) or {}
    return bool((model.get("PrimaryContainer") or {}).get("ModelDataUrl") == job.model_uri)
