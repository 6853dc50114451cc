"""``Predictor``: asks an endpoint what to do in some states, on either cloud."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import botocore.exceptions

from batchrl.contract import jsontext
from batchrl.contract.errors import BatchRLError, InputError, JobFailed, Unreachable
from launcher.api import arguments
from launcher.api.arguments import Vocabulary
from launcher.api.constants import JSON_LINES
from launcher.base.notices import say
from launcher.jobs.endpoint import IN_SERVICE, Endpoint, Removed
from launcher.jobs.handle import where
from launcher.serving.prediction import AnswerLine, Prediction, check, read_lines
from launcher.serving.rows import as_lines, bodies
from launcher.session.answers import is_unknown
from launcher.session.session import session_from

MODEL_ERROR = "ModelError"
INVALID = "ValidationError"
NOT_READY = "ModelNotReadyException"

_STATES = "predict() takes states as lists, arrays or frames"
VOCABULARY = Vocabulary(
    "Predictor",
    renamed={"sagemaker_session": "session"},
    ignored={"serializer": _STATES, "deserializer": "predict() gives a launcher.Prediction"},
)


class ModelFailed(JobFailed):
    """The model server of an endpoint failed on a request."""


class Predictor:
    """An endpoint to ask.

    Args:
        endpoint_name: its name.
        session: the cloud: ours or a boto3 session; None for the local one.
        others: names of SageMaker's SDK, which are understood or answered.
    """

    def __init__(self, endpoint_name: str, session: object = None, **others: Any) -> None:
        values, notices = arguments.settle(others, ("endpoint_name", "session"), VOCABULARY)
        for notice in notices:
            say(notice)
        self.endpoint_name = endpoint_name
        self.session = session_from(session or values.get("session"))

    def __repr__(self) -> str:
        return f"Predictor({self.endpoint_name!r})"

    def predict(self, states: Any, errors: str = "raise") -> Prediction:
        """What the policy does in some states.

        States go as JSON Lines, in as many requests as the limit of 6 MB (contract 182) demands.

        Args:
            states: rows of ``d`` numbers: lists, an array ``[N, d]``, a frame with ``d`` columns; or a list of records
                of the log's columns, as ``{"age": 41, "plan": "gold"}``; or one state alone.
            errors: ``raise`` for an error about the first state that the model cannot take, ``keep`` to have it in
                ``Prediction.errors``.

        Raises:
            InputError: a row is wrong, or there is no such endpoint.
            ModelFailed: the model server failed.
            DamagedContent: an answer is not what a model server of ours answers.
            Unreachable: the cloud does not answer.
        """
        if errors not in ("raise", "keep"):
            raise InputError(f"errors '{errors}' is unknown.", "It may be 'raise' or 'keep'.")
        answers: list[AnswerLine] = []
        for line in self.predict_lines(as_lines(states)):
            answer = check(line, len(answers) + 1, self._source)
            if answer.error is not None and errors == "raise":
                raise InputError(f"row {len(answers) + 1}: {_without_line(answer.error)}")
            answers.append(answer)
        return Prediction.of(answers)

    def predict_lines(self, lines: Sequence[bytes]) -> list[dict[str, Any]]:
        """The answers to lines of JSON, one object each, as they came.

        Args:
            lines: a state each, as a list or as ``{"features": [...]}``.

        Raises:
            As ``predict``; a line that the model cannot take is no fault: its object holds ``error`` and ``line``.
        """
        found: list[dict[str, Any]] = []
        for body in bodies(lines):
            content = self._invoke(body.content, JSON_LINES, JSON_LINES, body.first)
            for index, answer in enumerate(read_lines(content, body.rows, body.first, self._source), body.first):
                found.append(_counted(answer, index + 1) if "error" in answer else answer)
        return found

    def invoke(self, body: bytes | str, content_type: str = JSON_LINES, accept: str | None = None) -> bytes:
        """One request as it is, and the body of its answer.

        Args:
            body: at most 6 MB (contract 182).
            content_type: MIME type of it.
            accept: MIME type of the answer; None for the model server's choice.

        Raises:
            InputError: there is no such endpoint, or the model server refuses the body.
            ModelFailed: the model server failed.
            Unreachable: the cloud does not answer.
        """
        return self._invoke(body.encode() if isinstance(body, str) else body, content_type, accept, 0)

    def describe(self) -> dict[str, Any]:
        """The answer of DescribeEndpoint."""
        return Endpoint(self.endpoint_name, self.session).describe()

    def delete_endpoint(self, delete_endpoint_config: bool = True) -> None:
        """Delete the endpoint.

        Args:
            delete_endpoint_config: whether its configuration goes as well.
        """
        client = self.session.sagemaker
        config = self.describe()["EndpointConfigName"]
        with self.session.reported(f"deleting the endpoint {self.endpoint_name}", client):
            client.delete_endpoint(EndpointName=self.endpoint_name)
            if delete_endpoint_config:
                client.delete_endpoint_config(EndpointConfigName=config)

    def delete_model(self) -> None:
        """Delete the models that the endpoint serves; before ``delete_endpoint``, which forgets them."""
        client = self.session.sagemaker
        for name in Endpoint(self.endpoint_name, self.session).model_names():
            with self.session.reported(f"deleting the model {name}", client):
                client.delete_model(ModelName=name)

    def delete(self) -> Removed:
        """Delete the endpoint with its configuration and its models; see ``Endpoint.delete``."""
        return Endpoint(self.endpoint_name, self.session).delete()

    @property
    def _source(self) -> str:
        return f"the endpoint '{self.endpoint_name}'"

    def _invoke(self, body: bytes, content_type: str, accept: str | None, first: int) -> bytes:
        client = self.session.runtime
        chosen = {"Accept": accept} if accept else {}
        with self.session.reported(f"asking {self._source}", client):
            try:
                answer = client.invoke_endpoint(
                    EndpointName=self.endpoint_name, Body=body, ContentType=content_type, **chosen
                )
                content: bytes = answer["Body"].read()
            except botocore.exceptions.ClientError as error:
                if (known := self._as_known(error, first)) is None:
                    raise
                raise known from error
        return content

    def _as_known(self, error: botocore.exceptions.ClientError, first: int) -> BatchRLError | None:
        """What an answer other than 200 means to a user; None where it is like any other operation's."""
        response: dict[str, Any] = dict(error.response)
        if is_unknown(error):
            return InputError(
                f"there is no endpoint named '{self.endpoint_name}' {where(self.session)}.",
                "List them: batchrl ps --kind endpoint",
            )
        code = response["Error"].get("Code")
        if code == NOT_READY:
            return Unreachable(f"{self._source} is not ready: {response['Error'].get('Message')}", "Try again soon.")
        if code == INVALID:
            return self._not_in_service()
        if code != MODEL_ERROR:
            return None
        status = int(response.get("OriginalStatusCode") or 0)
        text = str(response.get("OriginalMessage") or response["Error"].get("Message") or "")
        if 400 <= status < 500:
            return InputError(f"{self._source} refuses the request with {status}: {_refusal(text, first)}")
        return ModelFailed(
            f"the model server of {self._source} answered {status}: {text}",
            f"See what it says: batchrl logs {self.endpoint_name}",
        )

    def _not_in_service(self) -> BatchRLError | None:
        """Why an endpoint cannot be asked; None where it can, so that the request itself was wrong."""
        found = Endpoint(self.endpoint_name, self.session).find()
        if found is None or found["EndpointStatus"] == IN_SERVICE:
            return None
        reason = found.get("FailureReason")
        return InputError(
            f"{self._source} is {found['EndpointStatus']}, not in service" + (f": {reason}" if reason else "."),
            f"See: batchrl doctor {self.endpoint_name}",
        )


def _refusal(text: str, first: int) -> str:
    """What our model server says about a body, with the row that it means; any other server's text as it is."""
    try:
        said = jsontext.parsed(text)
        message, line = str(said["error"]), said.get("line")
    except (ValueError, KeyError, TypeError, AttributeError):
        return text
    return f"row {first + line}: {_without_line(message)}" if isinstance(line, int) else message


def _counted(answer: dict[str, Any], row: int) -> dict[str, Any]:
    """An error record with the row that it means, instead of the line of its request."""
    return answer | {"error": f"line {row}: {_without_line(str(answer['error']))}", "line": row}


def _without_line(message: str) -> str:
    """A message of the model server's without its own count of lines, which begins anew with each request."""
    return re.sub(r"^line \d+: ", "", message)
