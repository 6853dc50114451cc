"""A folder that goes to S3 as a program writes to it, and whole at its end: checkpoints, outputs of processing jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable

from batchrl.contract.layout import S3Url
from batchrl.contract.nofollow import JobFolder
from batchrl.contract.store import Client
from batchrl.contract.sync import FolderUploader
from batchrl.contract.text import listed, printable
from launcher.local.host.faults import client_fault
from launcher.local.host.retry import UPLOAD_SECONDS

INTERVAL = 0.5


class FolderSync:
    """One folder.

    Args:
        client: S3 client.
        folder: where a program writes.
        url: the prefix that it goes to.
        name: of the thread.
        report: told, with a file's path and the fault, about each upload that failed.
    """

    def __init__(
        self, client: Client, folder: JobFolder, url: S3Url, name: str, report: Callable[[str, Exception], None]
    ) -> None:
        self._url = url
        self._report = report
        self._failure: Exception | str | None = None
        self._ended = threading.Event()
        self._uploader = FolderUploader(client, folder, url, with_manifest=False, on_error=self._on_error)
        self._thread = threading.Thread(target=self._uploader.run, args=(self._ended, INTERVAL), name=name, daemon=True)

    def assume_uploaded(self) -> None:
        """Take what is in the folder now for what is in S3."""
        self._uploader.assume_uploaded()

    def start(self) -> None:
        """Upload what is new or changed from now on."""
        self._thread.start()

    def finish(self, nothing: str, files: str, where: str = "") -> None:
        """Upload all that is left.

        Args:
            nothing: what messages say of a folder nothing of which reached S3.
            files: what they call its files.
            where: what they begin with.

        Raises:
            JobFault: some files did not reach S3 in ten minutes, or never can.
        """
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._uploader.drain(UPLOAD_SECONDS):
            return
        missing = self._uploader.unpublished()
        if "" in missing:
            raise client_fault(f"{where}{nothing} reached {self._url}: {self._failure}")
        shown = listed([printable(name) for name in missing], 5)
        raise client_fault(f"{where}{len(missing)} {files} did not reach {self._url}: {shown} ({self._failure})")

    @property
    def left_out(self) -> dict[str, str]:
        """Why files of the folder are not uploaded, by path; once ``finish`` has been called."""
        return self._uploader.left_out

    @property
    def size_bytes(self) -> int:
        """Bytes of what was uploaded."""
        return self._uploader.published_bytes()

    def _on_error(self, path: str, error: Exception) -> None:
        self._failure = getattr(error, "message", None) or error
        self._report(path, error)
