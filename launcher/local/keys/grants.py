"""Keys of jobs in the data folder: one file a key, which API server and store read without asking anybody.

A key is made when its job's program starts and revoked when that has ended: its file is gone, and with it all that it
opened, at once and for everybody. What a killed shim left is revoked by the API server (``sweep``).
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import re
import secrets
import stat
import string
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from batchrl.contract.files import write_atomically
from launcher.local.host.home import PRIVATE_FOLDER, HomePaths
from launcher.local.keys.places import Place, Places

# Longer than the cloud's own key, so that neither can be taken for the other.
_PREFIX = "BATCHRLJOB"
_RANDOM = 16
_NAME = re.compile(rf"{_PREFIX}[A-Z0-9]{{{_RANDOM}}}")
_ALPHABET = string.ascii_uppercase + string.digits
_MAX_BYTES = 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Grant:
    """The key of one job and what it opens.

    Args:
        access_key, secret_key: the key.
        job: whose it is (``JobRecord.key``).
        role_arn: the role that the job's request names.
        reads: what it may read.
        writes: what it may read and write.
    """

    access_key: str
    secret_key: str = field(repr=False)
    job: str
    role_arn: str
    reads: tuple[Place, ...] = ()
    writes: tuple[Place, ...] = ()


def issue(home: HomePaths, job: str, role_arn: str, places: Places) -> Grant:
    """Make a job's key; earlier ones of the same job open nothing any more.

    Args:
        home: the data folder.
        job: the job (``JobRecord.key``).
        role_arn: the role of its request.
        places: what the key is to open.

    Raises:
        OSError: it cannot be stored.
    """
    home.keys.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    revoke(home, job)
    access_key = _PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    grant = Grant(access_key, secrets.token_hex(20), job, role_arn, places.reads, places.writes)
    write_atomically(_file(home, access_key), json.dumps(asdict(grant)), shared=True, private=True)
    return grant


def find(home: HomePaths, access_key: str) -> Grant | None:
    """The grant of an access key, read anew each time; None for a key that is no job's, or no job's any more."""
    if not is_jobs(access_key):
        return None
    try:
        return _read(home, access_key)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("the key %s is of no use: %s", access_key, error)
        return None


def is_jobs(access_key: str) -> bool:
    """Whether an access key is spelled like one of a job, whether or not it opens anything."""
    return _NAME.fullmatch(access_key) is not None


def revoke(home: HomePaths, job: str) -> None:
    """Take all keys of a job back."""
    sweep(home, lambda owners: [owner for owner in owners if owner != job])


def sweep(home: HomePaths, living: Callable[[Collection[str]], Collection[str]]) -> None:
    """Revoke the keys of jobs that do not run.

    Args:
        home: the data folder.
        living: which of some jobs run. It is asked after the keys were read: a job runs before it has a key, so that
            one that does not run then has ended.
    """
    owners = {access_key: owner for access_key in _names(home) if (owner := _owner(home, access_key)) is not None}
    if not owners:
        return
    kept = set(living(sorted(set(owners.values()))))
    for access_key, job in owners.items():
        if job not in kept:
            _file(home, access_key).unlink(missing_ok=True)


def _owner(home: HomePaths, access_key: str) -> str | None:
    """Whose a key is: nobody's where its file is damaged; None where it cannot be told now."""
    try:
        return _read(home, access_key).job
    except ValueError:
        return ""
    except OSError:
        return None


def _names(home: HomePaths) -> list[str]:
    try:
        return [path.stem for path in home.keys.iterdir() if path.suffix == ".json" and is_jobs(path.stem)]
    except FileNotFoundError:
        return []


def _file(home: HomePaths, access_key: str) -> Path:
    return home.keys / f"{access_key}.json"


def _read(home: HomePaths, access_key: str) -> Grant:
    """What the file of a key says.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read now.
        ValueError: it is damaged, is a link or no file, or others can read it.
    """
    with _opened(home, access_key) as file:
        text = file.read(_MAX_BYTES + 1)
    try:
        values: dict[str, Any] = json.loads(text)
        for kind in ("reads", "writes"):
            values[kind] = tuple(Place(**place) for place in values[kind])
        grant = Grant(**values)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"its file is damaged: {error}") from error
    if grant.access_key != access_key:
        raise ValueError(f"its file is that of {grant.access_key}")
    return grant


@contextlib.contextmanager
def _opened(home: HomePaths, access_key: str) -> Iterator[BinaryIO]:
    try:
        folder = os.open(home.keys, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            file = os.open(
                f"{access_key}.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
            )
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise ValueError("its file, or the folder of keys, is a link") from error
        raise
    with os.fdopen(file, "rb") as opened:
        info = os.fstat(opened.fileno())
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.getuid() or stat.S_IMODE(info.st_mode) & 0o077:
            raise ValueError(f"its file is not this user's alone ({stat.filemode(info.st_mode)}, uid {info.st_uid})")
        yield opened
