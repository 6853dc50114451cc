"""``batchrl show``: everything about one job or endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchrl.contract.hyperparameters import user_values
from launcher.api.instances import PROCESS_INSTANCE_TYPES
from launcher.base.units import duration
from launcher.cli.chosen import chosen_of
from launcher.cli.finding import find_handle
from launcher.cli.groups import make_command
from launcher.cli.options import aws_option, job_argument, kind_option, output_options
from launcher.cli.output import Output
from launcher.jobs.kinds import channels_in
from launcher.reporting.described import (
    endpoint_lines,
    model_of,
    processing_lines,
    transform_lines,
    tuning_lines,
    without_empty,
)

if TYPE_CHECKING:
    from launcher.jobs.training import Job


@make_command("show", examples=("batchrl show", "batchrl show my-job --json", "batchrl show my-endpoint"))
@job_argument()
@kind_option
@aws_option
@output_options
def command(job: str | None, kind: str | None, aws: bool, out: Output) -> None:
    """Show a job, by default the newest one, or an endpoint: its state and history, what it was given, the
    epoch that a training job chose and why, where its results lie.

    --json gives the whole answer of the API's Describe operation, the places of results and log, and the choice.
    """
    from launcher.jobs.endpoint import Endpoint
    from launcher.jobs.processing import ProcessingJob
    from launcher.jobs.training import Job
    from launcher.jobs.transform import TransformJob
    from launcher.jobs.tuning import TuningJob
    from launcher.jobs.waiting import log_place

    found = find_handle(job, aws, kind)
    log = {"log": log_place(found)}
    answer = {key: value for key, value in found.describe().items() if key != "ResponseMetadata"}
    if isinstance(found, Job):
        places = _places(found) | log
        chosen = chosen_of(found)
        shown = f"epoch {chosen['epoch']}: {chosen['reason']}" if chosen else None
        out.record(answer | {"Places": places, "Chosen": chosen}, "TrainingJobName", _lines(answer, places, shown))
    elif isinstance(found, TransformJob):
        places = {"output": found.output_uri, **log}
        model = model_of(found.session, answer["ModelName"])
        out.record(
            answer | {"Model": model, "Places": places},
            "TransformJobName",
            transform_lines(answer, places, model),
        )
    elif isinstance(found, ProcessingJob):
        out.record(answer | {"Places": log}, "ProcessingJobName", processing_lines(answer, log))
    elif isinstance(found, TuningJob):
        out.record(answer | {"Places": log}, "HyperParameterTuningJobName", tuning_lines(answer, found.training_jobs()))
    elif isinstance(found, Endpoint):
        config = found.config()
        models = [model_of(found.session, name) for name in found.model_names()]
        facts = answer | {"Config": config, "Models": models, "Places": log}
        out.record(facts, "EndpointName", endpoint_lines(answer, log, config, models))


def _places(job: Job) -> dict[str, str]:
    return {
        "model": job.model_uri,
        "output": job.output_uri,
        "checkpoints": job.checkpoint_uri,
        "intermediate": job.intermediate_uri,
    }


def _lines(answer: dict[str, Any], places: dict[str, str], chosen: str | None) -> dict[str, Any]:
    """What people want to know, label to value; what a job does not have is left out."""
    resources = answer.get("ResourceConfig", {})
    started, ended = answer.get("TrainingStartTime"), answer.get("TrainingEndTime")
    secondary = answer.get("SecondaryStatus")
    status = answer["TrainingJobStatus"]
    lines: dict[str, Any] = {
        "job": answer["TrainingJobName"],
        "status": status if secondary in (None, status) else f"{status} ({secondary})",
        "reason": answer.get("FailureReason"),
        "created": answer.get("CreationTime"),
        "started": started,
        "ended": ended,
        "took": duration((ended - started).total_seconds()) if started and ended else None,
        "runs on": f"{resources.get('InstanceCount', 1)} x {resources.get('InstanceType')}",
        "image": None
        if resources.get("InstanceType") in PROCESS_INSTANCE_TYPES
        else answer.get("AlgorithmSpecification", {}).get("TrainingImage"),
        "settings": user_values(answer.get("HyperParameters", {})),
        "inputs": channels_in(answer),
        "chosen": chosen,
        "last metrics": {entry["MetricName"]: entry["Value"] for entry in answer.get("FinalMetricDataList", ())},
        "history": [_step(step) for step in answer.get("SecondaryStatusTransitions", ())],
        **places,
    }
    return without_empty(lines)


def _step(step: dict[str, Any]) -> str:
    message = step.get("StatusMessage")
    moment = step["StartTime"].astimezone()
    return f"{moment:%H:%M:%S} {step['Status']}" + (f": {message}" if message else "")
