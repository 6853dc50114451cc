"""The job's code: from the archive that travels with the request into a folder (contract 24, 123)."""

from __future__ import annotations

import os
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from batchrl.contract import hyperparameters as names
from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3Url
from batchrl.contract.paths import CODE_ARCHIVE_NAME, JobPaths

EXECUTABLE_MODE = 0o755
PLAIN_MODE = 0o644
ONLY_INSIDE = "A code archive holds files below its own folder only."


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

    Python's own extraction filters are younger than the Pythons of many images, so the rules stand here: plain files
    and folders below the folder; links that stay in it, made last, so that nothing is ever written through one.

    Raises:
        InputError: the archive is damaged, or a member would lie outside of the folder or is no plain file.
    """
    temporary = folder.with_name(folder.name + ".unpacking")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        with tarfile.open(archive) as tar:
            _extract(tar, temporary)
        temporary.replace(folder)
    except InputError as error:
        raise InputError(f"{archive}: {error.message}", error.hint) from error
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{archive} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _extract(tar: tarfile.TarFile, folder: Path) -> None:
    links = []
    for member in tar:
        path = folder / _inside(member.name, PurePosixPath(), member)
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif member.isfile() and (content := tar.extractfile(member)) is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(content, file)
            path.chmod(EXECUTABLE_MODE if member.mode & 0o100 else PLAIN_MODE)
        elif member.issym() or member.islnk():
            links.append((path, member))
        else:
            raise InputError(f"'{member.name}' is neither a file nor a folder nor a link.", ONLY_INSIDE)
    for path, member in sorted(links, key=lambda link: link[1].issym()):
        path.parent.mkdir(parents=True, exist_ok=True)
        if member.issym():
            _inside(member.linkname, PurePosixPath(member.name).parent, member)
            path.symlink_to(member.linkname)
        else:
            shutil.copy(folder / _inside(member.linkname, PurePosixPath(), member), path)


def _inside(name: str, start: PurePosixPath, member: tarfile.TarInfo) -> PurePosixPath:
    """A path of an archive, spelled from its top; ``start`` is the folder that it is relative to."""
    parts: list[str] = []
    for part in (start / name).parts:
        if part == "/" or (part == ".." and not parts):
            raise InputError(f"'{member.name}' leads out of the archive's folder ({name}).", ONLY_INSIDE)
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)


def _download(url: S3Url, archive: Path) -> None:
    from batchrl.contract.store import reported, s3_client

    client = s3_client(endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3"))
    with reported(f"download of {url}", client):
        client.download_file(url.bucket, url.key, str(archive))
