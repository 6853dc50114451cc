"""Packing folders, and unpacking archives that came over a network: nothing is written outside of the folder.

Python's own extraction filters are younger than the Pythons of Debian 12 and of many images, so the rules stand here:
plain files and folders below the folder; links that stay in it, made last, so that nothing is written through one.
"""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO

from batchrl.contract.errors import InputError

EXECUTABLE_MODE = 0o755
PLAIN_MODE = 0o644
# Weights hardly shrink, and a job's end waits for this.
COMPRESSION_LEVEL = 1
# Members get one time, so that equal contents are equal archives; tar warns about times before 1980.
MEMBER_TIME = 315_532_800
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Beyond these nobody packs a model or a result; a small archive can be made to hold any number.
MOST_MEMBERS, MOST_LEVELS = 1_000_000, 100
UNPACKED_TIMES, UNPACKED_ANYWAY = 100, 1024**3
TOO_MUCH = "It was made to fill a disk, or is damaged."
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
        handle = os.open(path, FOLDER_FLAGS)
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
                below = os.open(part, FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=handle)
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
