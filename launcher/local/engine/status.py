"""Whether a container engine answers here, asked over its socket without loading a client library.

The engine must see this computer's files, because a job's tree is mounted into its container: only a unix socket
promises that, so a ``DOCKER_HOST`` of any other kind is refused.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from batchrl.contract.errors import InputError, Unreachable

HOST_VARIABLE = "DOCKER_HOST"
DEFAULT_HOST = "unix:///var/run/docker.sock"
ANSWER_SECONDS = 10.0
IMAGE_LABEL = "org.batchrl.image"

START_HINT = (
    "Install Docker (Debian: apt-get install docker.io) and start it, or join the group docker; "
    "instance type local_process (--instance-type local_process) needs no engine."
)


@dataclass(frozen=True)
class EngineStatus:
    """What is known about this computer's container engine.

    Args:
        available: whether jobs can run in containers here.
        version: the engine's version, empty when it does not answer.
        reason: why it cannot be used, in a sentence; empty when it can.
    """

    available: bool
    version: str = ""
    reason: str = ""


@dataclass(frozen=True)
class ImageFacts:
    """An image that the engine has.

    Args:
        image_id: its content's id.
        size_bytes: its size, base included.
        is_ours: whether batchrl's Dockerfile made it, so that its PID 1 is ours.
    """

    image_id: str
    size_bytes: int
    is_ours: bool


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_SECONDS)
        self.sock.connect(self._path)


def engine_host(environ: Mapping[str, str] | None = None) -> str:
    """The engine's address, always a unix socket.

    Raises:
        InputError: ``DOCKER_HOST`` names an engine that need not be on this computer.
    """
    host = (os.environ if environ is None else environ).get(HOST_VARIABLE) or DEFAULT_HOST
    if not host.startswith("unix://"):
        raise InputError(
            f"{HOST_VARIABLE} is {host}: a remote engine cannot mount the files of a job that lie on this computer",
            f"Unset {HOST_VARIABLE}, point it at a unix socket, or use instance_type='local_process'.",
        )
    return host


def _get(path: str) -> tuple[int, Any]:
    connection = _SocketConnection(engine_host().removeprefix("unix://"))
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")
    finally:
        connection.close()


def _why_not(error: Exception) -> str:
    path = engine_host().removeprefix("unix://")
    if isinstance(error, FileNotFoundError):
        return f"no Docker engine runs on this computer (there is no socket {path})"
    if isinstance(error, PermissionError):
        return f"this user may not use the Docker engine at {path}"
    if isinstance(error, ConnectionRefusedError):
        return f"the Docker engine at {path} has stopped (nothing listens)"
    if isinstance(error, TimeoutError):
        return f"the Docker engine at {path} did not answer within {ANSWER_SECONDS:.0f} s"
    return f"what listens at {path} does not answer as a Docker engine ({type(error).__name__}: {error})"


def engine_status() -> EngineStatus:
    """Ask the engine for its version; never raises."""
    try:
        status, answer = _get("/version")
    except InputError as error:
        return EngineStatus(available=False, reason=error.message)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return EngineStatus(available=False, reason=_why_not(error))
    if status != http.HTTPStatus.OK or not isinstance(answer, dict):
        return EngineStatus(available=False, reason=f"the Docker engine answered status {status} to /version")
    return EngineStatus(available=True, version=str(answer.get("Version", "")))


def find_image(tag: str) -> ImageFacts | None:
    """What the engine knows of an image, or None when it has none of this name.

    Raises:
        Unreachable: no engine answers.
        InputError: ``DOCKER_HOST`` names a remote engine.
    """
    try:
        status, answer = _get(f"/images/{quote(tag, safe='/:@')}/json")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(_why_not(error), START_HINT) from error
    if status == http.HTTPStatus.NOT_FOUND:
        return None
    if status != http.HTTPStatus.OK:
        raise Unreachable(f"the Docker engine answered status {status} when asked for the image {tag}")
    labels = answer.get("Config", {}).get("Labels") or {}
    return ImageFacts(image_id=answer["Id"], size_bytes=answer["Size"], is_ours=labels.get(IMAGE_LABEL) == "1")


def has_nvidia_runtime() -> bool:
    """Whether the engine can give GPUs to containers.

    Raises:
        Unreachable: no engine answers.
        InputError: ``DOCKER_HOST`` names a remote engine.
    """
    try:
        _, answer = _get("/info")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(_why_not(error), START_HINT) from error
    return "nvidia" in (answer.get("Runtimes") or {})
