"""The job's code: from the archive that travels with the request into a folder (contract 24, 123)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from batchrl.contract import hyperparameters as names
from batchrl.contract.archive import extract
from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3Url
from batchrl.contract.paths import CODE_ARCHIVE_NAME, JobPaths


def code_folder(paths: JobPaths, hyperparameters: Mapping[str, names.Value]) -> Path:
    """The folder of the job's code, unpacked unless it holds something already.

    The archive is the one of channel ``code``, else the one that ``sagemaker_submit_directory`` names: a file, a
    folder, or an S3 URL.

    Raises:
        InputError: there is no code, or the archive is damaged or would write outside of its folder.
    """
    if paths.code.is_dir() and any(paths.code.iterdir()):
        return paths.code
    submitted = hyperparameters.get(names.SUBMIT_DIRECTORY)
    if isinstance(submitted, str) and submitted.startswith("s3://"):
        archive = paths.root / CODE_ARCHIVE_NAME
        _download(S3Url.parse(submitted), archive)
        unpack(archive, paths.code)
        archive.unlink()
        return paths.code
    local = paths.local(submitted) if isinstance(submitted, str) and submitted else paths.code_archive
    if local.is_dir():
        return local
    if not local.is_file():
        raise InputError(
            f"there is no code to run: {local} does not exist and {paths.code} is empty.",
            f"Give the job a channel 'code' with {CODE_ARCHIVE_NAME}, or build the code into the image.",
        )
    unpack(local, paths.code)
    return paths.code


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive; the folder appears only when it is whole.

    Raises:
        InputError: as ``contract.archive.extract`` does.
    """
    # Not ``whole_file``: a folder, of which an earlier one must be removed with what is in it.
    temporary = folder.with_name(folder.name + ".unpacking")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        extract(archive, temporary)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _download(url: S3Url, archive: Path) -> None:
    from batchrl.contract.store import reported, s3_client
    from batchrl.contract.transfer import Manner, Transfer, bring

    client = s3_client(endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3"))
    with reported(f"download of {url}", client):
        bring(client, Transfer(url, 0, archive), Manner())
