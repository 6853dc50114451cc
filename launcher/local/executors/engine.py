"""The container engine of this machine: found, and asked what it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker.errors
import requests.exceptions

import docker

DEFAULT_SOCKET = Path("/var/run/docker.sock")
CONTROL_SECONDS = 60
FOREVER_SECONDS = 10 * 365 * 86_400
NVIDIA = "nvidia"

Client = docker.APIClient


class EngineUnusable(Exception):
    """No container engine can be used; the text is one sentence that says why."""


@dataclass(frozen=True)
class Engine:
    """An engine that answered.

    Args:
        url: its socket.
        client: for requests that answer at once.
        rootless: uid 0 of its containers is the caller.
        remapped: uids of its containers are others on this machine.
        nvidia: it has NVIDIA's runtime.
        nvidia_by_default: every container gets that runtime.
    """

    url: str
    client: Client
    rootless: bool
    remapped: bool
    nvidia: bool
    nvidia_by_default: bool

    @classmethod
    def find(cls, environ: Mapping[str, str] | None = None) -> Engine:
        """The engine that ``DOCKER_HOST`` names, else the one at a usual socket.

        Raises:
            EngineUnusable: none answers, or it is on another machine.
        """
        url = engine_url(os.environ if environ is None else environ)
        try:
            client = docker.APIClient(base_url=url, version="auto", timeout=CONTROL_SECONDS)
            info: dict[str, Any] = client.info()
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise EngineUnusable(f"no engine answers at {url} ({_root_cause(error)}).") from error
        security = info.get("SecurityOptions") or ()
        return cls(
            url=url,
            client=client,
            rootless=any("name=rootless" in option for option in security),
            remapped=any("name=userns" in option for option in security),
            nvidia=NVIDIA in (info.get("Runtimes") or ()),
            nvidia_by_default=info.get("DefaultRuntime") == NVIDIA,
        )

    def patient_client(self) -> Client:
        """A client of its own for one request that may take as long as a job."""
        return docker.APIClient(base_url=self.url, version=self.client.api_version, timeout=FOREVER_SECONDS)


def engine_url(environ: Mapping[str, str]) -> str:
    """Where the engine listens.

    Raises:
        EngineUnusable: ``DOCKER_HOST`` names another machine, whose containers cannot mount this one's files.
    """
    if host := environ.get("DOCKER_HOST"):
        if not host.startswith("unix://"):
            raise EngineUnusable(
                f"DOCKER_HOST={host} is an engine that may be on another machine, and a job's files and sockets are "
                "mounted from this one. Unset DOCKER_HOST, or name a unix:// socket."
            )
        return host
    runtime = environ.get("XDG_RUNTIME_DIR")
    rootless = Path(runtime) / "docker.sock" if runtime else None
    if rootless is not None and rootless.exists() and not DEFAULT_SOCKET.exists():
        return f"unix://{rootless}"
    return f"unix://{DEFAULT_SOCKET}"


def _root_cause(error: BaseException) -> BaseException:
    """The operating system's own words under the wrappings of three libraries."""
    seen = error
    while (below := seen.__cause__ or seen.__context__) is not None and not isinstance(seen, OSError):
        seen = below
    while isinstance(seen, requests.exceptions.RequestException) and seen.__context__ is not None:
        seen = seen.__context__
    return seen
