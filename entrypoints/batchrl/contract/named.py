"""Content whose key says what it is: data sets and archives of code lie under their own sha256.

A file's is its own; a folder's covers the names and contents of all its files.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from batchrl.contract.download import relative_path
from batchrl.contract.errors import InputError
from batchrl.contract.files import file_sha256
from batchrl.contract.layout import DATASETS, SOURCE, S3Url
from batchrl.contract.store import Client, list_objects

_NAMED = re.compile(rf"(?:.*/)?(?:{DATASETS}|{SOURCE})/([0-9a-f]{{64}})/(.*)", re.DOTALL)


def folder_sha256(files: Iterable[tuple[str, str]]) -> str:
    """The digest of a folder.

    Args:
        files: path below it and sha256 of each file, sorted by path.
    """
    return hashlib.sha256(json.dumps([[name, sha256] for name, sha256 in files]).encode()).hexdigest()


def check_named(client: Client, source: S3Url, folder: Path) -> None:
    """Compare what was fetched with the digest in its key; where there is none, or it is of more than this, nothing.

    Args:
        client: S3 client.
        source: the raw prefix that was fetched, whole.
        folder: where its files are.

    Raises:
        InputError: it is not what was uploaded.
    """
    named = _NAMED.fullmatch(source.key)
    if named is None:
        return
    wanted, part = named.groups()
    top = S3Url(source.bucket, source.key.removesuffix(part))
    names = sorted(key.removeprefix(top.key) for key, _ in list_objects(client, top) if not key.endswith("/"))
    if not names or (part and names != [part]):
        return  # a part of a folder, of which the folder's digest says nothing
    files = [(name, file_sha256(folder / str(relative_path(top.key + name, source.key)))) for name in names]
    if wanted not in {folder_sha256(files), *(sha256 for _, sha256 in files[:1] if len(files) == 1)}:
        raise InputError(
            f"{source} does not hold what was uploaded: its content has another sha256 than its name says, so it was "
            "damaged or changed in the store.",
            "Delete it there, and submit the job again from the original: it is then uploaded anew.",
        )
