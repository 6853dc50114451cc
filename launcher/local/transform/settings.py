"""What holds for a transform job: what its request says, its server offers, or is the default (contract 129 to 142).

The request wins over ``/execution-parameters``, that over the defaults (contract 133); ``MaxConcurrentTransforms`` 0
counts as not given. At most 100 MB are under way at once (contract 142): where what was asked for leaves no room for
what was offered or for a default, the latter gives way (MaxConcurrentTransforms 32 alone means payloads of 3 MB). That
is ours: AWS does not say. What nobody asked for never fails a job; an offer that is no valid number does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batchrl.contract.errors import InputError
from launcher.api.jsonpath import ROOT, JsonPath
from launcher.api.transform_rules import (
    DEFAULT_PAYLOAD_MB,
    MAX_CONCURRENT,
    MAX_PAYLOAD_MB,
    joins,
    media_type,
    processing,
    split_type,
)

MIB = 1024 * 1024
DEFAULT_TIMEOUT_SECONDS = 600
DEFAULT_RETRIES = 3
# The API's spelling, and that of environment and /execution-parameters; an offer may have either (contract 132).
SPELLINGS = {"SingleRecord": "SINGLE_RECORD", "MultiRecord": "MULTI_RECORD"}


@dataclass(frozen=True)
class TransformSettings:
    """The effective values of one job.

    Args:
        max_concurrent: requests at once, an instance (contract 136).
        max_payload_mb: MiB of one request; 0 for any size, sent in chunks (contract 142).
        single_record: one record a request, instead of as many as fit.
        split: ``None``, ``Line``, ``RecordIO`` or ``TFRecord``.
        gzip: whether objects are compressed (contract 144).
        assemble_lines: whether each answer ends with a newline (contract 150).
        content_type: of the requests; None to send none.
        accept: of the answers; None to send none.
        join: whether answers are joined with their records.
        input_filter: applied to a record before it is sent.
        output_filter: applied to the answer, or to what was joined.
        timeout_seconds: of one invocation.
        retries: how often an invocation is tried again.
    """

    max_concurrent: int = 1
    max_payload_mb: int = DEFAULT_PAYLOAD_MB
    single_record: bool = False
    split: str = "None"
    gzip: bool = False
    assemble_lines: bool = False
    content_type: str | None = None
    accept: str | None = None
    join: bool = False
    input_filter: JsonPath = ROOT
    output_filter: JsonPath = ROOT
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    retries: int = DEFAULT_RETRIES

    @classmethod
    def of(cls, request: Mapping[str, Any], offered: Mapping[str, Any] | None) -> TransformSettings:
        """The values of a job.

        Args:
            request: CreateTransformJob, without ``problems`` (``launcher.api.transform_rules``).
            offered: the body of the server's /execution-parameters; None if it has none (contract 131).

        Raises:
            InputError: the offer holds what it may not.
        """
        concurrent, payload, strategy = _effective(request, _checked(offered or {}))
        given, taken = request["TransformInput"], request["TransformOutput"]
        client = request.get("ModelClientConfig") or {}
        filters = processing(request)
        return cls(
            concurrent,
            payload,
            strategy == "SINGLE_RECORD",
            split_type(request),
            given.get("CompressionType") == "Gzip",
            taken.get("AssembleWith") == "Line",
            given.get("ContentType"),
            taken.get("Accept"),
            joins(request),
            JsonPath.parse(filters.get("InputFilter") or ROOT.text),
            JsonPath.parse(filters.get("OutputFilter") or ROOT.text),
            client.get("InvocationsTimeoutInSeconds", DEFAULT_TIMEOUT_SECONDS),
            client.get("InvocationsMaxRetries", DEFAULT_RETRIES),
        )

    @property
    def max_payload_bytes(self) -> int | None:
        """Bytes of one request at most; None for any number."""
        return self.max_payload_mb * MIB or None

    @property
    def content_kind(self) -> str:
        """The MIME type of records, without parameters."""
        return media_type(self.content_type)

    @property
    def answer_kind(self) -> str:
        """The MIME type of answers, without parameters: what is accepted, or else that of the records."""
        return media_type(self.accept) or self.content_kind

    def described(self) -> str:
        """The line of the data log that says what holds (contract 134)."""
        strategy = "SINGLE_RECORD" if self.single_record else "MULTI_RECORD"
        return (
            f"MaxConcurrentTransforms={self.max_concurrent}, MaxPayloadInMB={self.max_payload_mb}, "
            f"BatchStrategy={strategy}"
        )


def batch_variables(request: Mapping[str, Any]) -> dict[str, str]:
    """The platform's part of the server's environment: what the user set, and that this is a batch (contract 129)."""
    variables = {"SAGEMAKER_BATCH": "true"}
    if (payload := request.get("MaxPayloadInMB")) is not None:
        variables["SAGEMAKER_MAX_PAYLOAD_IN_MB"] = str(payload)
    if strategy := request.get("BatchStrategy"):
        variables["SAGEMAKER_BATCH_STRATEGY"] = SPELLINGS[strategy]
    if concurrent := request.get("MaxConcurrentTransforms"):
        variables["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] = str(concurrent)
    return variables


def _effective(request: Mapping[str, Any], offered: Mapping[str, Any]) -> tuple[int, int, str]:
    asked_concurrent, asked_payload = request.get("MaxConcurrentTransforms") or None, request.get("MaxPayloadInMB")
    concurrent = asked_concurrent or offered.get("MaxConcurrentTransforms") or 1
    payload = asked_payload if asked_payload is not None else offered.get("MaxPayloadInMB", DEFAULT_PAYLOAD_MB)
    if concurrent * payload > MAX_PAYLOAD_MB:
        if asked_concurrent is None:
            concurrent = max(1, MAX_PAYLOAD_MB // payload)
        else:
            payload = max(1, MAX_PAYLOAD_MB // concurrent)
    strategy = request.get("BatchStrategy") or offered.get("BatchStrategy") or "MultiRecord"
    return concurrent, payload, SPELLINGS.get(strategy, strategy)


def _checked(offered: Mapping[str, Any]) -> Mapping[str, Any]:
    """An offer without what is null.

    Raises:
        InputError: a value is none that SageMaker knows (contract 132).
    """
    values = {name: _whole(value) for name, value in offered.items() if value is not None}
    for name, most in (("MaxConcurrentTransforms", MAX_CONCURRENT), ("MaxPayloadInMB", MAX_PAYLOAD_MB)):
        value = values.get(name, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise InputError(
                f"the server's /execution-parameters say {name} {value!r}; it is a whole number from 0 to {most}."
            )
    strategy = values.get("BatchStrategy", "MULTI_RECORD")
    if strategy not in SPELLINGS and strategy not in SPELLINGS.values():
        raise InputError(
            f"the server's /execution-parameters say BatchStrategy {strategy!r}; "
            f"it is {' or '.join(sorted(SPELLINGS.values()))}."
        )
    return values


def _whole(value: Any) -> Any:
    """A whole number that JSON spells with a fraction, as some languages write all numbers; all else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
