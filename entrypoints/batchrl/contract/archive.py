"""Packing folders, and unpacking archives that came over a network: nothing is written outside of the folder.

Python's own extraction filters are younger than the Pythons of Debian 12 and of many images, so the rules stand here:
plain files and folders below the folder; links that stay in it, made last, so that nothing is written through one.
"""

from __future__ import annotations

import gzip
import os
import posixpath
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from batchrl.contract.errors import InputError
from batchrl.contract.nofollow import FOLDER_FLAGS, MOST_LEVELS, JobFolder, Listing

EXECUTABLE_MODE = 0o755
PLAIN_MODE = 0o644
# Weights hardly shrink, and a job's end waits for this.
COMPRESSION_LEVEL = 1
# Members get one time, so that equal contents are equal archives; tar warns about times before 1980.
MEMBER_TIME = 315_532_800
LINK_MODE = 0o777
# Beyond these nobody packs a model or a result; a small archive can be made to hold any number.
MOST_MEMBERS = 1_000_000
UNPACKED_TIMES, UNPACKED_ANYWAY = 100, 1024**3
TOO_MUCH = "It was made to fill a disk, or is damaged."
ONLY_INSIDE = "Such an archive holds files below its own folder only."


@dataclass(frozen=True)
class Packed:
    """What became of a folder.

    Args:
        members: how many members its archive has; without any there is none.
        left_out: why, by path.
    """

    members: int
    left_out: dict[str, str]


