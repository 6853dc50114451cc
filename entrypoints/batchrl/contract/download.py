"""Prefix to folder: where each key lands, and all of them fetched at once (contract A7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3Url
from batchrl.contract.parallel import run_all
from batchrl.contract.ranges import MOST_STREAMS, RANGED_BYTES
from batchrl.contract.store import Client, list_entries
from batchrl.contract.transfer import Manner, Transfer, bring

DOWNLOAD_THREADS = 16
REPLACING = Manner()


def below_folder(key: str, prefix: str) -> str:
    """A key without the folder of a raw prefix (contract 48, 49)."""
    return key[prefix.rfind("/") + 1 :]


def relative_path(key: str, prefix: str) -> str | None:
    """Path of an object below a channel (contract 48, 49).

    It is the key without the prefix and the slash that follows it; where no slash follows, without the folder of the
    prefix: below ``train``, ``train/a.csv`` is ``a.csv``, and ``train-2/a.csv`` stays as it is.

    Returns:
        None for a folder marker, which holds no data.

    Raises:
        InputError: the key would leave the folder that it is downloaded to.
    """
    is_folder = bool(prefix) and not prefix.endswith("/") and key.startswith(f"{prefix}/")
    relative = below_folder(key, f"{prefix}/" if is_folder else prefix)
    if key.endswith("/"):
        return None
    parts = PurePosixPath(relative).parts
    if not parts or relative.startswith("/") or ".." in parts or "\0" in relative or "//" in relative:
        raise InputError(f"the key '{key}' cannot be a file: '{relative}' is no path below a folder.")
    return relative


def list_transfers(client: Client, source: S3Url, folder: Path, prefix: S3Url | None = None) -> Iterator[Transfer]:
    """Objects below a raw prefix and the files that they become; none is no fault.

    Args:
        client: S3 client.
        source: the raw prefix.
        folder: where the files go, by the paths below ``source``.
        prefix: the synced folder that may list them.

    Raises:
        InputError: a key cannot be a file.
    """
    for entry in list_entries(client, source):
        relative = relative_path(entry["Key"], source.key)
        if relative is not None:
            url = S3Url(source.bucket, entry["Key"])
            etag, modified = entry.get("ETag", ""), entry.get("LastModified")
            yield Transfer(url, entry["Size"], folder / relative, etag, modified, prefix)


def plan_download(client: Client, source: S3Url, folder: Path) -> list[Transfer]:
    """What a raw prefix would put into a folder.

    Raises:
        InputError: a key cannot be a file, is both a file and a folder, or would be the same file as another key.
    """
    transfers = list(list_transfers(client, source, folder))
    files: dict[Path, Transfer] = {}
    for transfer in transfers:
        if (other := files.setdefault(transfer.file, transfer)) is not transfer:
            raise InputError(
                f"s3://{source.bucket}: '{other.url.key}' and '{transfer.url.key}' would both be the file "
                f"'{transfer.file.relative_to(folder)}'.",
                f"Write {source}/ to name the folder alone.",
            )
    for transfer in transfers:
        if clash := next((parent for parent in transfer.file.parents if parent in files), None):
            raise InputError(
                f"s3://{source.bucket}: '{transfer.url.key}' lies below '{clash.relative_to(folder)}', which is an "
                "object itself; on disk a name is a file or a folder."
            )
    return transfers


def download(client: Client, transfers: Sequence[Transfer], manner: Manner = REPLACING) -> list[Transfer]:
    """Fetch objects in parallel; each file appears under its name only when it is whole.

    Memory: 1 MiB for each of 16 transfers and of up to 8 parts of large ones.

    Args:
        client: S3 client.
        transfers: what to fetch.
        manner: how.

    Returns:
        What had to be read; the files of the rest were there and good.

    Raises:
        DamagedContent: an object could not be read whole.
        botocore.exceptions.ClientError: the store refuses.
        OSError: the disk is full or the folder not writable; see ``batchrl.contract.transfer.bring``.
    """
    # The largest first, so that none is left to come alone at the end; where they are few, each in parts.
    large = sum(transfer.size >= RANGED_BYTES for transfer in transfers)
    streams = max(1, MOST_STREAMS // max(1, large))
    order = sorted(transfers, key=lambda transfer: -transfer.size)
    read = run_all([partial(bring, client, one, manner, streams) for one in order], DOWNLOAD_THREADS, "download")
    was_read = {one.file for one, fetched in zip(order, read, strict=True) if fetched}
    return [transfer for transfer in transfers if transfer.file in was_read]


def download_prefix(client: Client, source: S3Url, folder: Path) -> list[Transfer]:
    """Everything below a raw prefix into a folder; see ``plan_download`` and ``download`` for the errors."""
    return download(client, plan_download(client, source, folder))
