"""``/opt/ml/output/intermediate`` to S3 while the job runs (contract 105 to 107, 112).

The platform does not do this for plain images, so the job does it itself, on both clouds. An upload that fails never
fails the job: it is reported once and tried again, and what is missing in the end is named.
"""

from __future__ import annotations

import sys
import threading

from batchrl.contract.errors import InputError
from batchrl.contract.layout import JobLayout, S3Url
from batchrl.contract.nofollow import JobFolder
from batchrl.contract.text import listed, printable

# boto3 is imported this long after the script's start (seconds), or at the first file, so as not to slow its imports.
IMPORT_DELAY = 1.0
INTERVAL = 0.2
DRAIN_SECONDS = 600.0


def destination(s3_output: object, job_name: str) -> S3Url | None:
    """Where the folder is synced to; None where it is not synced (no S3 output, or a ``file://`` one).

    Raises:
        InputError: hyperparameter ``sagemaker_s3_output`` has another scheme.
    """
    if not isinstance(s3_output, str) or not s3_output or s3_output.startswith("file://"):
        return None
    if not job_name:
        raise InputError("TRAINING_JOB_NAME is not set: there is no key to sync the intermediate folder to.")
    return JobLayout(S3Url.parse(s3_output), job_name).intermediate


class IntermediateSync:
    """Uploads from a thread; started after the script, drained after its end.

    Args:
        folder: the folder to sync.
        target: the prefix that it goes to.
        endpoint_url: an S3 server other than AWS.
    """

    def __init__(self, folder: JobFolder, target: S3Url, endpoint_url: str | None) -> None:
        self._folder = folder
        self._target = target
        self._endpoint_url = endpoint_url
        self._script_ended = threading.Event()
        self._warned = False
        self._thread = threading.Thread(target=self._run, name="intermediate", daemon=True)

    def start(self) -> None:
        """Begin to sync in a thread."""
        self._thread.start()

    def finish(self) -> None:
        """Upload what is left; to be called after the script's end."""
        self._script_ended.set()
        self._thread.join()

    def _run(self) -> None:
        waited = 0.0
        while waited < IMPORT_DELAY and not self._script_ended.wait(INTERVAL / 4) and not self._has_files():
            waited += INTERVAL / 4
        if self._script_ended.is_set() and not self._has_files():
            return
        try:
            self._sync()
        except Exception as error:
            say(f"the intermediate folder is not synced to {self._target}: {error}")

    def _sync(self) -> None:
        import boto3

        from batchrl.contract.store import s3_client
        from batchrl.contract.sync import FolderUploader

        session = boto3.Session()
        if session.get_credentials() is None:
            say(f"the intermediate folder is not synced to {self._target}: a job without a network has no credentials")
            return
        uploader = FolderUploader(
            s3_client(session, self._endpoint_url),
            self._folder,
            self._target,
            with_manifest=True,
            on_error=self._on_error,
        )
        uploader.run(self._script_ended, INTERVAL)
        if not uploader.drain(DRAIN_SECONDS):
            missing = uploader.unpublished()
            shown = listed([printable(name) for name in missing], 10)
            say(f"{len(missing)} files of the intermediate folder did not reach {self._target}: {shown}")
        for path, why in sorted(uploader.left_out.items()):
            say(f"left out of the intermediate folder: '{printable(path)}', {why}")

    def _has_files(self) -> bool:
        try:
            listing = self._folder.list()
        except (InputError, OSError):
            return True  # the sync says what is wrong
        return bool(listing.files or listing.left_out or listing.faults)

    def _on_error(self, path: str, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            say(f"{printable(path) or self._folder} could not be uploaded to {self._target}: {error}")


def say(text: str) -> None:
    """A line of ours in the job's log."""
    print(f"batchrl.boot: {text}", file=sys.stderr, flush=True)
