"""Whose the files of a job are: lent to the user that a container runs as, and the caller's again afterwards."""

from __future__ import annotations

import contextlib
import logging
import subprocess
from pathlib import Path

import docker.errors
import docker.types
import requests.exceptions

from batchrl.contract.paths import PLATFORM_ROOT
from launcher.local.executors.client import Client
from launcher.local.executors.confinement import limits
from launcher.local.host.jobrules import JobRules

HELPER_SECONDS = 600
# For chmod: everybody may read, write, and enter folders.
ALL_MAY = "a+rwX"

log = logging.getLogger(__name__)


def give(folder: Path, uid: int, gid: int) -> None:
    """Make a user the owner of a folder and of all in it; of a link, of the link itself. Root alone can.

    Raises:
        OSError: some of it cannot be given.
    """
    if fault := _everywhere("chown", "-h", f"{uid}:{gid}", folder):
        raise OSError(f"{folder} cannot be given to uid {uid}: {fault}")


def open_to_everybody(root: Path) -> None:
    """Let a foreign image's user write: its uid is not known. The folder above is the caller's alone.

    What that user wrote already, before a server was started again, is its own, and open to it as it stands.
    """
    _everywhere("chmod", ALL_MAY, root)


def open_to_caller(client: Client, image: str, root: Path, rules: JobRules) -> None:
    """Let the caller read and remove what a foreign image's user wrote: a helper container says so as that user.

    It needs no privileges, and what it runs is the image's own: it is confined as the job was.

    Args:
        client: the engine's.
        image: the job's, which has ``chmod``.
        root: the job's folder.
        rules: limits of containers.
    """
    mount = docker.types.Mount(target=PLATFORM_ROOT, source=str(root), type="bind")
    try:
        helper = client.create_container(
            image,
            command=["-R", ALL_MAY, PLATFORM_ROOT],
            entrypoint=["chmod"],
            host_config=client.create_host_config(network_mode="none", mounts=[mount], **limits(rules)),
        )["Id"]
    except docker.errors.APIError as error:
        log.warning("the files in %s stay as image %s left them: %s", root, image, error.explanation)
        return
    try:
        client.start(helper)
        # Not every file is that user's, so that the exit code says nothing.
        client.wait(helper, timeout=HELPER_SECONDS)
    except (docker.errors.APIError, requests.exceptions.RequestException) as error:
        log.warning("the files in %s stay as they are: image %s has no chmod (%s)", root, image, error)
    finally:
        with contextlib.suppress(docker.errors.NotFound):
            client.remove_container(helper, force=True, v=True)


def _everywhere(program: str, *arguments: str | Path) -> str | None:
    """Run ``chown`` or ``chmod`` on a folder and all below it, links not followed; what it complains of."""
    try:
        ended = subprocess.run(
            [program, "-R", *arguments], capture_output=True, stdin=subprocess.DEVNULL, timeout=HELPER_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return ended.stderr.decode(errors="replace").partition("\n")[0] or None
