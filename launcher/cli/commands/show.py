"""``batchrl show``: everything about one job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchrl.contract.hyperparameters import user_values
from launcher.cli.groups import make_command
from launcher.cli.jobs import find_job
from launcher.cli.options import aws_option, job_argument, output_options
from launcher.cli.output import Output, duration

if TYPE_CHECKING:
    from launcher.job import Job


@make_command("show", examples=("batchrl show", "batchrl show my-job --json"))
@job_argument()
@aws_option
@output_options
def command(job: str | None, aws: bool, out: Output) -> None:
    """Show a job, by default the newest one: its state and history, what it was given, where its results lie.

    --json gives the whole answer of DescribeTrainingJob, and the places of the results.
    """
    found = find_job(job, aws)
    answer = {key: value for key, value in found.describe().items() if key != "ResponseMetadata"}
    places = _places(found)
    out.record(answer | {"Places": places}, "TrainingJobName", _lines(answer, places))


def _places(job: Job) -> dict[str, str]:
    from launcher.watch import log_place

    return {
        "model": job.model_uri,
        "output": job.output_uri,
        "checkpoints": job.checkpoint_uri,
        "intermediate": job.intermediate_uri,
        "log": log_place(job),
    }


def _lines(answer: dict[str, Any], places: dict[str, str]) -> dict[str, Any]:
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
        "image": answer.get("AlgorithmSpecification", {}).get("TrainingImage"),
        "settings": user_values(answer.get("HyperParameters", {})),
        "inputs": {
            channel["ChannelName"]: channel["DataSource"].get("S3DataSource", {}).get("S3Uri")
            for channel in answer.get("InputDataConfig", ())
        },
        "metrics": {entry["MetricName"]: entry["Value"] for entry in answer.get("FinalMetricDataList", ())},
        "history": [_step(step) for step in answer.get("SecondaryStatusTransitions", ())],
        **places,
    }
    return {label: value for label, value in lines.items() if value not in (None, {}, [])}


def _step(step: dict[str, Any]) -> str:
    message = step.get("StatusMessage")
    moment = step["StartTime"].astimezone()
    return f"{moment:%H:%M:%S} {step['Status']}" + (f": {message}" if message else "")
