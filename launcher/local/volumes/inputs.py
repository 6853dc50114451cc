"""Channels from S3 to disk, whole before PID 1 starts (contract A7, 47 to 49)."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchrl.contract.download import download, plan_download
from batchrl.contract.layout import S3Url
from batchrl.contract.named import check_named
from batchrl.contract.paths import JobPaths
from batchrl.contract.store import Client
from batchrl.contract.transfer import Transfer
from launcher.local.events.eventfile import EventFile
from launcher.local.events.kinds import InputDownloaded
from launcher.local.host.faults import client_fault, storage_fault
from launcher.local.host.retry import DOWNLOAD_SECONDS, retry
from launcher.local.volumes.tree import Request, channel_mode

# A FastFile channel reads like a folder; a full copy of it does as well.
FAST_FILE = "FastFile"
SUPPORTED_MODES = ("File", FAST_FILE)


def download_channels(
    client: Client,
    request: Request,
    paths: JobPaths,
    proceed: Callable[[], bool] = lambda: True,
    events: EventFile | None = None,
) -> None:
    """Fetch every channel.

    Args:
        client: S3 client.
        request: the training request.
        paths: the job's tree; the folders of its channels are there.
        proceed: asked between channels; False ends the work early.
        events: where it is told how long each channel took.

    Raises:
        JobFault: a channel has no objects, is of a kind that is not supported, does not fit the disk, or was damaged
            in the store since it was uploaded.
    """
    for channel in request.get("InputDataConfig") or ():
        if not proceed():
            return
        name = channel["ChannelName"]
        source = _source(channel, request)
        what = f"channel '{name}': download of {source}"
        began = time.monotonic()
        try:
            fetched = fetch(client, source, paths.channel(name), what)
            check_named(client, source, paths.channel(name))
        except Exception as error:
            raise storage_fault(what, error) from error
        if events is not None:
            seconds = time.monotonic() - began
            events.add(InputDownloaded(name, fetched.files, fetched.size_bytes, seconds))


@dataclass(frozen=True)
class Fetched:
    """How much came."""

    files: int
    size_bytes: int


def fetch(client: Client, source: S3Url, folder: Path, what: str, *, may_be_empty: bool = False) -> Fetched:
    """Everything below a raw prefix into a folder; a store that is restarted meanwhile is waited for.

    Raises:
        JobFault: there is nothing below it (unless it may be empty), or the disk has too little room.
        BatchRLError: it cannot be read.
    """
    transfers: list[Transfer] = []

    def attempt() -> None:
        transfers[:] = plan_download(client, source, folder)
        _check_room(folder, transfers, what)
        download(client, transfers)

    retry(what, client, attempt, patience=DOWNLOAD_SECONDS)
    if not transfers and not may_be_empty:
        raise client_fault(
            f"{what}: no S3 objects found under S3 URL '{source}'. Check that bucket and prefix are spelled right "
            "and that the data was uploaded before the job was started."
        )
    return Fetched(len(transfers), sum(transfer.size for transfer in transfers))


def _check_room(folder: Path, transfers: list[Transfer], what: str) -> None:
    needed, free = sum(transfer.size for transfer in transfers), shutil.disk_usage(folder).free
    if needed > free:
        raise client_fault(f"{what}: its objects hold {needed:,} bytes, the disk of {folder} has {free:,} free.")


def _source(channel: Mapping[str, Any], request: Request) -> S3Url:
    name, mode = channel["ChannelName"], channel_mode(channel, request)
    if mode not in SUPPORTED_MODES:
        raise client_fault(f"channel '{name}': input mode {mode} is not supported by the local cloud; use File.")
    source = channel["DataSource"].get("S3DataSource")
    if source is None:
        raise client_fault(f"channel '{name}': the local cloud reads channels from S3 only.")
    if (data_type := source.get("S3DataType")) != "S3Prefix":
        raise client_fault(f"channel '{name}': the local cloud does not know S3DataType {data_type}; use S3Prefix.")
    return S3Url.parse(source["S3Uri"])
