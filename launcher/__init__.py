"""Batch reinforcement learning as jobs, on this computer and on Amazon SageMaker.

::

    from launcher import RLEstimator

    estimator = RLEstimator(entry_point="train.py", preset="cartpole-ddqn-bcq", instance_type="local")
    estimator.fit({"training": "cartpole.csv"})
    estimator.metrics().plot("ope.png")
    estimator.transformer().transform("states.jsonl", split_type="Line", join_source="Input")

Importing this package is cheap: each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchrl.contract.errors import (
        BatchRLError,
        DamagedContent,
        InputError,
        JobFailed,
        JobStopped,
        Unreachable,
    )
    from launcher.endpoint import Endpoint, list_endpoints
    from launcher.estimator import RLEstimator
    from launcher.job import Job, JobStatus, JobSummary, list_jobs
    from launcher.metrics import Metrics
    from launcher.model import Model
    from launcher.plan import Plan
    from launcher.prediction import Prediction
    from launcher.predictor import ModelFailed, Predictor
    from launcher.request import Channel
    from launcher.results import wait_for_s3_object
    from launcher.roles import get_execution_role
    from launcher.session import Session
    from launcher.transformer import Transformer
    from launcher.transformjob import TransformJob, list_transform_jobs
    from launcher.transformplan import TransformPlan

_ERRORS = "batchrl.contract.errors"
_HOMES = {
    "BatchRLError": _ERRORS,
    "Channel": "launcher.request",
    "DamagedContent": _ERRORS,
    "Endpoint": "launcher.endpoint",
    "InputError": _ERRORS,
    "Job": "launcher.job",
    "JobFailed": _ERRORS,
    "JobStatus": "launcher.job",
    "JobStopped": _ERRORS,
    "JobSummary": "launcher.job",
    "Metrics": "launcher.metrics",
    "Model": "launcher.model",
    "ModelFailed": "launcher.predictor",
    "Plan": "launcher.plan",
    "Prediction": "launcher.prediction",
    "Predictor": "launcher.predictor",
    "RLEstimator": "launcher.estimator",
    "Session": "launcher.session",
    "TransformJob": "launcher.transformjob",
    "TransformPlan": "launcher.transformplan",
    "Transformer": "launcher.transformer",
    "Unreachable": _ERRORS,
    "get_execution_role": "launcher.roles",
    "list_endpoints": "launcher.endpoint",
    "list_jobs": "launcher.job",
    "list_transform_jobs": "launcher.transformjob",
    "wait_for_s3_object": "launcher.results",
}

__all__ = [
    "BatchRLError",
    "Channel",
    "DamagedContent",
    "Endpoint",
    "InputError",
    "Job",
    "JobFailed",
    "JobStatus",
    "JobStopped",
    "JobSummary",
    "Metrics",
    "Model",
    "ModelFailed",
    "Plan",
    "Prediction",
    "Predictor",
    "RLEstimator",
    "Session",
    "TransformJob",
    "TransformPlan",
    "Transformer",
    "Unreachable",
    "get_execution_role",
    "list_endpoints",
    "list_jobs",
    "list_transform_jobs",
    "wait_for_s3_object",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'launcher' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
