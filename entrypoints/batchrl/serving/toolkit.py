"""The server's core behind the handlers of SageMaker's inference toolkit, for AWS's own PyTorch image.

There the toolkit listens, splits nothing, and calls ``model_fn`` once and then ``input_fn``, ``predict_fn`` and
``output_fn`` for each request. Formats, faults and environment variables are those of our own server.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batchrl.serving.invocation import Rejected, Service
from batchrl.serving.loading import load_service
from batchrl.serving.media import Media, UnknownMedia, of_answer, of_body
from batchrl.serving.parsing import Unreadable
from batchrl.serving.predictor import Predictions
from batchrl.serving.settings import ServingSettings


@dataclass(frozen=True)
class Incoming:
    """A request's body and what it is."""

    body: bytes
    media: Media


@dataclass(frozen=True)
class Outgoing:
    """What is answered to a request, not yet written.

    Args:
        service: which answers.
        media: what the request's body was.
        parts: the predictions for its records, in order.
    """

    service: Service
    media: Media
    parts: Sequence[Predictions]


def model_fn(model_dir: str) -> Service:
    """Load the model that lies in a folder."""
    return load_service(Path(model_dir), ServingSettings.from_environment(os.environ, cores=1)).service


def input_fn(body: bytes | bytearray | str, content_type: str) -> Incoming:
    """Take a body; the toolkit decodes JSON and CSV, and nothing else."""
    try:
        return Incoming(body.encode() if isinstance(body, str) else bytes(body), of_body(content_type))
    except UnknownMedia as error:
        raise _refusal(error.status, error.message) from error


def predict_fn(incoming: Incoming, service: Service) -> Outgoing:
    """Let the policy decide in every state."""
    try:
        return Outgoing(service, incoming.media, list(service.predicted(incoming.body, incoming.media)))
    except Unreadable as error:
        raise _refusal(400, str(error)) from error


def output_fn(outgoing: Outgoing, accept: str) -> tuple[bytes, str]:
    """Write the answer; returns its body and content type."""
    try:
        answer = outgoing.service.written(outgoing.parts, outgoing.media, of_answer(accept, outgoing.media))
    except UnknownMedia as error:
        raise _refusal(error.status, error.message) from error
    except Rejected as error:
        raise _refusal(400, error.message) from error
    return answer.body, answer.content_type


def _refusal(status: int, message: str) -> Exception:
    """The toolkit's own error with a status of HTTP, which only its image has."""
    try:
        from sagemaker_inference.errors import BaseInferenceToolkitError
    except ImportError:
        return ValueError(message)
    error: Exception = BaseInferenceToolkitError(status, message, "Bad Request")
    return error
