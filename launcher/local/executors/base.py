"""The one shape of an executor: programs in, executions out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from launcher.local.executors.address import ServerAddress
from launcher.local.host.address import LOOPBACK_NAMES, NO_PROXY_VARIABLES
from launcher.local.host.home import HomePaths

DOCKER = "docker"
PROCESS = "process"

# A proxy of the request's or of this machine must not stand between a job and its own loopback.
PROXY_VARIABLES = frozenset({"http_proxy", "https_proxy", "all_proxy"})

_GPU_TYPE = re.compile(r"^ml\.(p|g)\d")


@dataclass(frozen=True)
class Program:
    """What is to run: a container, or a process that plays one.

    Args:
        key: of the job that it belongs to (``JobRecord.key``).
        home: the data folder of its cloud.
        root: the folder that is ``/opt/ml`` to it.
        image: the container image.
        instance_type: as the request names it.
        arguments: of its PID 1; None for the image's own.
        entrypoint: instead of the image's; None for that one.
        environment: what it is told.
        endpoints: URLs of API server and store, which it must reach; none under network isolation.
        isolated: whether it has no network.
        instance: which of the job's instances it is, from 1.
        outside: a folder outside of ``/opt/ml`` as the program spells it, and where it lies on this machine.
        read_only: folders below ``/opt/ml``, as the program spells them, that a container cannot write.
        serves: whether it is a model server, which somebody here will talk to.
        names_places: whether words of its command and its variables name places below ``/opt/ml``, which a program
            without a file system of its own finds below ``root``.
    """

    key: str
    home: HomePaths
    root: Path
    image: str
    instance_type: str
    arguments: list[str] | None
    environment: Mapping[str, str]
    endpoints: tuple[str, ...]
    isolated: bool
    entrypoint: list[str] | None = None
    instance: int = 1
    outside: tuple[str, Path] | None = None
    read_only: tuple[str, ...] = ()
    serves: bool = False
    names_places: bool = False

    @property
    def name(self) -> str:
        """A name that no other program of the data folder has."""
        return instance_name(self.key, self.instance)

    @property
    def wants_gpus(self) -> bool:
        """Whether the instance type is one with GPUs (contract 120)."""
        return self.instance_type == "local_gpu" or _GPU_TYPE.match(self.instance_type) is not None


def instance_name(key: str, instance: int) -> str:
    """The name of one instance of a job."""
    return key if instance == 1 else f"{key}.{instance}"


def server_socket_name(name: str) -> str:
    """The name of a model server's socket, by the program's."""
    return f"serve-{name}"


def direct_loopback(environ: Mapping[str, str]) -> dict[str, str]:
    """What to add to an environment with proxies, so that API server and store are reached without them."""
    if not any(name.lower() in PROXY_VARIABLES for name in environ):
        return {}
    return {name: ",".join(filter(None, [environ.get(name), LOOPBACK_NAMES])) for name in NO_PROXY_VARIABLES}


class Execution(Protocol):
    """A job's processes, started."""

    @property
    def handle(self) -> str:
        """What finds them again after this process has died: a container's id, a pid."""

    @property
    def address(self) -> ServerAddress | None:
        """Where a model server listens; None for a program that is none, or that ended at once."""

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
    """Starts programs."""

    @property
    def name(self) -> str:
        """``docker`` or ``process``."""

    def start(self, program: Program) -> Execution:
        """Start a program whose tree is ready.

        Raises:
            JobFault: it cannot be started: no image, no program, no GPU.
        """
