"""What the library of jobs says about logged data, asked in a process of its own.

The client itself loads neither numpy nor the library: data is looked at by the very code that a training job reads
it with. Data in S3 is fetched into a temporary folder first.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from batchrl.contract.errors import BatchRLError, InputError
from batchrl.contract.layout import S3_SCHEME, S3Url

MODULE = "batchrl.commandline.data"

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


class CouldNotAsk(BatchRLError):
    """The process ended as it never should."""


def ask(part: str, *arguments: str, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The answer of ``python -m batchrl.commandline.data``.

    Args:
        part: ``check``, ``describe`` or ``convert``.
        arguments: its command line.
        settings: a preset's ``data`` and ``seed``, for those parts that read them.

    Raises:
        InputError: the data is wrong, naming file, row and column.
        CouldNotAsk: the process failed.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", MODULE, part, *arguments],
        input=json.dumps(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == InputError.exit_code and done.stdout:
        found = json.loads(done.stdout)
        raise InputError(found["message"], found["hint"])
    if done.returncode != 0:
        raise CouldNotAsk(f"reading the data ended with exit code {done.returncode}: {done.stderr.strip()[-200:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


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
    from batchrl.contract.download import download, plan_download
    from launcher.session.session import session_of

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
            download(session.s3, source.bucket, transfers, on_bytes)
        base = str(source)[: str(source).rfind("/") + 1]
        try:
            yield Path(folder)
        except InputError as error:
            raise InputError(
                error.message.replace(f"{folder}/", base).replace(folder, str(source)), error.hint
            ) from error
