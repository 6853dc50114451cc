"""Requests of transform jobs, and transforms without a job around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripted_server import ModelServer

from batchrl.contract.layout import S3Url
from batchrl.contract.store import Client
from launcher.api.jsonpath import ROOT, JsonPath
from launcher.local.transform.outcome import Outcome
from launcher.local.transform.run import transform
from launcher.local.transform.settings import TransformSettings
from launcher.local.transform.sources import source_objects

BUCKET = "transform-tests"


def transform_request(**fields: Any) -> dict[str, Any]:
    """A CreateTransformJob request; values that are mappings are merged."""
    request: dict[str, Any] = {
        "TransformJobName": "job",
        "ModelName": "model",
        "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/in/"}}},
        "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "TransformResources": {"InstanceType": "local", "InstanceCount": 1},
    }
    for name, value in fields.items():
        request[name] = {**request.get(name, {}), **value} if isinstance(value, dict) else value
    return request


@dataclass
class Ran:
    """What a transform left."""

    outcome: Outcome
    log: list[str]

    @property
    def messages(self) -> dict[str, str]:
        return {fault.url.key: fault.message for fault in self.outcome.faults}


def run(client: Client, server: ModelServer, stopped: Callable[[], bool] = lambda: False, **settings: Any) -> Ran:
    """Transform what lies below ``in/`` to ``out``; settings may give filters as texts."""
    for name in ("input_filter", "output_filter"):
        settings[name] = JsonPath.parse(settings[name]) if name in settings else ROOT
    log: list[str] = []
    objects = source_objects(client, transform_request())
    outcome = transform(
        client, objects, S3Url(BUCKET, "out"), server, TransformSettings(**settings), log.append, stopped
    )
    return Ran(outcome, log)
