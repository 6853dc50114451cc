"""The options of a training job, each in one place: its default, its meaning, its flag, its place in the request.

They are the arguments of ``RLEstimator``, the options of ``batchrl train``, ``plan``, ``evaluate`` and ``iterate``
as far as they have a flag, and the part of the CreateTrainingJob request that a user states as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from batchrl.contract.errors import InputError
from launcher.api.building import listed, mapped
from launcher.api.instances import LOCAL_INSTANCE_TYPES, check_instance_type
from launcher.api.options import Flag, option
from launcher.api.sharedoptions import SECURITY_GROUP_IDS, SESSION, SUBNETS, encoded_tags
from launcher.base.pairs import parse_pairs, parse_settings


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """The options of a training job; times are in seconds, sizes in GiB. Each field's metadata says what it means.

    The order of the fields is that of a help page, and within a part of the request that of its keys.
    """

    entry_point: str = field(
        default="train.py",
        kw_only=False,
        metadata=option(
            "the script: a file of the user's, or `train.py`, `evaluate.py`, `collect.py` of the product",
            Flag("--entry-point", "The script to run.", shows_default=True),
        ),
    )
    preset: str | Path | None = field(
        default=None,
        metadata=option(
            "name of a preset, or path of a YAML file",
            Flag("--preset", "Name of a preset, or a YAML file of your own.", completes="presets"),
        ),
    )
    hyperparameters: Mapping[str, Any] | None = field(
        default=None,
        metadata=option(
            "overrides of the preset by dotted key, and the script's own",
            Flag(
                "--set",
                "Change one key of the preset, as agent.discount=0.98.",
                metavar="KEY=VALUE",
                completes="settings",
                many=True,
                read=parse_settings,
            ),
        ),
    )
    input_mode: str = field(
        default="File",
        metadata=option(
            "`File`, `FastFile` or `Pipe` for channels that do not say it themselves",
            wire="AlgorithmSpecification.TrainingInputMode",
        ),
    )
    metric_definitions: object = field(
        default=None,
        metadata=option(
            "regular expressions by name, or the API's list; beside the ones for the product's own scripts",
            wire="AlgorithmSpecification.MetricDefinitions",
            encode=partial(listed, "Name", "Regex"),
        ),
    )
    instance_type: str = field(
        default="local",
        metadata=option(
            "`local`, `local_gpu` (containers), `local_process`, `local_debug` (processes) or `ml.*` (on AWS)",
            Flag(
                "--instance-type",
                "local, local_process, ml.* ...",
                shows_default=True,
                completes="instance types",
            ),
            wire="ResourceConfig.InstanceType",
        ),
    )
    instance_count: int = field(
        default=1,
        metadata=option(
            "number of machines",
            Flag("--instance-count", "Number of machines.", kind=int, minimum=1),
            wire="ResourceConfig.InstanceCount",
        ),
    )
    source_dir: str | Path | None = field(
        default=None,
        metadata=option(
            "folder that travels whole; the entry point lies in it",
            Flag("--source-dir", "Folder of your code that travels whole.", kind=Path),
        ),
    )
    dependencies: Sequence[str | Path] = field(
        default=(),
        metadata=option(
            "further files and folders, placed beside the entry point",
            Flag("--dependency", "A further file or folder.", kind=Path, many=True),
        ),
    )
    image_uri: str | None = field(
        default=None,
        metadata=option(
            "the container image; None for the product's own on this computer",
            Flag("--image", "Container image; by default batchrl's own."),
            wire="AlgorithmSpecification.TrainingImage",
        ),
    )
    role: str | None = field(
        default=None,
        metadata=option(
            "ARN or name of the role on AWS; local jobs need none",
            Flag("--role", "Role that a job on AWS acts as."),
            wire="RoleArn",
        ),
    )
    output_path: str | None = field(
        default=None,
        metadata=option(
            "S3 URL below which results go; None for the default bucket",
            Flag("--output-path", "Where results go; by default the default bucket.", metavar="S3URL"),
            wire="OutputDataConfig.S3OutputPath",
        ),
    )
    output_kms_key: str | None = field(
        default=None, metadata=option("key for results", wire="OutputDataConfig.KmsKeyId")
    )
    base_job_name: str | None = field(
        default=None, metadata=option("beginning of the jobs' names; None for the script's name")
    )
    code_location: str | None = field(
        default=None, metadata=option("S3 URL below which code and inputs go; None for `output_path`")
    )
    checkpoint_s3_uri: str | None = field(
        default=None,
        metadata=option(
            "where checkpoints go and come from: a job that finds some there resumes; None for the job's own folder",
            wire="CheckpointConfig.S3Uri",
        ),
    )
    checkpoint_local_path: str | None = field(
        default=None,
        metadata=option(
            "where the job finds them; None for `/opt/ml/checkpoints`",
            wire="CheckpointConfig.LocalPath",
        ),
    )
    environment: Mapping[str, str] | None = field(
        default=None,
        metadata=option(
            "environment variables",
            Flag(
                "--env",
                "An environment variable.",
                metavar="NAME=VALUE",
                many=True,
                read=partial(parse_pairs, "--env"),
            ),
            wire="Environment",
            encode=mapped,
        ),
    )
    tags: object = field(
        default=None,
        metadata=option(
            "a mapping, or the API's list of Key and Value",
            Flag("--tag", "A tag.", metavar="KEY=VALUE", many=True, read=partial(parse_pairs, "--tag")),
            wire="Tags",
            encode=encoded_tags,
        ),
    )
    use_spot_instances: bool = field(
        default=False,
        metadata=option(
            "whether to use spot capacity; needs `max_wait`",
            Flag("--spot", "Use spot capacity; needs --max-wait.", kind=bool),
            wire="EnableManagedSpotTraining",
        ),
    )
    max_run: int = field(
        default=86400,
        metadata=option(
            "time limit of the training",
            Flag("--max-run", "Time limit, seconds.", kind=int, minimum=1, shows_default=True),
            wire="StoppingCondition.MaxRuntimeInSeconds",
        ),
    )
    max_wait: int | None = field(
        default=None,
        metadata=option(
            "time limit of waiting and training together, for spot jobs",
            Flag("--max-wait", "Limit with waiting for spot capacity, seconds.", kind=int, minimum=1),
            wire="StoppingCondition.MaxWaitTimeInSeconds",
        ),
    )
    max_retry_attempts: int | None = field(
        default=None,
        metadata=option("how often a fault of the platform's is retried", wire="RetryStrategy.MaximumRetryAttempts"),
    )
    volume_size: int = field(default=30, metadata=option("disk", wire="ResourceConfig.VolumeSizeInGB"))
    volume_kms_key: str | None = field(
        default=None, metadata=option("key for the disk", wire="ResourceConfig.VolumeKmsKeyId")
    )
    keep_alive_period_in_seconds: int | None = field(
        default=None,
        metadata=option("how long machines are kept for the next job", wire="ResourceConfig.KeepAlivePeriodInSeconds"),
    )
    subnets: Sequence[str] | None = field(default=None, metadata=SUBNETS)
    security_group_ids: Sequence[str] | None = field(default=None, metadata=SECURITY_GROUP_IDS)
    enable_network_isolation: bool = field(
        default=False, metadata=option("whether the container has no network", wire="EnableNetworkIsolation")
    )
    encrypt_inter_container_traffic: bool = field(
        default=False,
        metadata=option("whether machines talk encrypted", wire="EnableInterContainerTrafficEncryption"),
    )
    session: object = field(default=None, metadata=SESSION)

    def check(self) -> None:
        """Refuse what is wrong whatever the cloud is.

        Raises:
            InputError: an instance type is neither local nor SageMaker's, or dependencies are no list.
        """
        check_instance_type(self.instance_type, LOCAL_INSTANCE_TYPES)
        if isinstance(self.dependencies, str | Path):
            raise InputError("dependencies: give a list of paths.")
