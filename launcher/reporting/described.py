"""What people want to know of a transform, processing or tuning job and of an endpoint, label to value."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from launcher.api.instances import PROCESS_INSTANCE_TYPES
from launcher.base.units import duration

if TYPE_CHECKING:
    from launcher.jobs.tuning import TunedJob
    from launcher.session.session import Session

Wire = Mapping[str, Any]
# What the API answers for what was not asked for.
DEFAULTS = (None, "None", "$", "")


def tuning_lines(answer: Wire, jobs: Sequence[TunedJob]) -> dict[str, Any]:
    """Lines about a tuning job.

    Args:
        answer: of DescribeHyperParameterTuningJob.
        jobs: its training jobs so far.
    """
    config, best = answer["HyperParameterTuningJobConfig"], answer.get("BestTrainingJob") or {}
    objective = config.get("HyperParameterTuningJobObjective") or {}
    started, ended = answer["CreationTime"], answer.get("HyperParameterTuningEndTime")
    return without_empty(
        {
            "tuning job": answer["HyperParameterTuningJobName"],
            "status": answer["HyperParameterTuningJobStatus"],
            "reason": answer.get("FailureReason"),
            "created": started,
            "ended": ended,
            "took": duration((ended - started).total_seconds()) if ended else None,
            "strategy": config["Strategy"],
            "objective": f"{objective['Type'].lower()} {objective['MetricName']}" if objective else None,
            "limits": config["ResourceLimits"],
            "training jobs": {name: count for name, count in answer["TrainingJobStatusCounters"].items() if count},
            "best": best.get("TrainingJobName"),
            "its settings": best.get("TunedHyperParameters"),
            "jobs": [_tuned_line(job) for job in jobs],
        }
    )


def _tuned_line(job: TunedJob) -> str:
    settings = " ".join(f"{key}={value}" for key, value in sorted(job.parameters.items()))
    return f"{job.name} {job.status} {'' if job.value is None else f'{job.value:.4g} '}{settings}"


def transform_lines(answer: Wire, places: Mapping[str, str], model: Wire) -> dict[str, Any]:
    """Lines about a transform job.

    Args:
        answer: of DescribeTransformJob.
        places: where its outputs and its log are.
        model: as ``model_of`` gives it.
    """
    given, taken = answer["TransformInput"], answer["TransformOutput"]
    resources, processing = answer["TransformResources"], answer.get("DataProcessing") or {}
    started, ended = answer.get("TransformStartTime"), answer.get("TransformEndTime")
    requests = {
        "strategy": answer.get("BatchStrategy"),
        "payload, MB": answer.get("MaxPayloadInMB"),
        "at a time": answer.get("MaxConcurrentTransforms"),
        **(answer.get("ModelClientConfig") or {}),
    }
    records = {
        "content type": given.get("ContentType"),
        "accept": taken.get("Accept"),
        "compression": given.get("CompressionType"),
        "split": given.get("SplitType"),
        "assemble": taken.get("AssembleWith"),
        "input filter": processing.get("InputFilter"),
        "join": processing.get("JoinSource"),
        "output filter": processing.get("OutputFilter"),
    }
    return without_empty(
        {
            "transform job": answer["TransformJobName"],
            "status": answer["TransformJobStatus"],
            "reason": answer.get("FailureReason"),
            "created": answer.get("CreationTime"),
            "started": started,
            "ended": ended,
            "took": duration((ended - started).total_seconds()) if started and ended else None,
            "runs on": f"{resources['InstanceCount']} x {resources['InstanceType']}",
            "model": answer["ModelName"],
            "archive": model.get("archive"),
            "image": model.get("image"),
            "input": given["DataSource"]["S3DataSource"]["S3Uri"],
            "records": {label: value for label, value in records.items() if value not in DEFAULTS},
            "requests": {label: value for label, value in requests.items() if value not in DEFAULTS},
            "settings": dict(answer.get("Environment") or {}),
            **places,
        }
    )


def processing_lines(answer: Wire, places: Mapping[str, str]) -> dict[str, Any]:
    """Lines about a processing job.

    Args:
        answer: of DescribeProcessingJob.
        places: where its log is.
    """
    cluster, application = answer["ProcessingResources"]["ClusterConfig"], answer["AppSpecification"]
    outputs = (answer.get("ProcessingOutputConfig") or {}).get("Outputs") or ()
    started, ended = answer.get("ProcessingStartTime"), answer.get("ProcessingEndTime")
    words = (application.get("ContainerEntrypoint") or []) + (application.get("ContainerArguments") or [])
    return without_empty(
        {
            "processing job": answer["ProcessingJobName"],
            "status": answer["ProcessingJobStatus"],
            "reason": answer.get("FailureReason"),
            "message": answer.get("ExitMessage"),
            "created": answer.get("CreationTime"),
            "started": started,
            "ended": ended,
            "took": duration((ended - started).total_seconds()) if started and ended else None,
            "runs on": f"{cluster['InstanceCount']} x {cluster['InstanceType']}",
            "image": None if cluster["InstanceType"] in PROCESS_INSTANCE_TYPES else application["ImageUri"],
            "command": shlex.join(words),
            "settings": dict(answer.get("Environment") or {}),
            "inputs": {one["InputName"]: one["S3Input"]["S3Uri"] for one in answer.get("ProcessingInputs") or ()},
            "outputs": {one["OutputName"]: one["S3Output"]["S3Uri"] for one in outputs if "S3Output" in one},
            **places,
        }
    )


def endpoint_lines(answer: Wire, places: Mapping[str, str], config: Wire, models: Sequence[Wire]) -> dict[str, Any]:
    """Lines about an endpoint.

    Args:
        answer: of DescribeEndpoint.
        places: where its log is.
        config: of DescribeEndpointConfig.
        models: as ``model_of`` gives them.
    """
    variants = config.get("ProductionVariants", ())
    return without_empty(
        {
            "endpoint": answer["EndpointName"],
            "status": answer["EndpointStatus"],
            "reason": answer.get("FailureReason"),
            "created": answer.get("CreationTime"),
            "runs on": [f"{each.get('InitialInstanceCount', 1)} x {each.get('InstanceType')}" for each in variants],
            "model": [model["name"] for model in models],
            "archive": [model["archive"] for model in models if model.get("archive")],
            "image": [model["image"] for model in models if model.get("image")],
            "settings": {name: value for model in models for name, value in model.get("settings", {}).items()},
            **places,
        }
    )


def model_of(session: Session, name: str) -> dict[str, Any]:
    """Name, archive, image and settings of a model; the name alone where it is gone or may not be looked at.

    Raises:
        Unreachable: the cloud does not answer.
    """
    from launcher.serving.modelplan import MODEL

    with session.reported(f"looking at the model {name}", session.sagemaker):
        known = MODEL.find(session, name) or {}
    container = known.get("PrimaryContainer") or {}
    return without_empty(
        {
            "name": name,
            "archive": container.get("ModelDataUrl"),
            "image": container.get("Image"),
            "settings": dict(container.get("Environment") or {}),
        }
    )


def without_empty(lines: Mapping[str, Any]) -> dict[str, Any]:
    """The lines that say something."""
    return {label: value for label, value in lines.items() if value not in (None, {}, [])}
