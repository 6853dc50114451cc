"""Builds the image that jobs run in, and says whether it is there."""

from __future__ import annotations

import importlib.metadata
import os
import re
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from batchrl.contract.errors import BatchRLError, InputError, Unreachable
from launcher.base import extras
from launcher.base.product import library_folder, product_file, product_scripts
from launcher.local.engine.status import START_HINT, EngineStatus, engine_host, engine_status, find_image

if TYPE_CHECKING:
    from docker import APIClient

__all__ = ["BuiltImage", "EngineStatus", "build", "default_image", "engine_status", "present"]

REPOSITORY = "batchrl"
DEFAULT_BASE_IMAGE = "python:3.11-slim-bookworm"
DOCKERFILE = "docker/Dockerfile"
WHEELHOUSE = "docker/wheelhouse"
DOCKER_FILES = (DOCKERFILE, "docker/install-torch.sh", "docker/requirements.txt")
# What of the caller's environment says where packages come from; none of it stays in the image.
PASSED_ON = (
    "TORCH",
    "TORCH_INDEX",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)
# pip may be silent for minutes while it unpacks.
SILENCE_SECONDS = 1800

NO_INDEX = re.compile(r"No matching distribution|NewConnectionError|Could not fetch URL|SSLError|NameResolutionError")
NO_SPACE = "no space left on device"
TOLD_LINES = 15
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

OnLine = Callable[[str], None]


@dataclass(frozen=True)
class BuiltImage:
    """An image that has just been built.

    Args:
        tag: its name.
        image_id: its content's id.
        size_bytes: its size, base included.
        seconds: how long the build took.
    """

    tag: str
    image_id: str
    size_bytes: int
    seconds: float


def version() -> str:
    """The version of this installation."""
    return importlib.metadata.version("batchrl")


def default_image() -> str:
    """The image that jobs run in when none is named: the one built for this version."""
    return f"{REPOSITORY}:{version()}"


def air_gapped_hint() -> str:
    """How an image is built where no package index can be reached."""
    script = product_file("docker/fill-wheelhouse.sh")
    return (
        f"Without a package index: {script} FOLDER fetches the wheels first, on a computer that has one; "
        "then batchrl image build --wheelhouse FOLDER"
    )


def base_hint() -> str:
    """How an image is built where no registry can be reached."""
    return (
        f"Without a registry: {product_file('docker/make-base-image.sh')} makes a base from Debian packages; "
        "then batchrl image build --base-image batchrl-base:bookworm"
    )


def present(tag: str) -> bool:
    """Whether the engine has an image of this name.

    Raises:
        Unreachable: no engine answers.
        InputError: ``DOCKER_HOST`` names a remote engine.
    """
    return find_image(tag) is not None


def build(
    base_image: str | None = None,
    wheelhouse: str | os.PathLike[str] | None = None,
    tag: str | None = None,
    on_line: OnLine | None = None,
) -> BuiltImage:
    """Build the image from this installation, with the engine's own builder.

    Args:
        base_image: what it stands on; the slim Python image when not given. Pulled only if it is not there.
        wheelhouse: a folder of wheels to install from instead of an index; ``docker/wheelhouse`` when it has any.
        tag: the image's name; ``default_image()`` when not given.
        on_line: called with each line of the builder's output.

    Raises:
        InputError: this installation lacks a file, the wheelhouse has no wheels, or ``DOCKER_HOST`` is remote.
        Unreachable: no engine answers, the base image cannot be pulled, no package index answers, or the disk is full.
        BatchRLError: a step of the build failed for another reason.
    """
    started = time.monotonic()
    files, wheels = _context_files(), _wheels(wheelhouse)
    host = engine_host()
    extras.require("building an image", extras.LOCAL)
    status = engine_status()
    if not status.available:
        raise Unreachable(status.reason, START_HINT)
    base, name, tell = base_image or DEFAULT_BASE_IMAGE, tag or default_image(), on_line or _silent

    from docker.errors import DockerException

    import docker

    client = docker.APIClient(base_url=host, version="auto", timeout=SILENCE_SECONDS)
    try:
        _provide_base(client, base, tell)
        with tempfile.TemporaryFile() as context:
            _write_context(context, files, wheels)
            context.seek(0)
            _run_build(client, context, name, _build_arguments(base), tell)
        facts = find_image(name)
    except OSError as error:
        raise Unreachable(f"the build stopped: {error}", START_HINT) from error
    except DockerException as error:
        raise _failure(str(error), []) from error
    finally:
        client.close()
    if facts is None:
        raise BatchRLError(f"the engine reported success, but has no image {name}")
    return BuiltImage(name, facts.image_id, facts.size_bytes, time.monotonic() - started)


