"""Packing folders, and unpacking archives that came over a network: nothing is written outside of the folder.

Python's own extraction filters are younger than the Pythons of Debian 12 and of many images, so the rules stand here:
plain files and folders below the folder; links that stay in it, made last, so that nothing is written through one.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from batchrl.contract.errors import InputError

EXECUTABLE_MODE = 0o755
PLAIN_MODE = 0o644
# Weights hardly shrink, and a job's end waits for this.
COMPRESSION_LEVEL = 1
# Members get one time, so that equal contents are equal archives; tar warns about times before 1980.
MEMBER_TIME = 315_532_800
ONLY_INSIDE = "Such an archive holds files below its own folder only."


def pack(folder: Path, target: Path) -> bool:
    """Pack the contents of a folder, paths relative to it; equal contents give equal bytes (contract 67, 68).

    Links inside the folder are kept as links; sockets, pipes and devices are left out.

    Returns:
        Whether the folder held anything; if not, no archive is made (contract 71, 72).

    Raises:
        OSError: the disk is full, or a file cannot be read.
    """
    members = list(_members(folder))
    if not members:
        return False
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", COMPRESSION_LEVEL, raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path, name in members:
            info = tar.gettarinfo(str(path), name)
            info.uid = info.gid = 0
            info.uname = info.gname = "root"
            info.mtime = MEMBER_TIME
            if info.isreg():
                with path.open("rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
    return True


def _members(folder: Path) -> Iterator[tuple[Path, str]]:
    for parent, folders, files in os.walk(folder):
        folders.sort()
        here = Path(parent)
        linked = [name for name in folders if (here / name).is_symlink()]
        for name in sorted([*folders, *files]):
            path = here / name
            if path.is_symlink() or path.is_dir() or path.is_file():
                yield path, path.relative_to(folder).as_posix()
        folders[:] = [name for name in folders if name not in linked]


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
