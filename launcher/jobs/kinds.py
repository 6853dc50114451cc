"""Kinds of what runs, as people tell them apart: to the API whatever runs a script is a training job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchrl.contract.hyperparameters import PROGRAM, decode_value
from launcher.api.constants import ENDPOINT, PROCESSING, TRAINING, TRANSFORM, TUNING
from launcher.base.product import EVALUATE_SCRIPT

# A training job to the API that runs the script of an evaluation.
EVALUATION = "evaluation"
KINDS = (TRAINING, EVALUATION, TRANSFORM, PROCESSING, TUNING, ENDPOINT)
# Kinds that end by themselves; the newest of these is meant where none is named.
JOBS = (TRAINING, EVALUATION, TRANSFORM)

JOB_STATUSES = ("InProgress", "Completed", "Failed", "Stopping", "Stopped")
ENDPOINT_STATUSES = ("Creating", "InService", "Updating", "Failed", "Deleting", "OutOfService")
STATUSES = tuple(dict.fromkeys((*JOB_STATUSES, *ENDPOINT_STATUSES)))


def statuses_of(kind: str) -> tuple[str, ...]:
    """The states that something of a kind may be in."""
    return ENDPOINT_STATUSES if kind == ENDPOINT else JOB_STATUSES


def looked_at(kind: str | None, local: bool) -> tuple[str, ...]:
    """The kinds that a command looks at.

    Args:
        kind: the one that was named; None for all.
        local: whether on this computer. On AWS processing and tuning jobs are looked at where they are named alone: a
            role that is kept small need not allow it.
    """
    if kind is not None:
        return (kind,)
    return KINDS if local else tuple(each for each in KINDS if each not in (PROCESSING, TUNING))


def api_kind(kind: str) -> str:
    """The API's kind of a kind: names are unique within it."""
    return TRAINING if kind == EVALUATION else kind


def program_in(request: Mapping[str, Any]) -> object:
    """The script that a request or a description of a training job names; None where it names none."""
    return decode_value(request.get("HyperParameters", {}).get(PROGRAM, "null"))


def channels_in(description: Mapping[str, Any]) -> dict[str, str]:
    """The S3 URL of each channel of a training job; empty where its data lies elsewhere."""
    return {
        channel["ChannelName"]: channel["DataSource"].get("S3DataSource", {}).get("S3Uri", "")
        for channel in description.get("InputDataConfig", ())
    }


def kind_in(request: dict[str, Any]) -> str:
    """``training`` or ``evaluation``, by that script."""
    return EVALUATION if program_in(request) == EVALUATE_SCRIPT else TRAINING
