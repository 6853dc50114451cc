"""Unpacking archives that came over a network: nothing is written outside of the folder.

Python's own extraction filters are younger than the Pythons of Debian 12 and of many images, so the rules stand here:
plain files and folders below the folder; links that stay in it, made last, so that nothing is written through one.
"""

from __future__ import annotations

import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from batchrl.contract.errors import InputError

EXECUTABLE_MODE = 0o755
PLAIN_MODE = 0o644
ONLY_INSIDE = "Such an archive holds files below its own folder only."


def extract(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder; files of the same names are replaced.

    Raises:
        InputError: the archive is damaged, or a member would lie outside of the folder or is no plain file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            _extract(tar, folder)
    except InputError as error:
        raise InputError(f"{archive}: {error.message}", error.hint) from error
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{archive} cannot be unpacked: {error}") from error


def _extract(tar: tarfile.TarFile, folder: Path) -> None:
    links = []
    for member in tar:
        path = folder / _inside(member.name, PurePosixPath(), member)
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif member.isfile() and (content := tar.extractfile(member)) is not None:
            _make_room(path)
            with path.open("wb") as file:
                shutil.copyfileobj(content, file)
            path.chmod(EXECUTABLE_MODE if member.mode & 0o100 else PLAIN_MODE)
        elif member.issym() or member.islnk():
            links.append((path, member))
        else:
            raise InputError(f"'{member.name}' is neither a file nor a folder nor a link.", ONLY_INSIDE)
    for path, member in sorted(links, key=lambda link: link[1].issym()):
        _make_room(path)
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


def _make_room(path: Path) -> None:
    """What an earlier extraction left at a path, a link perhaps, is not written through."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
