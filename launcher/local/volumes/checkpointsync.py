"""Checkpoints both ways: restored before the script, uploaded while it runs, drained before the job ends (A8)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from batchrl.contract.layout import S3Url
from batchrl.contract.store import Client
from batchrl.contract.sync import FolderUploader
from launcher.local.host.faults import client_fault, storage_fault
from launcher.local.host.retry import UPLOAD_SECONDS
from launcher.local.volumes.inputs import fetch

INTERVAL = 0.5
# Repeated failures of one kind are reported this often (seconds).
REPORT_EVERY = 30.0


class CheckpointSync:
    """The checkpoints of one job.

    Args:
        client: S3 client.
        folder: where the job keeps them.
        url: ``CheckpointConfig.S3Uri``; no job name is put into the keys (contract 59, 63).
        report: told about uploads that failed and are tried again.
    """

    def __init__(self, client: Client, folder: Path, url: S3Url, report: Callable[[str], None]) -> None:
        self._client = client
        self._folder = folder
        self._url = url
        self._report = report
        self._reported_at = 0.0
        self._failure: Exception | None = None
        self._ended = threading.Event()
        self._uploader = FolderUploader(client, folder, url, with_manifest=False, on_error=self._on_error)
        self._thread = threading.Thread(
            target=self._uploader.run, args=(self._ended, INTERVAL), name="checkpoints", daemon=True
        )

    def restore(self) -> int:
        """Bring what is in S3 to the folder (contract 58); returns the number of files.

        Raises:
            JobFault: it could not be read, or does not fit the disk.
        """
        # A folder, unlike the raw prefix of a channel: `run1/` must not bring `run10/`.
        source = S3Url(self._url.bucket, f"{self._url.key.rstrip('/')}/" if self._url.key else "")
        what = f"restore of the checkpoints from {self._url}"
        try:
            fetched = fetch(self._client, source, self._folder, what, may_be_empty=True)
        except Exception as error:
            raise storage_fault(what, error) from error
        self._uploader.assume_uploaded()
        return fetched.files

    def start(self) -> None:
        """Upload what is new or changed from now on."""
        self._thread.start()

    def finish(self) -> None:
        """Upload all that is left (contract 65).

        Raises:
            JobFault: some files did not reach S3 in ten minutes.
        """
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        if not self._uploader.drain(UPLOAD_SECONDS):
            missing = self._uploader.unpublished()
            listed = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise client_fault(f"{len(missing)} checkpoint files did not reach {self._url}: {listed} ({self._failure})")

    def _on_error(self, path: str, error: Exception) -> None:
        self._failure = error
        if time.monotonic() - self._reported_at > REPORT_EVERY:
            self._reported_at = time.monotonic()
            self._report(f"checkpoint {path} could not be uploaded to {self._url} and is tried again: {error}")
