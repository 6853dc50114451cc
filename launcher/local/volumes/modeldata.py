"""A model's data, from S3 into ``/opt/ml/model`` (contract 126, 127)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import botocore.exceptions

from batchrl.contract.archive import extract
from batchrl.contract.layout import S3Url
from batchrl.contract.paths import MODEL_ARCHIVE_NAME, JobPaths
from batchrl.contract.store import Client, is_missing
from batchrl.contract.transfer import Manner, Transfer, bring
from launcher.local.host.faults import client_fault, storage_fault
from launcher.local.host.retry import DOWNLOAD_SECONDS, retry
from launcher.local.volumes.inputs import fetch

GZIP = "Gzip"


def provide(client: Client, container: Mapping[str, Any], roots: Sequence[Path]) -> None:
    """Lay out the trees of model servers, their models in them; it is fetched once.

    Args:
        client: S3 client.
        container: the model's PrimaryContainer.
        roots: what is ``/opt/ml`` to each server; what lies there already is removed.

    Raises:
        JobFault: the data is not there, is no archive, or does not fit the disk.
    """
    first = JobPaths(roots[0]).model
    what = f"download of the model's data {_source(container) or ''}".rstrip()
    try:
        for root in roots:
            shutil.rmtree(root, ignore_errors=True)
            JobPaths(root).model.mkdir(parents=True)
        _fill(client, container, first, what)
        for root in roots[1:]:
            shutil.copytree(first, JobPaths(root).model, symlinks=True, dirs_exist_ok=True)
    except Exception as error:
        raise storage_fault(what, error) from error


def _source(container: Mapping[str, Any]) -> str | None:
    source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
    return container.get("ModelDataUrl") or source.get("S3Uri")


def _fill(client: Client, container: Mapping[str, Any], model: Path, what: str) -> None:
    """Bring the data: an archive is unpacked, a prefix is copied as it is; without either the folder stays empty."""
    text = _source(container)
    if text is None:
        return
    url, source = S3Url.parse(text), (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
    if source and source.get("CompressionType") != GZIP:
        fetch(client, url, model, what)
        return
    archive = model.with_name(MODEL_ARCHIVE_NAME)
    try:
        retry(what, client, lambda: _download(client, url, archive), patience=DOWNLOAD_SECONDS)
        if not archive.exists():
            raise client_fault(f"the model's data {url} does not exist.")
        extract(archive, model)
    finally:
        archive.unlink(missing_ok=True)


def _download(client: Client, url: S3Url, file: Path) -> None:
    """Fetch an object; the file is not there where there is none."""
    try:
        bring(client, Transfer(url, 0, file), Manner())
    except botocore.exceptions.ClientError as error:
        if not is_missing(error):
            raise
