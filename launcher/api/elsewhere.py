"""Operations of AWS that the local cloud does not carry out, and what to do instead."""

from __future__ import annotations

import functools
import re

from batchrl.contract.errors import shortened
from launcher.api.servicemodel import service_model

ON_AWS = "it is there on AWS alone"
# Services whose every operation is known by name; of others, nothing is said but that they are not here.
KNOWN_SERVICES = ("sagemaker", "sagemaker-runtime", "logs", "sts", "iam", "ecr", "cloudwatch")

# Names that requests are signed with, where botocore has others.
SIGNED_AS = {"monitoring": "cloudwatch"}
# Patterns of names of SageMaker's operations, the first that fits; what to do instead.
INSTEAD = (
    (r"UpdateTrainingJob", "a job here does not change once it runs: stop it, and start another"),
    (r"UpdateEndpoint(WeightsAndCapacities)?", "create an endpoint with the other configuration, then delete this one"),
    (r"(GetS|S)earch(Suggestions)?", "list by name: ListTrainingJobs with NameContains, or `batchrl ps`"),
    (r"\w*Pipeline\w*", "call the steps one after the other; `batchrl iterate` runs rounds of them"),
    (r"\w*(InferenceComponent\w*|InferenceExperiments?|InferenceRouters?)", "create an endpoint with variants"),
    (r"\w*(Experiment|Trial)(Component)?s?", "name jobs by what they try; `batchrl compare` shows them side by side"),
    (r"\w*(Artifact|Association|Context|Action|Lineage\w*|Mlflow\w*)s?", "`batchrl show JOB` says what it was made of"),
    (r"\w*ModelPackage\w*", "create the model from its image and archive: CreateModel with Image and ModelDataUrl"),
    (r"\w*(Monitoring\w*|JobDefinitions?)", "nothing is monitored here: let the caller keep what it sends and gets"),
    (r"\w*AutoML\w*", "train with presets of your choice, and `batchrl compare` them"),
)
_INSTEAD = tuple((re.compile(pattern), instead) for pattern, instead in INSTEAD)
_OF_SERVICE = {
    "sagemaker-runtime": "call InvokeEndpoint, which answers when the server has",
    "logs": "jobs write their logs themselves; read them",
    "ecr": "images are those of this computer's engine: docker pull, docker tag",
    "iam": "roles and their policies are here, users and groups are not; no role is held to its policies",
    "sts": "use the keys of `batchrl cloud env`",
    "cloudwatch": "`batchrl metrics JOB` shows a job's",
}


def refusal(service: str, operation: str) -> str:
    """The sentence with which an operation is refused: that it is not here, and what to do instead.

    Args:
        service: its name in botocore, or the one that requests to it are signed with.
        operation: its name; empty where the request names none.
    """
    service = SIGNED_AS.get(service, service)
    what = f"{service}:{shortened(operation)}" if operation else f"requests to {shortened(service)}"
    return f"The local cloud does not carry out {what}: {instead_of(service, operation)}."


def instead_of(service: str, operation: str) -> str:
    """What to do in place of an operation that the local cloud does not carry out."""
    if service not in KNOWN_SERVICES:
        return ON_AWS
    if operation and operation not in _operations(service):
        return f"{service} has no such operation"
    if service in _OF_SERVICE:
        return _OF_SERVICE[service]
    return next((instead for pattern, instead in _INSTEAD if pattern.fullmatch(operation)), ON_AWS)


@functools.cache
def _operations(service: str) -> frozenset[str]:
    return frozenset(service_model(service).operation_names)
