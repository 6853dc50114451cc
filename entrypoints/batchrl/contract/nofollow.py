"""What a job wrote, opened without following links out of it.

A job may put anything in the place of its files and folders, also while they are read: a link to a file of this
machine's, a pipe that nobody writes to, a device. So each part of a path is opened below the one before it, and what
was opened is looked at, not what a name meant a moment ago:

===========================================  =====================================================================
what lies at the name                        what is done
===========================================  =====================================================================
file or folder                               read; a hard link is a file of the job's own disk that it could read itself
link that stays in the folder                what it leads to is read, under the link's name
link that leaves the folder                  left out, and named
link to nothing, or in a circle              left out, and named
pipe, socket, device                         left out, and named; never opened
folder below ``MOST_LEVELS`` others          left out, and named
link to a folder, after ``MOST_LINKED`` more left out, and named
name that ends in ``.tmp``                   left out: its writer renames it when it is whole
the folder itself is a link, or is a file    a fault that names it
the folder itself is not there               it holds nothing
===========================================  =====================================================================
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path, PurePosixPath

from batchrl.contract.errors import InputError
from batchrl.contract.files import TEMPORARY_SUFFIX
from batchrl.contract.text import printable

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe that was put in the place of a file between two looks must not stop its reader.
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# As Linux itself; and as deep as an archive may be unpacked.
MOST_LINKS = 40
MOST_LEVELS = 100
# So many entries are listed by way of links to folders, each of which may hold all the others.
MOST_LINKED = 100_000

LEAVES = "a link that leaves its folder"
NOWHERE = "a link that leads nowhere"
CIRCLE = "a link that leads in a circle"
NESTED = "a link to a folder, below another link"
SPECIAL = "neither a file nor a folder"
TOO_MANY = f"a link to a folder, after more than {MOST_LINKED:,} files and folders"
TOO_DEEP = f"more than {MOST_LEVELS} folders deep"


class LeftOut(Exception):
    """Something that is not read; ``args[0]`` says what it is."""


@dataclass
class Listing:
    """What a folder held when it was looked at; paths are relative to it, with ``/``.

    Args:
        files: stats of the files that are whole; of a link, the stat of what it leads to.
        folders: stats of those that it holds.
        links: what links lead to, spelled from the folder's top; to folders only where links are kept as links.
        left_out: why, by path.
        faults: what could not be looked at.
    """

    files: dict[str, os.stat_result] = field(default_factory=dict)
    folders: dict[str, os.stat_result] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    faults: dict[str, OSError] = field(default_factory=dict)


@dataclass(frozen=True)
class JobFolder:
    """A folder that a job writes to.

    Args:
        top: a folder that the job has no say in; links on the way to it are its owner's.
        path: the folder below it, which the job may have replaced; empty for the top itself.
        known_as: absolute paths by which the job knows the folder, beside its own: targets of links may begin so.
    """

    top: Path
    path: str = ""
    known_as: tuple[str, ...] = ()

    def __str__(self) -> str:
        return printable(str(self.place))

    @property
    def place(self) -> Path:
        """Its path, for whoever makes it; a job may have put something else there since."""
        return self.top / self.path

    def list(self, *, as_it_lies: bool = False) -> Listing:
        """All that it holds.

        Args:
            as_it_lies: for whoever keeps links as links: those to folders are not entered, and names that end in
                ``.tmp`` are as good as others.

        Raises:
            InputError: the folder itself is a link, or no folder.
            OSError: it cannot be read.
        """
        listing = Listing()
        with suppress(FileNotFoundError), self.opened() as handle:
            _Lister(self, listing, as_it_lies).list(handle, "", 0, linked=False)
        return listing

    @contextmanager
    def open(self, path: str) -> Iterator[BufferedReader]:
        """A file of it, to read; its size and times are those of the handle.

        Raises:
            LeftOut: it leads out of the folder, or is no plain file.
            InputError: as ``list``.
            OSError: it is not there, or cannot be read.
        """
        with self.opened() as top:
            handle = _Walk(self, top).end(path)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise LeftOut(SPECIAL)
        with os.fdopen(handle, "rb") as file:
            yield file

    def stat(self, path: str) -> os.stat_result | None:
        """Size and times of a file as ``open`` would read it; None where there is none that is read."""
        try:
            with self.open(path) as file:
                return os.fstat(file.fileno())
        except (LeftOut, FileNotFoundError, NotADirectoryError):
            return None

    def read(self, path: str, most: int | None = None) -> bytes:
        """The content of a file, or its first bytes; raises as ``open`` does."""
        with self.open(path) as file:
            return file.read() if most is None else file.read(most)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The folder itself, open; raises as ``list``, and FileNotFoundError where it is not there."""
        handle = os.open(self.top, FOLDER_FLAGS & ~os.O_NOFOLLOW)
        try:
            for part in PurePosixPath(self.path).parts:
                below = self._open_part(part, handle)
                os.close(handle)
                handle = below
            yield handle
        finally:
            os.close(handle)

    def _open_part(self, part: str, parent: int) -> int:
        try:
            return os.open(part, FOLDER_FLAGS, dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            what = "no folder"
            with suppress(OSError):
                what = f"a link to {printable(os.readlink(part, dir_fd=parent))}, which is not followed"
            raise InputError(
                f"{self}: '{part}' is {what}.", "A job writes into this folder; it cannot replace it."
            ) from error


@dataclass(frozen=True)
class _Lister:
    """Fills a listing."""

    folder: JobFolder
    listing: Listing
    as_it_lies: bool

    def list(self, handle: int, prefix: str, level: int, *, linked: bool) -> None:
        """Note what an open folder holds; ``linked`` says that it was reached by way of a link."""
        if linked and len(self.listing.files) + len(self.listing.folders) > MOST_LINKED:
            raise LeftOut(TOO_MANY)
        try:
            with os.scandir(handle) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.listing.faults[prefix.rstrip("/")] = error
            return
        for entry in found:
            path = prefix + entry.name
            try:
                self._note(entry, handle, path, level, linked)
            except LeftOut as error:
                self.listing.left_out[path] = str(error)
            except FileNotFoundError:
                continue  # removed meanwhile
            except OSError as error:
                self.listing.faults[path] = error

    def _note(self, entry: os.DirEntry[str], parent: int, path: str, level: int, linked: bool) -> None:
        info = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode):
            self.listing.folders[path] = info
            self._below(os.open(entry.name, FOLDER_FLAGS, dir_fd=parent), path, level, linked)
        elif stat.S_ISLNK(info.st_mode):
            self._note_link(path, level, linked)
        elif not stat.S_ISREG(info.st_mode):
            raise LeftOut(SPECIAL)
        else:
            self._note_file(path, info)

    def _note_link(self, path: str, level: int, linked: bool) -> None:
        with self.folder.opened() as top:
            walk = _Walk(self.folder, top)
            handle = walk.end(path)
        info = os.fstat(handle)
        if not stat.S_ISDIR(info.st_mode):
            os.close(handle)
            self._note_file(path, info)
            self.listing.links[path] = walk.place
        elif self.as_it_lies:
            os.close(handle)
            self.listing.links[path] = walk.place
        elif linked or _holds(walk.place, path):
            os.close(handle)
            # Folders behind links to folders behind links: a few of them hold more than any disk.
            raise LeftOut(NESTED if linked else CIRCLE)
        else:
            self._below(handle, path, level, linked=True)

    def _note_file(self, path: str, info: os.stat_result) -> None:
        if not stat.S_ISREG(info.st_mode):
            raise LeftOut(SPECIAL)
        if self.as_it_lies or not path.endswith(TEMPORARY_SUFFIX):
            self.listing.files[path] = info

    def _below(self, handle: int, path: str, level: int, linked: bool) -> None:
        try:
            if level + 1 >= MOST_LEVELS:
                raise LeftOut(TOO_DEEP)
            self.list(handle, f"{path}/", level + 1, linked=linked)
        finally:
            os.close(handle)


