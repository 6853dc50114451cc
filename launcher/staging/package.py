"""The archive that carries a job's code, named by its content.

The same files give the same bytes: members are sorted, times, owners and the gzip header are fixed, modes are reduced
to "executable or not". So the archive's sha256 names the code, and an unchanged tree is neither packed nor uploaded
again: a cache maps the states of all files (path, size, mtime, ctime, inode) to the archive that they gave.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from batchrl.contract.errors import InputError
from batchrl.contract.files import file_sha256, write_atomically
from launcher.staging.ignore import BUILT_IN
from launcher.staging.source import LEFT_OUT_HINT, Listing, Source, SourceFile, Stamp, list_source

FORMAT_VERSION = 1
COMPRESSION_LEVEL = 6
KEPT_ARCHIVES = 20
PRIVATE_FOLDER = 0o700
LARGE_BYTES = 50 * 1024 * 1024
NAMED = 3
# A file that changes twice within the clock's grain keeps its stamp: younger ones are not believed (as git does).
SETTLED_SECONDS = 0.1


@dataclass(frozen=True)
class Package:
    """An archive on this computer's disk, ready to be sent.

    Args:
        listing: what is in it, and what is not.
        archive: the file.
        sha256: of the file.
        size: bytes of the file.
    """

    listing: Listing
    archive: Path
    sha256: str
    size: int

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know before sending it."""
        return (*_left_out(self.listing), *self._too_large())

    def _too_large(self) -> Iterator[str]:
        if self.listing.size <= LARGE_BYTES:
            return
        largest = sorted(self.listing.files, key=lambda file: file.size, reverse=True)[:3]
        names = ", ".join(f"{file.name} ({file.size / 1e6:.0f} MB)" for file in largest)
        yield (
            f"the package holds {self.listing.size / 1e6:.0f} MB; the largest files are {names}. "
            "Leave data out with .batchrlignore and pass it as a channel."
        )


def _left_out(listing: Listing) -> Iterator[str]:
    """What stays without a rule of the user's own that says so."""
    stayed = [left for left in listing.excluded if left.unexpected]
    if stayed:
        named = ", ".join(f"{left.name} ({left.rule.removeprefix(BUILT_IN).strip()})" for left in stayed[:NAMED])
        more = f", and {len(stayed) - NAMED} more (batchrl package lists them)" if len(stayed) > NAMED else ""
        count = "1 file or folder of your code stays" if len(stayed) == 1 else f"{len(stayed)} of your code stay"
        yield f"{count} here: {named}{more}. {LEFT_OUT_HINT}"


def cache_folder() -> Path:
    """Where archives and digests are kept between runs; all of it can be removed at any time.

    Raises:
        InputError: neither the user's cache nor the folder for temporary files can be used.
    """
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("batchrl", appauthor=False))
    try:
        _make_private(folder)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    folder = Path(tempfile.gettempdir()) / f"batchrl-cache-{os.getuid()}"
    try:
        _make_private(folder)
    except OSError as error:
        hint = "Set XDG_CACHE_HOME to a folder of your own."
        raise InputError(f"there is no folder for the cache: {folder}: {error.strerror}.", hint) from error
    return folder


def _make_private(folder: Path) -> None:
    """Make a folder that its owner alone may enter: archives hold users' code.

    Raises:
        OSError: it cannot be made, or is somebody else's.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(errno.EPERM, "it belongs to another user", str(folder))
    if folder.stat().st_mode & 0o077:
        folder.chmod(PRIVATE_FOLDER)


def build(source: Source, cache: Path | None = None) -> Package:
    """List the code of a job and pack it, or take the archive of last time.

    Args:
        source: what the user named.
        cache: folder of the cache; None for the user's own.

    Raises:
        InputError: see ``list_source``; or a file changed while it was packed.
    """
    listing = list_source(source)
    folder = (cache or cache_folder()) / "source"
    _make_private(folder)
    note = folder / f"{_state_digest(listing)}.json"
    return _remembered(listing, note) or _pack(listing, folder, note)


def _state_digest(listing: Listing) -> str:
    states = [[file.name, str(file.path), file.executable, *file.stamp] for file in listing.files]
    text = json.dumps([FORMAT_VERSION, states])
    return hashlib.sha256(text.encode()).hexdigest()


def _remembered(listing: Listing, note: Path) -> Package | None:
    try:
        known = json.loads(note.read_text())
        package = Package(listing, note.parent / f"{known['sha256']}.tar.gz", known["sha256"], known["size"])
        if package.archive.stat().st_size != package.size:
            return None
        os.utime(package.archive)
        os.utime(note)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return package


def _pack(listing: Listing, folder: Path, note: Path) -> Package:
    started = time.time()
    # Not ``whole_file``: the archive's name is its digest, known when it is written.
    handle, name = tempfile.mkstemp(dir=folder, suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as raw:
            write_archive(listing, raw)
        digest, size = file_sha256(temporary), temporary.stat().st_size
        for file in listing.files:
            if _stamp(file.path) != file.stamp:
                raise InputError(f"{file.path} changed while it was packed.", "Try again.")
        archive = folder / f"{digest}.tar.gz"
        temporary.replace(archive)
    finally:
        temporary.unlink(missing_ok=True)
    newest = max((max(file.stamp[1], file.stamp[2]) for file in listing.files), default=0) / 1e9
    if newest < started - SETTLED_SECONDS:
        write_atomically(note, json.dumps({"sha256": digest, "size": size}), shared=True, private=True)
    _forget_old(folder)
    return Package(listing, archive, digest, size)


def write_archive(listing: Listing, raw: object) -> None:
    """Write the tar.gz of a listing to a binary file object.

    Raises:
        InputError: a file vanished or shrank meanwhile.
    """
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=COMPRESSION_LEVEL, fileobj=raw, mtime=0) as zipped,  # type: ignore[call-overload]
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for file in listing.files:
            try:
                with file.path.open("rb") as content:
                    archive.addfile(_member(file), content)
            except OSError as error:
                raise InputError(f"{file.path} changed while it was packed: {error}.", "Try again.") from error


def _member(file: SourceFile) -> tarfile.TarInfo:
    member = tarfile.TarInfo(file.name)
    member.size = file.size
    member.mode = 0o755 if file.executable else 0o644
    return member


def _stamp(path: Path) -> Stamp | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _forget_old(folder: Path) -> None:
    """Keep the archives and notes that were used last."""
    for pattern in ("*.tar.gz", "*.json"):
        with contextlib.suppress(OSError):
            by_use = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in by_use[KEPT_ARCHIVES:]:
                path.unlink(missing_ok=True)
