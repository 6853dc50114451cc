"""From the description of a transform job to the CreateTransformJob request: a pure function, and its checks.

The rules between fields (contract 142, 154, 156, 162, 166) are those of ``api.transform_rules``, which the local
cloud keeps as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batchrl.contract import variables
from batchrl.contract.layout import S3Url
from launcher.api import servicemodel, transform_rules
from launcher.api.building import given, refuse, wire_tags
from launcher.api.constants import CSV, JSON, JSON_LINES

# Content types by the end of a name, as the server of our models takes them.
CONTENT_TYPES = {
    ".jsonl": JSON_LINES,
    ".jsonlines": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".json": JSON,
    ".csv": CSV,
}


@dataclass(frozen=True)
class TransformSpec:
    """Everything that a transform job is made of; what is None has the API's default.

    Args:
        job_name: unique per account and region.
        model_name: the model.
        data_uri: key prefix, object or manifest of the inputs.
        output_path: where ``<input>.out`` goes, by its path below the input prefix (contract 148).
        instance_type: a type of SageMaker's or of the local cloud's.
        instance_count: number of machines; objects are shared out among them (contract 145).
        data_type: ``S3Prefix`` or ``ManifestFile``.
        content_type, accept: MIME types of the requests and of the answers (contract 135).
        compression_type: ``None`` or ``Gzip`` (contract 144).
        split_type: ``None``, ``Line``, ``RecordIO`` or ``TFRecord`` (contract 137 to 141).
        assemble_with: ``None`` or ``Line`` (contract 150).
        strategy: ``SingleRecord`` or ``MultiRecord`` (contract 139, 140).
        max_concurrent_transforms: requests at a time and machine (contract 136).
        max_payload_mb: size of one request, in MB (contract 142).
        environment: of the server, on top of the model's (contract 128).
        input_filter, output_filter: JSONPath of what the server sees, of what is kept (contract 157).
        join_source: ``Input`` to put each record beside its prediction, or ``None`` (contract 159 to 161).
        model_client: ``InvocationsTimeoutInSeconds`` and ``InvocationsMaxRetries`` (contract 171).
        output_kms_key, volume_kms_key: keys for the results and for the disk.
        ami_version: machine image of GPU instances.
        tags: values by key.
    """

    job_name: str
    model_name: str
    data_uri: str
    output_path: S3Url
    instance_type: str
    instance_count: int = 1
    data_type: str = "S3Prefix"
    content_type: str | None = None
    accept: str | None = None
    compression_type: str | None = None
    split_type: str | None = None
    assemble_with: str | None = None
    strategy: str | None = None
    max_concurrent_transforms: int | None = None
    max_payload_mb: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    input_filter: str | None = None
    output_filter: str | None = None
    join_source: str | None = None
    model_client: Mapping[str, int] | None = None
    output_kms_key: str | None = None
    volume_kms_key: str | None = None
    ami_version: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def create_transform_job(spec: TransformSpec) -> dict[str, Any]:
    """The request of a transform job, checked.

    Raises:
        InputError: naming everything that the API would refuse.
    """
    request = _build(spec)
    faults = servicemodel.problems("sagemaker", "CreateTransformJob", request)
    faults += variables.mistakes(spec.environment)
    refuse(f"the transform job '{spec.job_name}'", [*faults, *transform_rules.problems(request)])
    return request


def content_type_of(name: str) -> str | None:
    """The content type that the end of a file's name or key tells, of a compressed one too; None if it tells none."""
    name = name.lower().removesuffix(".gz")
    return next((kind for end, kind in CONTENT_TYPES.items() if name.endswith(end)), None)


def _build(spec: TransformSpec) -> dict[str, Any]:
    processing = given(
        {"InputFilter": spec.input_filter, "OutputFilter": spec.output_filter, "JoinSource": spec.join_source}
    )
    return given(
        {
            "TransformJobName": spec.job_name,
            "ModelName": spec.model_name,
            "MaxConcurrentTransforms": spec.max_concurrent_transforms,
            "ModelClientConfig": dict(spec.model_client) if spec.model_client else None,
            "MaxPayloadInMB": spec.max_payload_mb,
            "BatchStrategy": spec.strategy,
            "Environment": dict(spec.environment) or None,
            "TransformInput": given(
                {
                    "DataSource": {"S3DataSource": {"S3DataType": spec.data_type, "S3Uri": spec.data_uri}},
                    "ContentType": spec.content_type,
                    "CompressionType": spec.compression_type,
                    "SplitType": spec.split_type,
                }
            ),
            "TransformOutput": given(
                {
                    "S3OutputPath": str(spec.output_path),
                    "Accept": spec.accept,
                    "AssembleWith": spec.assemble_with,
                    "KmsKeyId": spec.output_kms_key,
                }
            ),
            "TransformResources": given(
                {
                    "InstanceType": spec.instance_type,
                    "InstanceCount": spec.instance_count,
                    "VolumeKmsKeyId": spec.volume_kms_key,
                    "TransformAmiVersion": spec.ami_version,
                }
            ),
            "DataProcessing": processing or None,
            "Tags": wire_tags(spec.tags),
        }
    )
