"""The outputs of a processing job, to S3: each folder to its prefix, as it is written or at the job's end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from batchrl.contract.layout import S3Url
from batchrl.contract.nofollow import JobFolder
from batchrl.contract.store import Client
from batchrl.contract.sync import FolderUploader
from batchrl.contract.text import listed, printable
from launcher.api.processing_rules import outputs_of, sent
from launcher.local.host.faults import JobFault, client_fault
from launcher.local.host.home import JobHome
from launcher.local.host.retry import UPLOAD_SECONDS
from launcher.local.volumes.processingtree import output_folder

CONTINUOUS = "Continuous"
INTERVAL = 0.5

log = logging.getLogger(__name__)


class Output:
    """One output.

    Args:
        client: S3 client.
        home: the files of the job.
        request: an item of ``ProcessingOutputConfig.Outputs`` that the platform sends.
    """

    def __init__(self, client: Client, home: JobHome, request: Mapping[str, Any]) -> None:
        target = request["S3Output"]
        self.name: str = request["OutputName"]
        self._url = S3Url.parse(target["S3Uri"])
        self._folder: JobFolder = output_folder(home, target["LocalPath"])
        self._continuous = target.get("S3UploadMode") == CONTINUOUS
        self._uploader = FolderUploader(client, self._folder, self._url, with_manifest=False, on_error=self._on_error)
        self._failure: Exception | str | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._uploader.run, args=(self._ended, INTERVAL), name=f"output-{self.name}", daemon=True
        )

    @classmethod
    def all_of(cls, client: Client, home: JobHome, request: Mapping[str, Any]) -> list[Output]:
        """Those of a CreateProcessingJob request."""
        return [cls(client, home, one) for one in outputs_of(request) if sent(one)]

    def start(self) -> None:
        """Send what is new or changed from now on, if that is how it is sent."""
        if self._continuous:
            self._thread.start()

    def finish(self) -> None:
        """Send all that is left.

        Raises:
            JobFault: some files did not reach S3 in ten minutes, or never can.
        """
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        if not self._uploader.drain(UPLOAD_SECONDS):
            raise self._fault()

    @property
    def left_out(self) -> dict[str, str]:
        """Why files were not sent, by path; once ``finish`` has been called."""
        return self._uploader.left_out

    @property
    def size_bytes(self) -> int:
        """Bytes of what was sent."""
        return self._uploader.published_bytes()

    def _fault(self) -> JobFault:
        missing = self._uploader.unpublished()
        where = f"output '{self.name}'"
        if "" in missing:
            return client_fault(f"{where}: nothing reached {self._url}: {self._failure}")
        shown = listed([printable(name) for name in missing], 5)
        return client_fault(f"{where}: {len(missing)} files did not reach {self._url}: {shown} ({self._failure})")

    def _on_error(self, path: str, error: Exception) -> None:
        self._failure = getattr(error, "message", None) or error
        log.warning("output %s: %s could not be sent to %s: %s", self.name, printable(path), self._url, error)