def pack(folder: JobFolder, target: Path) -> Packed:
    """Pack the contents of a folder, paths relative to it; equal contents give equal bytes (contract 67, 68).

    Links that stay in the folder are kept as links. No archive is made of a folder that holds nothing, or is not there
    (contract 71, 72).

    Raises:
        InputError: the folder itself is a link, or no folder.
        OSError: the disk is full, or a file cannot be read.
    """
    listing = folder.list(as_it_lies=True)
    for fault in listing.faults.values():
        raise fault
    names = sorted({*listing.folders, *listing.files, *listing.links}, key=_in_order)
    if names:
        with (
            target.open("wb") as raw,
            gzip.GzipFile("", "wb", COMPRESSION_LEVEL, raw, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            _add_all(tar, folder, listing, names)
    return Packed(len(names), listing.left_out)


def _in_order(name: str) -> tuple[list[str], str]:
    """Folder by folder, what a folder holds before what those below it hold."""
    parent, _, last = name.rpartition("/")
    return parent.split("/") if parent else [], last


def _add_all(tar: tarfile.TarFile, folder: JobFolder, listing: Listing, names: Sequence[str]) -> None:
    hard_links: dict[tuple[int, int], str] = {}
    for name in names:
        if name in listing.links:
            link = _member(name, tarfile.SYMTYPE, LINK_MODE)
            link.linkname = posixpath.relpath(listing.links[name], posixpath.dirname(name) or ".")
            tar.addfile(link)
        elif name in listing.folders:
            tar.addfile(_member(name, tarfile.DIRTYPE, listing.folders[name].st_mode))
        else:
            with folder.open(name) as file:
                info = os.fstat(file.fileno())
                member = _member(name, tarfile.REGTYPE, info.st_mode)
                first = hard_links.setdefault((info.st_dev, info.st_ino), name)
                if first != name:
                    member.type, member.linkname = tarfile.LNKTYPE, first
                    tar.addfile(member)
                else:
                    member.size = info.st_size
                    tar.addfile(member, file)


def _member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, stat.S_IMODE(mode), MEMBER_TIME
    info.uname = info.gname = "root"
    return info


def extract(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder; files of the same names are replaced.

    Raises:
        InputError: the archive is damaged or beyond all measure, or a member would lie outside of the folder, or is no
            plain file. What came before that member stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        allowed = max(UNPACKED_ANYWAY, UNPACKED_TIMES * archive.stat().st_size)
        with tarfile.open(archive) as tar, _Folder.opened(folder) as target:
            try:
                _extract(tar, target, allowed)
            finally:  # also where a later member is refused
                _refuse_escapes(target)
    except InputError as error:
        raise InputError(f"{archive}: {error.message}", error.hint) from error
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{archive} cannot be unpacked: {error}") from error


class _Folder:
    """A folder that members are placed in: no link on the way to one is followed, whoever made it.

    Args:
        path: the folder.
        handle: the open folder.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle
        self.links: list[PurePosixPath] = []

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[_Folder]:
        """The folder, as long as the block lasts."""
        handle = os.open(path, FOLDER_FLAGS & ~os.O_NOFOLLOW)
        try:
            yield cls(path, handle)
        finally:
            os.close(handle)

    @contextmanager
    def inside(self, parts: Sequence[str], make: bool = True) -> Iterator[int]:
        """The open folder of these parts; links and files on the way are replaced by folders, or with ``make`` false
        are a fault."""
        handle = os.dup(self._handle)
        try:
            for part in parts:
                if make:
                    _make_folder(part, handle)
                below = os.open(part, FOLDER_FLAGS, dir_fd=handle)
                os.close(handle)
                handle = below
            yield handle
        finally:
            os.close(handle)

    def write(self, path: PurePosixPath, content: IO[bytes], mode: int) -> None:
        """A new file, in place of what bears its name."""
        with self.inside(path.parts[:-1]) as parent:
            _remove(path.name, parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(path.name, flags, mode, dir_fd=parent), "wb") as file:
                shutil.copyfileobj(content, file)
                os.fchmod(file.fileno(), mode)

    def link(self, path: PurePosixPath, target: str) -> None:
        """A symbolic link, in place of what bears its name; that of a folder below another link is refused."""
        with self.inside(path.parts[:-1], make=False) as parent:
            _remove(path.name, parent)
            os.symlink(target, path.name, dir_fd=parent)
            self.links.append(path)

    def copy(self, source: PurePosixPath, path: PurePosixPath) -> None:
        """A file once more under another name, as for a hard link."""
        with self.inside(source.parts[:-1], make=False) as parent:
            handle = os.open(source.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        with os.fdopen(handle, "rb") as file:
            self.write(path, file, stat.S_IMODE(os.fstat(handle).st_mode))


def _extract(tar: tarfile.TarFile, folder: _Folder, allowed: int) -> None:
    links: list[tuple[PurePosixPath, tarfile.TarInfo]] = []
    size = 0
    for number, member in enumerate(tar, start=1):
        path = _inside(member.name, PurePosixPath(), member)
        size += member.size if member.isfile() else 0
        _refuse_excess(member, path, number, size, allowed)
        if member.isdir():
            with folder.inside(path.parts):
                pass
        elif member.isfile() and (content := tar.extractfile(member)) is not None:
            _refuse_the_folder_itself(path, member)
            folder.write(path, content, EXECUTABLE_MODE if member.mode & 0o100 else PLAIN_MODE)
        elif member.issym() or member.islnk():
            _refuse_the_folder_itself(path, member)
            links.append((path, member))
        else:
            raise InputError(f"'{member.name}' is neither a file nor a folder nor a link.", ONLY_INSIDE)
    # All folders are made before the first link, so that none is looked for, or made, by way of one.
    for path, member in links:
        if member.islnk():
            folder.copy(_inside(member.linkname, PurePosixPath(), member), path)
    for path, member in links:
        if member.issym():
            _inside(member.linkname, PurePosixPath(member.name).parent, member)
            with folder.inside(path.parts[:-1]):
                pass
    for path, member in links:
        if member.issym():
            folder.link(path, member.linkname)


def _refuse_excess(member: tarfile.TarInfo, path: PurePosixPath, number: int, size: int, allowed: int) -> None:
    if len(path.parts) > MOST_LEVELS:
        raise InputError(f"a member lies {len(path.parts)} folders deep, more than {MOST_LEVELS}.", TOO_MUCH)
    if number > MOST_MEMBERS:
        raise InputError(f"it holds more than {MOST_MEMBERS:,} members.", TOO_MUCH)
    if size > allowed:
        raise InputError(
            f"unpacked it is larger than {allowed:,} bytes, {UNPACKED_TIMES} times its own size ('{member.name}').",
            TOO_MUCH,
        )


def _refuse_the_folder_itself(path: PurePosixPath, member: tarfile.TarInfo) -> None:
    if not path.parts:
        raise InputError(f"'{member.name}' is the archive's folder itself, and no folder.", ONLY_INSIDE)


def _refuse_escapes(folder: _Folder) -> None:
    """What a chain of links leads to is known when all of them are there: remove those that lead out."""
    top = Path(os.path.realpath(folder.path))
    escaping = [path for path in folder.links if not Path(os.path.realpath(folder.path / path)).is_relative_to(top)]
    for path in escaping:
        with folder.inside(path.parts[:-1], make=False) as parent:
            _remove(path.name, parent)
    if escaping:
        raise InputError(f"'{escaping[0]}' leads out of the archive's folder by way of other links.", ONLY_INSIDE)


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


def _make_folder(name: str, parent: int) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
            os.unlink(name, dir_fd=parent)
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)


def _remove(name: str, parent: int) -> None:
    """Make room for a name; a folder that bears it is a fault."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)
