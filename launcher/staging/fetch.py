"""Data that lies in S3, brought to this computer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchrl.contract.download import download, plan_download
from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3_SCHEME, S3Url
from batchrl.contract.manifest import MANIFEST_NAME
from batchrl.contract.transfer import Manner
from launcher.session.session import Session, session_of

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@contextmanager
def local_data(given: str, progress: Progress) -> Iterator[Path]:
    """A path as it is, or what lies below an S3 prefix in a temporary folder that is removed afterwards.

    Inside, errors about the temporary folder name the prefix instead.

    Args:
        given: path or ``s3://`` URL of a file or of files with a common prefix.
        progress: makes a progress display from a text and a number of bytes.

    Raises:
        InputError: nothing lies there, or there is no room for it.
        Unreachable: the store does not answer.
    """
    if not given.startswith(S3_SCHEME):
        yield Path(given).expanduser()
        return
    source = S3Url.parse(given)
    session = session_of(source)
    with tempfile.TemporaryDirectory(prefix="batchrl-data-") as folder:
        with session.reported(f"looking for {source}", session.s3):
            transfers = plan_download(session.s3, source, Path(folder))
            if not transfers:
                raise InputError(f"{source}: nothing lies there.", "Give the URL of a file, or of a folder of files.")
        total = sum(transfer.size for transfer in transfers)
        with (
            session.reported(f"download of {source}", session.s3),
            progress(f"download of {source}", total) as on_bytes,
        ):
            download(session.s3, transfers, Manner(on_bytes=on_bytes))
        try:
            yield Path(folder)
        except InputError as error:
            message = error.message
            for transfer in sorted(transfers, key=lambda one: -len(str(one.file))):
                message = message.replace(str(transfer.file), str(transfer.url))
            raise InputError(message.replace(folder, str(source)), error.hint) from error


@dataclass(frozen=True)
class Fetched:
    """Something on this computer, and what its user calls it."""

    name: str
    path: Path


def fetch_prefix(text: str, folder: Path, session: Session | None = None) -> Fetched:
    """A file or folder, or what lies below an S3 prefix, copied into a folder.

    Args:
        text: a path or S3 URL.
        folder: where to; made if need be.
        session: the cloud of the bucket; None for the one that its name means.

    Raises:
        InputError: nothing is there.
        Unreachable: the store does not answer.
    """
    if not text.startswith(S3_SCHEME):
        path = Path(text).expanduser()
        if not path.exists():
            raise InputError(f"there is no file or folder {path}.")
        return Fetched(text, path)
    url = S3Url.parse(text)
    cloud = session or session_of(url)
    with cloud.reported(f"download of {text}", cloud.s3):
        found = plan_download(cloud.s3, url, folder)
        transfers = [transfer for transfer in found if transfer.file.name != MANIFEST_NAME]
        if not transfers:
            raise InputError(f"{text}: nothing lies there.")
        download(cloud.s3, transfers)
    single = len(transfers) == 1 and transfers[0].url == url
    return Fetched(text, transfers[0].file if single else folder)
