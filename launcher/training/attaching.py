"""What the API tells of a training job, as the options that would describe the next one like it.

All that a description holds comes back by the place that each option names (``launcher.api.joboptions``). What it does
not hold, or no option can state, is told and not guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from batchrl.contract import hyperparameters as wire
from batchrl.contract.layout import JobLayout, S3Url
from batchrl.contract.paths import CODE_CHANNEL
from launcher.api import training
from launcher.api.joboptions import JobOptions
from launcher.api.options import taken_from, without_option
from launcher.base.product import product_scripts

# Members of a request that are no option: they are given to ``fit``, or made anew for each job.
OF_EACH_JOB = ("TrainingJobName", "HyperParameters", "InputDataConfig", "Tags")
# What the local cloud and AWS fill in where a request says nothing.
DEFAULTS = {
    "OutputDataConfig.CompressionType": "GZIP",
    "ProfilerConfig.DisableProfiler": True,
    "ProfilerConfig.ProfilingIntervalInMilliseconds": 500,
}


def options_of(description: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a job, by their names.

    Args:
        description: of DescribeTrainingJob, and the job's ``Tags``.
    """
    hyperparameters = description.get("HyperParameters", {})
    options = taken_from(JobOptions, description)
    if defined := options.get("metric_definitions"):
        own = [one for one in defined if training.DEFAULT_METRICS.get(one["Name"]) != one["Regex"]]
        options["metric_definitions"] = own or None
    output = S3Url.parse(description["OutputDataConfig"]["S3OutputPath"])
    if options.get("checkpoint_s3_uri") == str(JobLayout(output, description["TrainingJobName"]).checkpoints):
        del options["checkpoint_s3_uri"]  # that job's own place: the next one has its own
    return options | {
        "entry_point": str(wire.decode_value(hyperparameters.get(wire.PROGRAM, "train.py"))),
        "hyperparameters": wire.user_values(hyperparameters),
    }


def not_carried(description: Mapping[str, Any]) -> Iterator[str]:
    """What of a job no option of the next one has, a sentence each."""
    members = training.request_members()
    asked = {name: value for name, value in description.items() if name in members and name not in OF_EACH_JOB}
    lost = [place for place in without_option(JobOptions, asked) if _value(asked, place) != DEFAULTS.get(place)]
    if lost:
        yield f"no option has {', '.join(lost)}: a next job is sent without."
    program = wire.decode_value(description.get("HyperParameters", {}).get(wire.PROGRAM, "train.py"))
    preset = str(wire.user_values(description.get("HyperParameters", {})).get(wire.PRESET, ""))
    if program not in product_scripts() or "/" in preset:
        yield f"its code is not on this computer{_code_place(description)}: give source_dir and the like again."


def _value(value: Any, place: str) -> Any:
    for name in place.split("."):
        value = value[name]
    return value


def _code_place(description: Mapping[str, Any]) -> str:
    for channel in description.get("InputDataConfig", ()):
        if channel.get("ChannelName") == CODE_CHANNEL:
            return f", but at {channel.get('DataSource', {}).get('S3DataSource', {}).get('S3Uri', 'no S3 URL')}"
    return ""
