"""The one shape of an executor, and what a job's processes are told (contract A1, A2)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from batchrl.contract.paths import JobPaths
from launcher.local.home import HomePaths

DOCKER = "docker"
PROCESS = "process"
DEFAULT_ARGUMENTS = ("train",)

# A proxy of the request's or of this machine must not stand between a job and its own loopback.
PROXY_VARIABLES = frozenset({"http_proxy", "https_proxy", "all_proxy"})
NO_PROXY_VARIABLES = ("NO_PROXY", "no_proxy")
LOOPBACK_NAMES = "127.0.0.1,localhost"

_GPU_TYPE = re.compile(r"^ml\.(p|g)\d")


@dataclass(frozen=True)
class JobSpec:
    """All that an executor needs to know about one job.

    Args:
        name: the job's name.
        arn: its ARN.
        request: the training request.
        paths: its tree on this machine.
        home: the data folder of its cloud.
        cloud_variables: region, endpoints and credentials of door and store.
        checkpoint_path: where the job looks for checkpoints; None without CheckpointConfig.
        checkpoint_folder: where that folder lies on this machine.
    """

    name: str
    arn: str
    request: Mapping[str, Any]
    paths: JobPaths
    home: HomePaths
    cloud_variables: Mapping[str, str]
    checkpoint_path: str | None
    checkpoint_folder: Path | None

    @property
    def isolated(self) -> bool:
        return bool(self.request.get("EnableNetworkIsolation"))

    @property
    def instance_type(self) -> str:
        return str(self.request["ResourceConfig"].get("InstanceType", ""))

    @property
    def wants_gpus(self) -> bool:
        """Whether the instance type is one with GPUs (contract 120)."""
        return self.instance_type == "local_gpu" or _GPU_TYPE.match(self.instance_type) is not None

    @property
    def entrypoint(self) -> list[str] | None:
        return self.request["AlgorithmSpecification"].get("ContainerEntrypoint") or None

    @property
    def arguments(self) -> list[str] | None:
        """Arguments of PID 1; with an own entrypoint only those that the request names (contract 1 to 4)."""
        given: list[str] | None = self.request["AlgorithmSpecification"].get("ContainerArguments") or None
        if given is None and self.entrypoint is None:
            return list(DEFAULT_ARGUMENTS)
        return given

    def environment(self) -> dict[str, str]:
        """What the platform sets, then the request's own variables verbatim (contract 12 to 16, 18)."""
        region = {name: text for name, text in self.cloud_variables.items() if name.endswith("_REGION")}
        values = dict(region if self.isolated else self.cloud_variables)
        values |= self.request.get("Environment") or {}
        return values | {"TRAINING_JOB_NAME": self.name, "TRAINING_JOB_ARN": self.arn}


def direct_loopback(environ: Mapping[str, str]) -> dict[str, str]:
    """What to add to an environment with proxies, so that door and store are reached without them."""
    if not any(name.lower() in PROXY_VARIABLES for name in environ):
        return {}
    return {name: ",".join(filter(None, [environ.get(name), LOOPBACK_NAMES])) for name in NO_PROXY_VARIABLES}


class Execution(Protocol):
    """A job's processes, started."""

    @property
    def handle(self) -> str:
        """What finds them again after this process has died: a container's id, a pid."""

    def output(self) -> Iterator[bytes]:
        """Raw stdout and stderr, merged, until both are closed; to be read by one thread."""

    def wait(self) -> int:
        """Block until PID 1 has ended; its exit code, 128+n for signal n."""

    def terminate(self) -> None:
        """SIGTERM to PID 1."""

    def kill(self) -> None:
        """SIGKILL to everything."""

    def remove(self) -> bool:
        """Remove what is left of it, after its output was read; whether it was killed for lack of memory."""


class Executor(Protocol):
    """Starts jobs."""

    @property
    def name(self) -> str: ...

    def start(self, job: JobSpec) -> Execution:
        """Start a job whose tree is ready.

        Raises:
            JobFault: it cannot be started: no image, no program, no GPU.
        """
