"""The container engine of this machine: found, and asked what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import docker.errors
import requests.exceptions

import docker
from batchrl.contract.errors import InputError
from launcher.local.engine.status import engine_host, engine_status

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
    def find(cls) -> Engine:
        """The engine of this machine.

        Raises:
            EngineUnusable: none answers, or it may be on another machine.
        """
        try:
            url = engine_host()
        except InputError as error:
            raise EngineUnusable(f"{error.message}.") from error
        try:
            client = docker.APIClient(base_url=url, version="auto", timeout=CONTROL_SECONDS)
            info: dict[str, Any] = client.info()
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise EngineUnusable(f"{engine_status().reason or error}.") from error
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
