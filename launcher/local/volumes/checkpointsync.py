"""Checkpoints both ways: restored before the script, uploaded while it runs, drained before the job ends (A8)."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from batchrl.contract.download import download
from batchrl.contract.layout import BEST_NAME, LATEST_NAME, S3Url
from batchrl.contract.nofollow import JobFolder
from batchrl.contract.pointers import pointed
from batchrl.contract.store import Client, size_of
from batchrl.contract.text import printable
from batchrl.contract.transfer import Transfer
from launcher.local.host.faults import storage_fault
from launcher.local.host.retry import DOWNLOAD_SECONDS, retry
from launcher.local.volumes.foldersync import FolderSync
from launcher.local.volumes.inputs import fetch

# Repeated failures of one kind are reported this often (seconds).
REPORT_EVERY = 30.0


class CheckpointSync:
    """The checkpoints of one job.

    Args:
        client: S3 client.
        folder: where the job keeps them.
        url: ``CheckpointConfig.S3Uri``; no job name is put into the keys (contract 59, 63).
        report: told about uploads that failed.
    """

    def __init__(self, client: Client, folder: JobFolder, url: S3Url, report: Callable[[str], None]) -> None:
        self._client = client
        self._folder = folder
        self._url = url
        self._report = report
        self._reported_at = 0.0
        self._sync = FolderSync(client, folder, url, "checkpoints", self._on_error)

    def restore(self) -> int:
        """Bring what is in S3 to the folder (contract 58), before the job can write to it; returns the number of files.

        Raises:
            JobFault: it could not be read, or does not fit the disk.
        """
        self._folder.place.mkdir(parents=True, exist_ok=True)
        # A folder, unlike the raw prefix of a channel: `run1/` must not bring `run10/`.
        source = S3Url(self._url.bucket, f"{self._url.key.rstrip('/')}/" if self._url.key else "")
        what = f"restore of the checkpoints from {self._url}"
        try:
            files = fetch(self._client, source, self._folder.place, what, may_be_empty=True).files
            files += self._restore_announced(what)
        except Exception as error:
            raise storage_fault(what, error) from error
        self._sync.assume_uploaded()
        return files

    def _restore_announced(self, what: str) -> int:
        """Fetch the pointers, and what they name, where the store does not list them yet; the number of files."""
        fetched = 0

        def fetch_missing(name: str) -> None:
            nonlocal fetched
            file, url = self._folder.place / name, self._url / name
            if not file.exists() and (size := size_of(self._client, url)) is not None:
                download(self._client, [Transfer(url, size, file)])
                fetched += 1

        for pointer in (LATEST_NAME, BEST_NAME):
            retry(what, self._client, partial(fetch_missing, pointer), patience=DOWNLOAD_SECONDS)
            if (named := self._named_by(pointer)) is not None:
                retry(what, self._client, partial(fetch_missing, named), patience=DOWNLOAD_SECONDS)
        return fetched

    def _named_by(self, pointer: str) -> str | None:
        """The file beside a pointer that it names; None where there is none, or a file of this name is another's."""
        try:
            return pointed((self._folder.place / pointer).read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def start(self) -> None:
        """Upload what is new or changed from now on."""
        self._sync.start()

    def finish(self) -> None:
        """Upload all that is left (contract 65).

        Raises:
            JobFault: some files did not reach S3 in ten minutes, or never can.
        """
        self._sync.finish("no checkpoint", "checkpoint files")

    def left_out(self) -> dict[str, str]:
        """Why files of the folder are not uploaded, by path; once ``finish`` has been called."""
        return self._sync.left_out

    def _on_error(self, path: str, error: Exception) -> None:
        if time.monotonic() - self._reported_at > REPORT_EVERY:
            self._reported_at = time.monotonic()
            self._report(f"checkpoint {printable(path)} could not be uploaded to {self._url}: {error}")