def _silent(line: str) -> None:
    """Output that nobody asked for."""


def _context_files() -> dict[str, Path]:
    """Everything that the Dockerfile copies, besides the wheels, by its path there; folders are taken whole."""
    files = {name: product_file(name) for name in DOCKER_FILES}
    files |= {f"entrypoints/{name}": path for name, path in product_scripts().items()}
    files |= {"entrypoints/batchrl": library_folder("batchrl"), "presets": library_folder("presets")}
    missing = [str(path) for path in files.values() if not path.exists()]
    if missing:
        raise InputError(f"this installation lacks what builds the image: {', '.join(missing)}", "Install it again.")
    return files


def _wheels(wheelhouse: str | os.PathLike[str] | None) -> list[Path]:
    folder = product_file(WHEELHOUSE) if wheelhouse is None else Path(wheelhouse)
    wheels = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    if wheelhouse is not None and not wheels:
        raise InputError(f"the wheelhouse {folder} holds no wheels", air_gapped_hint())
    return wheels


def _build_arguments(base: str) -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    return {**passed_on, "BASE_IMAGE": base, "VERSION": version()}


def _write_context(stream: IO[bytes], files: Mapping[str, Path], wheels: Iterable[Path]) -> None:
    """The files of the build as a tar, without whose they are and when they changed: those would spoil its cache."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if Path(member.name).name == "__pycache__":
            return None
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = 0
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, path in files.items():
            archive.add(path, arcname=name, filter=plain)
        for wheel in wheels:
            archive.add(wheel, arcname=f"{WHEELHOUSE}/{wheel.name}", filter=plain)


def _provide_base(client: APIClient, base: str, tell: OnLine) -> None:
    """Pull the base when it is not there, apart from the build, so that a failure can be told for what it is."""
    from docker.errors import APIError

    if find_image(base) is not None:
        return
    tell(f"pulling {base}")
    try:
        events: Iterator[dict[str, Any]] = client.pull(base, stream=True, decode=True)
        error = next((str(event["error"]) for event in events if "error" in event), None)
    except APIError as refused:
        error = str(refused.explanation or refused)
    if error is not None:
        raise Unreachable(f"the base image {base} is not here and cannot be pulled: {error.strip()}", base_hint())


def _run_build(client: APIClient, context: IO[bytes], name: str, arguments: dict[str, str], tell: OnLine) -> None:
    told: list[str] = []
    events = client.build(
        fileobj=context,
        custom_context=True,
        dockerfile=DOCKERFILE,
        tag=name,
        buildargs=arguments,
        rm=True,
        forcerm=True,
        decode=True,
    )
    for event in events:
        for line in COLOUR.sub("", str(event.get("stream", ""))).splitlines():
            if line.strip():
                tell(line)
                told = [*told[-TOLD_LINES:], line]
        if "error" in event:
            raise _failure(str(event["error"]), told)


def _failure(error: str, told: list[str]) -> BatchRLError:
    """What went wrong in a build, by what the engine and pip say in each case."""
    said = "\n".join([*told, error])
    if NO_SPACE in said.lower():
        return Unreachable(
            "the engine's disk is full", "`docker system df` shows what fills it; `docker image prune` frees some."
        )
    if NO_INDEX.search(said):
        faults = [line for line in said.splitlines() if "ERROR" in line] or [error]
        return Unreachable(
            "\n".join(["the build found no package index for what it needs:", *faults]), air_gapped_hint()
        )
    return BatchRLError(f"the image could not be built:\n{said}")
