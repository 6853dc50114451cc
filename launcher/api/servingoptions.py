"""The options of models, transform jobs and endpoints: see ``launcher.api.options``.

They are the arguments of ``Model``, ``Transformer`` and ``deploy``, and the parts of their requests that a user states
as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchrl.contract.layout import S3Url
from launcher.api.building import mapped
from launcher.api.options import option
from launcher.api.sharedoptions import SECURITY_GROUP_IDS, SESSION, SUBNETS, TAGS


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The options of a model. Each field's metadata says what it means."""

    model_data: str | Path | S3Url = field(
        kw_only=False,
        metadata=option(
            "a `model.tar.gz`: an S3 URL, or a file of this computer, which is uploaded by its content",
            wire="PrimaryContainer.ModelDataUrl",
        ),
    )
    image_uri: str | None = field(
        default=None,
        kw_only=False,
        metadata=option(
            "the container image that serves it; None for the product's own on this computer",
            wire="PrimaryContainer.Image",
        ),
    )
    role: str | None = field(
        default=None,
        kw_only=False,
        metadata=option("ARN or name of the role on AWS; local models need none", wire="ExecutionRoleArn"),
    )
    env: Mapping[str, str] | None = field(
        default=None,
        kw_only=False,
        metadata=option(
            "environment variables of the server; a transform job's own come on top",
            wire="PrimaryContainer.Environment",
            encode=mapped,
        ),
    )
    name: str | None = field(
        default=None,
        kw_only=False,
        metadata=option(
            "the model's name; None for one that is made from its content, so that it is created once",
            wire="ModelName",
        ),
    )
    session: object = field(default=None, metadata=SESSION)
    instance_type: str = field(
        default="local",
        metadata=option("what transform jobs and endpoints run on unless they say it themselves"),
    )
    enable_network_isolation: bool = field(
        default=False, metadata=option("whether the server has no network", wire="EnableNetworkIsolation")
    )
    subnets: Sequence[str] | None = field(default=None, metadata=SUBNETS)
    security_group_ids: Sequence[str] | None = field(default=None, metadata=SECURITY_GROUP_IDS)
    tags: object = field(default=None, metadata=TAGS)
    code_location: str | None = field(
        default=None,
        metadata=option("S3 URL below which an archive of this computer goes; None for the default bucket"),
    )


@dataclass(frozen=True, kw_only=True)
class TransformOptions:
    """The options of transform jobs with one model; what is None has the API's default, or the model server's own.

    Each field's metadata says what it means.
    """

    model_name: Any = field(
        kw_only=False, metadata=option("a `Model`, or the name of one that exists", wire="ModelName")
    )
    instance_count: int = field(
        default=1,
        kw_only=False,
        metadata=option(
            "number of machines; objects are shared out among them", wire="TransformResources.InstanceCount"
        ),
    )
    instance_type: str = field(
        default="local",
        kw_only=False,
        metadata=option(
            "`local`, `local_gpu` (containers), `local_process` or `ml.*` (Amazon SageMaker)",
            wire="TransformResources.InstanceType",
        ),
    )
    strategy: str | None = field(
        default=None,
        metadata=option(
            "`SingleRecord` or `MultiRecord`: one record a request, or as many as fit", wire="BatchStrategy"
        ),
    )
    output_path: str | None = field(
        default=None,
        metadata=option(
            "S3 URL below which outputs go; None for `s3://<default bucket>/<job>`",
            wire="TransformOutput.S3OutputPath",
            encode=str,
        ),
    )
    accept: str | None = field(default=None, metadata=option("MIME type of the outputs", wire="TransformOutput.Accept"))
    assemble_with: str | None = field(
        default=None,
        metadata=option("`Line` puts a line end behind each answer", wire="TransformOutput.AssembleWith"),
    )
    output_kms_key: str | None = field(
        default=None, metadata=option("key for the outputs", wire="TransformOutput.KmsKeyId")
    )
    max_concurrent_transforms: int | None = field(
        default=None, metadata=option("requests at a time and machine", wire="MaxConcurrentTransforms")
    )
    max_payload: int | None = field(default=None, metadata=option("size of one request, MB", wire="MaxPayloadInMB"))
    tags: object = field(default=None, metadata=TAGS)
    env: Mapping[str, str] | None = field(
        default=None,
        metadata=option(
            "environment variables of the server, on top of the model's", wire="Environment", encode=mapped
        ),
    )
    base_transform_job_name: str | None = field(
        default=None, metadata=option("beginning of the jobs' names; None for the model's job")
    )
    session: object = field(
        default=None, metadata=option("the cloud; None for the model's, or the one that the instance type asks for")
    )
    volume_kms_key: str | None = field(
        default=None, metadata=option("key for the disk", wire="TransformResources.VolumeKmsKeyId")
    )
    transform_ami_version: str | None = field(
        default=None,
        metadata=option("machine image of GPU instances", wire="TransformResources.TransformAmiVersion"),
    )
    code_location: str | None = field(
        default=None,
        metadata=option("S3 URL below which inputs of this computer go; None for the default bucket"),
    )


@dataclass(frozen=True, kw_only=True)
class DeployOptions:
    """The options of an endpoint; times are seconds, sizes GiB. Each field's metadata says what it means."""

    initial_instance_count: int = field(
        default=1,
        kw_only=False,
        metadata=option("number of machines", wire="ProductionVariants.InitialInstanceCount"),
    )
    instance_type: str | None = field(
        default=None,
        kw_only=False,
        metadata=option("what they are; None for the model's own", wire="ProductionVariants.InstanceType"),
    )
    endpoint_name: str | None = field(
        default=None,
        kw_only=False,
        metadata=option("None for one that is made from the job's name and the time", wire="EndpointConfigName"),
    )
    env: Mapping[str, str] | None = field(
        default=None,
        kw_only=False,
        metadata=option("environment variables of the server, on top of the model's"),
    )
    wait: bool = field(
        default=True, kw_only=False, metadata=option("whether to come back when it is in service, or at once")
    )
    tags: object = field(default=None, metadata=TAGS)
    kms_key: str | None = field(default=None, metadata=option("key for the disks", wire="KmsKeyId"))
    volume_size: int | None = field(
        default=None, metadata=option("disk of each machine", wire="ProductionVariants.VolumeSizeInGB")
    )
    model_data_download_timeout: int | None = field(
        default=None,
        metadata=option(
            "how long the model archive may take", wire="ProductionVariants.ModelDataDownloadTimeoutInSeconds"
        ),
    )
    container_startup_health_check_timeout: int | None = field(
        default=None,
        metadata=option(
            "how long the server may take to answer",
            wire="ProductionVariants.ContainerStartupHealthCheckTimeoutInSeconds",
        ),
    )
