"""What a container may do: as whom it runs, and how much of the machine it takes.

===================================  ======================  =========================================================
the image                            the engine              its processes run as
===================================  ======================  =========================================================
ours                                 rootless                0, which is the caller there, without privileges
ours                                 other, caller not root  the caller
ours                                 other, caller is root   ``JOB_UID``, whom the job's folder is lent for the time
another's                            rootless                its own USER, 0 being the caller
another's, USER is not root          other                   its own USER
another's, USER is root              other                   root, if the user allows it for this image; else refused
===================================  ======================  =========================================================

All of them without capabilities, without a way to more privileges (``setuid`` programs are of no use), and within
limits of memory and processes. Whoever broke out would be no more than that user on this machine.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import docker.errors

from launcher.local.executors.client import Client, Engine
from launcher.local.host.faults import JobFault, client_fault
from launcher.local.host.jobrules import JobRules

# Nobody's on any machine: systemd's list of uids has this range as unused.
JOB_UID = 61_000
ROOT = "0"
_PASSWD = "/etc/passwd"
_MAX_PASSWD_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Identity:
    """As whom a container runs.

    Args:
        user: as the engine takes it; None for the image's own.
        lent: whom the job's folder has to be given for the time; None where nobody.
    """

    user: str | None = None
    lent: int | None = None

    @classmethod
    def of_ours(cls, engine: Engine) -> Identity:
        """As whom an image of batchrl's runs."""
        if engine.rootless:
            return cls(f"{ROOT}:{ROOT}")
        if os.getuid() == 0:
            return cls(f"{JOB_UID}:{JOB_UID}", lent=JOB_UID)
        return cls(f"{os.getuid()}:{os.getgid()}")


def limits(rules: JobRules) -> dict[str, Any]:
    """What the host configuration of every container says of privileges, memory and processes."""
    return {
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": rules.memory,
        # No swap beside it: a machine that swaps for a job serves nobody.
        "memswap_limit": rules.memory,
        "pids_limit": rules.max_processes,
    }


def refuse_root(client: Client, container: str, image: str, user: str, rules: JobRules) -> None:
    """Refuse a foreign image that would run as root, unless the user allows it.

    Args:
        client: the engine's.
        container: made from the image, and not started.
        image: as the request names it.
        user: the image's USER.
        rules: what the user allows.

    Raises:
        JobFault: it would, and may not.
    """
    if not runs_as_root(user, lambda: _passwd(client, container)) or rules.allows_root(image):
        return
    raise _root(image)


def _root(image: str) -> JobFault:
    return client_fault(
        f"image '{image}' runs as root (it has no USER of its own, or one that is root), which no container may "
        f"unless you say so for its image: batchrl cloud up --allow-root '{image}'. Else give it a USER of its own."
    )


def runs_as_root(user: str, passwd: Callable[[], str | None]) -> bool:
    """Whether the USER of an image is uid 0, or cannot be told from it.

    It is read as engines read it: a number is a uid, also where it is a name in ``/etc/passwd``; the first line with a
    name counts, and a uid that is missing there or no number is 0.

    Args:
        user: ``name``, ``uid``, ``name:group`` or nothing.
        passwd: reads the image's ``/etc/passwd``; None where it cannot be read.
    """
    name = user.partition(":")[0].strip()
    if re.fullmatch(r"[+-]?[0-9]+", name):
        return int(name) == 0
    if not name or (text := passwd()) is None:
        return True
    for line in text.split("\n"):
        fields = line.strip().split(":")
        if fields[0] == name:
            return len(fields) < 3 or re.fullmatch(r"[0-9]+", fields[2]) is None or int(fields[2]) == 0
    return True


def _passwd(client: Client, container: str) -> str | None:
    """The file of a container that was not started; empty where there is none, None where it is no plain file."""
    try:
        chunks, _ = client.get_archive(container, _PASSWD)
        content = b""
        for chunk in chunks:
            content += chunk
            if len(content) > _MAX_PASSWD_BYTES:
                return None
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            member = archive.next()
            file = archive.extractfile(member) if member is not None and member.isreg() else None
            return file.read().decode("utf-8", "replace") if file is not None else None
    except docker.errors.NotFound:
        return ""
    except tarfile.TarError:
        return None
