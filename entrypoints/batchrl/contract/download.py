"""Prefix to folder: each file appears under its name only when it is whole (contract A7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import botocore.exceptions

from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.files import whole_file
from batchrl.contract.layout import S3Url
from batchrl.contract.parallel import run_all
from batchrl.contract.store import Client, list_objects

DOWNLOAD_THREADS = 16


@dataclass(frozen=True)
class Transfer:
    """One object and the file that it becomes."""

    key: str
    size: int
    file: Path


def relative_path(key: str, prefix: str) -> str | None:
    """Path of an object below a channel (contract 48, 49): its key without the folder of the prefix.

    Returns:
        None for a folder marker, which holds no data.

    Raises:
        InputError: the key would leave the folder that it is downloaded to.
    """
    relative = key[prefix.rfind("/") + 1 :]
    if key.endswith("/"):
        return None
    parts = PurePosixPath(relative).parts
    if not parts or relative.startswith("/") or ".." in parts or "\0" in relative or "//" in relative:
        raise InputError(f"the key '{key}' cannot be a file: '{relative}' is no path below a folder.")
    return relative


def plan_download(client: Client, source: S3Url, folder: Path) -> list[Transfer]:
    """What a raw prefix would put into a folder.

    Raises:
        InputError: a key cannot be a file, or is both a file and a folder.
    """
    transfers = []
    for key, size in list_objects(client, source):
        relative = relative_path(key, source.key)
        if relative is not None:
            transfers.append(Transfer(key, size, folder / relative))
    files = {transfer.file for transfer in transfers}
    for transfer in transfers:
        if clash := next((parent for parent in transfer.file.parents if parent in files), None):
            raise InputError(
                f"s3://{source.bucket}: '{transfer.key}' lies below '{clash.relative_to(folder)}', which is an object "
                "itself; on disk a name is a file or a folder."
            )
    return transfers


def download(
    client: Client, bucket: str, transfers: list[Transfer], on_bytes: Callable[[int], None] = lambda count: None
) -> None:
    """Fetch objects in parallel; each file appears under its name only when it is whole.

    Args:
        client: S3 client.
        bucket: the bucket.
        transfers: what to fetch.
        on_bytes: told the number of bytes of each chunk that arrived.

    Raises:
        DamagedContent: an object was cut short, three times in a row.
        OSError: the disk is full or the folder not writable; temporary files are removed.
    """
    run_all(
        [partial(_fetch, client, bucket, transfer, on_bytes) for transfer in transfers], DOWNLOAD_THREADS, "download"
    )


def _fetch(client: Client, bucket: str, transfer: Transfer, on_bytes: Callable[[int], None]) -> None:
    transfer.file.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(3):
        try:
            answer = client.get_object(Bucket=bucket, Key=transfer.key)
            received = 0
            with whole_file(transfer.file) as temporary:
                with temporary.open("wb") as file:
                    for chunk in answer["Body"].iter_chunks(1024 * 1024):
                        file.write(chunk)
                        received += len(chunk)
                        on_bytes(len(chunk))
                if received != answer["ContentLength"]:
                    raise DamagedContent(
                        f"s3://{bucket}/{transfer.key}: {received} of {answer['ContentLength']} bytes arrived."
                    )
            return
        except (
            DamagedContent,
            botocore.exceptions.IncompleteReadError,
            botocore.exceptions.ResponseStreamingError,
        ) as error:
            if attempt == 2:
                raise DamagedContent(f"s3://{bucket}/{transfer.key} cannot be read whole: {error}") from error


def download_prefix(client: Client, source: S3Url, folder: Path) -> list[Transfer]:
    """Everything below a raw prefix into a folder; see ``plan_download`` and ``download`` for the errors."""
    transfers = plan_download(client, source, folder)
    download(client, source.bucket, transfers)
    return transfers