class _Walk:
    """The way to one file or folder, part by part; links are resolved by hand, as long as they stay in the folder."""

    def __init__(self, folder: JobFolder, top: int) -> None:
        self._folder = folder
        self._handles = [os.dup(top)]
        self._names: list[str] = []

    @property
    def place(self) -> str:
        """Where the walk ended, spelled from the top and without links."""
        return "/".join(self._names) or "."

    def end(self, path: str) -> int:
        """What the path leads to, opened: a file, or a folder."""
        try:
            return self._end(path)
        finally:
            for handle in self._handles:
                os.close(handle)

    def _end(self, path: str) -> int:
        waiting, links = list(reversed(path.split("/"))), 0
        while waiting:
            part = waiting.pop()
            if part in ("", "."):
                continue
            if part == "..":
                self._up()
                continue
            here = self._handles[-1]
            try:
                mode = os.lstat(part, dir_fd=here).st_mode
            except FileNotFoundError:
                raise (LeftOut(NOWHERE) if links else FileNotFoundError(errno.ENOENT, "no such file", path)) from None
            if stat.S_ISLNK(mode):
                if (links := links + 1) > MOST_LINKS:
                    raise LeftOut(CIRCLE)
                target = os.readlink(part, dir_fd=here)
                waiting += reversed(self._inside(target))
            elif stat.S_ISDIR(mode):
                self._handles.append(os.open(part, FOLDER_FLAGS, dir_fd=here))
                self._names.append(part)
            elif any(more not in ("", ".") for more in waiting):
                raise LeftOut(NOWHERE) if links else NotADirectoryError(errno.ENOTDIR, "not a folder", path)
            elif not stat.S_ISREG(mode):
                raise LeftOut(SPECIAL)
            else:
                self._names.append(part)
                return os.open(part, FILE_FLAGS, dir_fd=here)
        return os.dup(self._handles[-1])

    def _up(self) -> None:
        if not self._names:
            raise LeftOut(LEAVES)
        self._names.pop()
        os.close(self._handles.pop())

    def _inside(self, target: str) -> Sequence[str]:
        """The parts of a link's target; an absolute one starts at the top again, if it lies below that."""
        if not target.startswith("/"):
            return target.split("/")
        for name in (str(self._folder.place), *self._folder.known_as):
            if target == name or target.startswith(f"{name}/"):
                while self._names:
                    self._up()
                return target[len(name) :].split("/")
        raise LeftOut(LEAVES)


def _holds(folder: str, path: str) -> bool:
    """Whether a folder is, or holds, the folder that a path lies in: what lies behind the link has no end."""
    return folder == "." or f"{path}/".startswith(f"{folder}/")
