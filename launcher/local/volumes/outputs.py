"""The outputs of a processing job, to S3: each folder to its prefix, as it is written or at the job's end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from batchrl.contract.layout import S3Url
from batchrl.contract.store import Client
from batchrl.contract.text import printable
from launcher.api.processing_rules import outputs_of, sent
from launcher.local.host.home import JobHome
from launcher.local.volumes.foldersync import FolderSync
from launcher.local.volumes.processingtree import output_folder

CONTINUOUS = "Continuous"

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
        self._continuous = target.get("S3UploadMode") == CONTINUOUS
        folder = output_folder(home, target["LocalPath"])
        self._sync = FolderSync(client, folder, self._url, f"output-{self.name}", self._warn)

    @classmethod
    def all_of(cls, client: Client, home: JobHome, request: Mapping[str, Any]) -> list[Output]:
        """Those of a CreateProcessingJob request."""
        return [cls(client, home, one) for one in outputs_of(request) if sent(one)]

    def start(self) -> None:
        """Send what is new or changed from now on, if that is how it is sent."""
        if self._continuous:
            self._sync.start()

    def finish(self) -> None:
        """Send all that is left.

        Raises:
            JobFault: some files did not reach S3 in ten minutes, or never can.
        """
        self._sync.finish("nothing", "files", where=f"output '{self.name}': ")

    @property
    def left_out(self) -> dict[str, str]:
        """Why files were not sent, by path; once ``finish`` has been called."""
        return self._sync.left_out

    @property
    def size_bytes(self) -> int:
        """Bytes of what was sent."""
        return self._sync.size_bytes

    def _warn(self, path: str, error: Exception) -> None:
        log.warning("output %s: %s could not be sent to %s: %s", self.name, printable(path), self._url, error)
