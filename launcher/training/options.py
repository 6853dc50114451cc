"""What a job can be told to be: the arguments of ``RLEstimator``, with their defaults, in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchrl.contract.errors import InputError
from launcher.api import arguments
from launcher.api.instances import LOCAL_INSTANCE_TYPES, check_instance_type


@dataclass(frozen=True)
class Options:
    """The arguments of ``RLEstimator``; times are in seconds, sizes in GiB.

    Args:
        entry_point: the script: a file of the user's, or ``train.py``, ``evaluate.py``, ``collect.py`` of the product.
        source_dir: folder that travels whole; the entry point lies in it.
        dependencies: further files and folders, placed beside the entry point.
        preset: name of a preset, or path of a YAML file.
        hyperparameters: overrides of the preset by dotted key, and the script's own.
        role: ARN or name of the role on AWS; local jobs need none.
        instance_type: ``local``, ``local_gpu`` (containers), ``local_process``, ``local_debug`` (processes) or
            ``ml.*`` (Amazon SageMaker).
        instance_count: number of machines.
        image_uri: the container image; None for the product's own on this computer.
        output_path: S3 URL below which results go; None for the default bucket.
        base_job_name: beginning of the jobs' names; None for the script's name.
        code_location: S3 URL below which code and inputs go; None for ``output_path``.
        checkpoint_s3_uri: where checkpoints go and come from: a job that finds some there resumes.
        checkpoint_local_path: where the job finds them; None for ``/opt/ml/checkpoints``.
        environment: environment variables.
        tags: a mapping, or the API's list of Key and Value.
        metric_definitions: regular expressions by name, or the API's list; beside the ones for our own scripts.
        use_spot_instances: whether to use spot capacity; needs ``max_wait``.
        max_run: time limit of the training.
        max_wait: time limit of waiting and training together, for spot jobs.
        max_retry_attempts: how often a fault of the platform's is retried.
        keep_alive_period_in_seconds: how long machines are kept for the next job.
        volume_size: disk.
        volume_kms_key: key for the disk.
        output_kms_key: key for results.
        subnets: VPC subnets; together with ``security_group_ids``.
        security_group_ids: VPC security groups.
        enable_network_isolation: whether the container has no network.
        encrypt_inter_container_traffic: whether machines talk encrypted.
        input_mode: ``File``, ``FastFile`` or ``Pipe`` for channels that do not say it themselves.
        session: the cloud; None for the one that the instance type asks for.
    """

    entry_point: str = "train.py"
    source_dir: str | Path | None = None
    dependencies: Sequence[str | Path] = ()
    preset: str | Path | None = None
    hyperparameters: Mapping[str, Any] | None = None
    role: str | None = None
    instance_type: str = "local"
    instance_count: int = 1
    image_uri: str | None = None
    output_path: str | None = None
    base_job_name: str | None = None
    code_location: str | None = None
    checkpoint_s3_uri: str | None = None
    checkpoint_local_path: str | None = None
    environment: Mapping[str, str] | None = None
    tags: object = None
    metric_definitions: object = None
    use_spot_instances: bool = False
    max_run: int = 86400
    max_wait: int | None = None
    max_retry_attempts: int | None = None
    keep_alive_period_in_seconds: int | None = None
    volume_size: int = 30
    volume_kms_key: str | None = None
    output_kms_key: str | None = None
    subnets: Sequence[str] | None = None
    security_group_ids: Sequence[str] | None = None
    enable_network_isolation: bool = False
    encrypt_inter_container_traffic: bool = False
    input_mode: str = "File"
    session: object = None

    @classmethod
    def read(cls, keywords: Mapping[str, Any]) -> Options:
        """The options that keywords mean; those of SageMaker's SDK are translated, and the user is told.

        Raises:
            UnknownArgument: a keyword is unknown, or not available.
            InputError: an instance type is neither local nor SageMaker's.
        """
        options = arguments.read(cls, keywords, arguments.ESTIMATOR)
        check_instance_type(options.instance_type, LOCAL_INSTANCE_TYPES)
        if isinstance(options.dependencies, str | Path):
            raise InputError("dependencies: give a list of paths.")
        return options
