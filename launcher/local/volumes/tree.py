"""A training request as the tree of ``/opt/ml`` (contract A3 to A6): pure in, files out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchrl.contract.paths import JobPaths

HOST = "algo-1"
INSTANCE_GROUP = "homogeneousCluster"
NETWORK_INTERFACE = "eth0"
DEFAULT_CHECKPOINT_PATH = "/opt/ml/checkpoints"

Request = Mapping[str, Any]


@dataclass(frozen=True)
class Tree:
    """Folders and files to make before PID 1 starts.

    Args:
        folders: all of them, parents first.
        files: content by path.
    """

    folders: tuple[Path, ...]
    files: dict[Path, bytes]

    def write(self) -> None:
        """Make it all.

        Raises:
            OSError: the disk is full, or the place cannot be written.
        """
        for folder in self.folders:
            folder.mkdir(parents=True, exist_ok=True)
        for path, content in self.files.items():
            path.write_bytes(content)


def plan_tree(request: Request, paths: JobPaths) -> Tree:
    """The tree of one host, without the data of its channels (contract 19 to 23, 27, 28, 36 to 43)."""
    files = {
        paths.hyperparameters: _json(request.get("HyperParameters") or {}),
        paths.input_data_config: _json(input_data_config(request)),
        paths.resource_config: _json(resource_config(request)),
    }
    folders = [paths.input_config, paths.input_data, paths.model, paths.output, paths.output_data]
    folders += [paths.channel(channel["ChannelName"]) for channel in request.get("InputDataConfig") or ()]
    if local_path := checkpoint_path(request):
        if (folder := paths.local(local_path)).is_relative_to(paths.root):
            folders.append(folder)
        files[paths.checkpoint_config] = _json({"LocalPath": local_path})
    return Tree(tuple(folders), files)


def checkpoint_path(request: Request) -> str | None:
    """The folder that is synced as checkpoints, as the job spells it; None if there is none (contract 20, 22)."""
    config = request.get("CheckpointConfig")
    return (config.get("LocalPath") or DEFAULT_CHECKPOINT_PATH) if config else None


def channel_mode(channel: Mapping[str, Any], request: Request) -> str:
    """Input mode of a channel, which overrides the one of the job (contract 54)."""
    return channel.get("InputMode") or request["AlgorithmSpecification"].get("TrainingInputMode") or "File"


def input_data_config(request: Request) -> dict[str, dict[str, str]]:
    """Content of ``inputdataconfig.json`` (contract 36 to 38)."""
    described = {}
    for channel in request.get("InputDataConfig") or ():
        source = channel["DataSource"].get("S3DataSource") or {}
        entry = {
            "TrainingInputMode": channel_mode(channel, request),
            "S3DistributionType": source.get("S3DataDistributionType") or "FullyReplicated",
            "RecordWrapperType": channel.get("RecordWrapperType") or "None",
        }
        if content_type := channel.get("ContentType"):
            entry["ContentType"] = content_type
        described[channel["ChannelName"]] = entry
    return described


def resource_config(request: Request) -> dict[str, Any]:
    """Content of ``resourceconfig.json`` for a job of one host (contract 39 to 43)."""
    instance_type = request["ResourceConfig"].get("InstanceType", "")
    group = {"instance_group_name": INSTANCE_GROUP, "instance_type": instance_type, "hosts": [HOST]}
    return {
        "current_host": HOST,
        "current_instance_type": instance_type,
        "current_group_name": INSTANCE_GROUP,
        # The toolkit's helper and its fallback file spell it differently; both are written (contract 41).
        "current_instance_group": INSTANCE_GROUP,
        "hosts": [HOST],
        "instance_groups": [group],
        "network_interface_name": NETWORK_INTERFACE,
    }


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
