"""Batch reinforcement learning as jobs, on this computer and on Amazon SageMaker.

::

    from launcher import RLEstimator

    estimator = RLEstimator(entry_point="train.py", preset="cartpole-ddqn-bcq", instance_type="local")
    estimator.fit({"training": "cartpole.csv"})
    estimator.metrics().plot("ope.png")
    estimator.transformer().transform("states.jsonl", split_type="Line")

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
    from launcher.api.training import Channel
    from launcher.jobs.endpoint import Endpoint, list_endpoints
    from launcher.jobs.objects import wait_for_s3_object
    from launcher.jobs.training import Job, JobStatus, JobSummary, list_jobs
    from launcher.jobs.transform import TransformJob, list_transform_jobs
    from launcher.jobs.tuning import TuningJob, list_tuning_jobs
    from launcher.results.metrics import Metrics
    from launcher.serving.model import Model
    from launcher.serving.prediction import Prediction
    from launcher.serving.predictor import ModelFailed, Predictor
    from launcher.serving.transformer import Transformer
    from launcher.serving.transformplan import TransformPlan
    from launcher.session.roles import get_execution_role
    from launcher.session.session import Session
    from launcher.training.estimator import RLEstimator
    from launcher.training.plan import Plan
    from launcher.training.ranges import CategoricalParameter, ContinuousParameter, IntegerParameter
    from launcher.training.tuner import HyperparameterTuner

_ERRORS = "batchrl.contract.errors"
_HOMES = {
    "BatchRLError": _ERRORS,
    "CategoricalParameter": "launcher.training.ranges",
    "Channel": "launcher.api.training",
    "ContinuousParameter": "launcher.training.ranges",
    "DamagedContent": _ERRORS,
    "Endpoint": "launcher.jobs.endpoint",
    "HyperparameterTuner": "launcher.training.tuner",
    "InputError": _ERRORS,
    "IntegerParameter": "launcher.training.ranges",
    "Job": "launcher.jobs.training",
    "JobFailed": _ERRORS,
    "JobStatus": "launcher.jobs.training",
    "JobStopped": _ERRORS,
    "JobSummary": "launcher.jobs.training",
    "Metrics": "launcher.results.metrics",
    "Model": "launcher.serving.model",
    "ModelFailed": "launcher.serving.predictor",
    "Plan": "launcher.training.plan",
    "Prediction": "launcher.serving.prediction",
    "Predictor": "launcher.serving.predictor",
    "RLEstimator": "launcher.training.estimator",
    "Session": "launcher.session.session",
    "TransformJob": "launcher.jobs.transform",
    "TransformPlan": "launcher.serving.transformplan",
    "Transformer": "launcher.serving.transformer",
    "TuningJob": "launcher.jobs.tuning",
    "Unreachable": _ERRORS,
    "get_execution_role": "launcher.session.roles",
    "list_endpoints": "launcher.jobs.endpoint",
    "list_jobs": "launcher.jobs.training",
    "list_transform_jobs": "launcher.jobs.transform",
    "list_tuning_jobs": "launcher.jobs.tuning",
    "wait_for_s3_object": "launcher.jobs.objects",
}

__all__ = [
    "BatchRLError",
    "CategoricalParameter",
    "Channel",
    "ContinuousParameter",
    "DamagedContent",
    "Endpoint",
    "HyperparameterTuner",
    "InputError",
    "IntegerParameter",
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
    "TuningJob",
    "Unreachable",
    "get_execution_role",
    "list_endpoints",
    "list_jobs",
    "list_transform_jobs",
    "list_tuning_jobs",
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
