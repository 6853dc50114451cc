"""A processing request as the tree of ``/opt/ml``: pure in, files out.

=================================================  =================================================================
below ``/opt/ml``                                  what it is
=================================================  =================================================================
``config/processingjobconfig.json``                the request, with name and ARN of the job
``config/resourceconfig.json``                     the hosts
``processing/...``                                 inputs, there before the program starts, and outputs, empty folders
``output/message``                                 what the program may say at its end: ``ExitMessage``
=================================================  =================================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from batchrl.contract.nofollow import JobFolder
from batchrl.contract.paths import PLATFORM_ROOT, JobPaths
from launcher.api.processing_rules import brought, inputs_of, outputs_of, sent
from launcher.local.host.home import JobHome
from launcher.local.records.jobrecord import JobRecord
from launcher.local.volumes.tree import HOST, Tree

MESSAGE_NAME = "message"
# Of the request, what a program is told.
_TOLD = (
    "ProcessingInputs",
    "ProcessingOutputConfig",
    "ProcessingJobName",
    "ProcessingResources",
    "StoppingCondition",
    "AppSpecification",
    "Environment",
    "NetworkConfig",
    "RoleArn",
)


def plan_processing_tree(record: JobRecord, paths: JobPaths) -> Tree:
    """The tree of one host, without the data of its inputs."""
    request = record.request
    told = {name: request[name] for name in _TOLD if name in request} | {"ProcessingJobArn": record.arn}
    config = paths.root / "config"
    folders = [config, paths.output]
    folders += [paths.local(one["S3Input"]["LocalPath"]) for one in inputs_of(request) if brought(one)]
    folders += [paths.local(one["S3Output"]["LocalPath"]) for one in outputs_of(request) if sent(one)]
    files = {
        config / "processingjobconfig.json": _json(told),
        config / "resourceconfig.json": _json({"current_host": HOST, "hosts": [HOST]}),
    }
    return Tree(tuple(folders), files)


def message_folder(home: JobHome) -> JobFolder:
    """The folder in which a program leaves its message, opened below the job's own, in which it has no say."""
    return _folder(home, f"{PLATFORM_ROOT}/output")


def output_folder(home: JobHome, local_path: str) -> JobFolder:
    """The folder of an output, as ``message_folder`` opens it.

    Args:
        home: the files of the job.
        local_path: the output's ``LocalPath``, below ``/opt/ml/processing``.
    """
    return _folder(home, str(PurePosixPath(local_path)))


def _folder(home: JobHome, spelled: str) -> JobFolder:
    place = JobPaths(home.ml).local(spelled)
    return JobFolder(home.folder, str(place.relative_to(home.folder)), (spelled,))


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
