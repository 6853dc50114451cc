"""Objects of a data folder of version 0.1.0, whose store kept them as plain files ``store/<bucket>/<key>``.

They are taken over where they lie: each file gets a second name among the contents, then its row is committed, then its
first name goes. Killed anywhere, the next start goes on: what has no row yet still has its first name.

Their ETags are no MD5 (nobody has read them) and look like those of one part, so that no client takes them for one.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from launcher.local.store.catalog import Catalog, Stored
from launcher.local.store.contents import Contents
from launcher.local.store.wire import MAX_KEY_BYTES

BATCH = 500

log = logging.getLogger(__name__)


def adopt(folder: Path, catalog: Catalog, contents: Contents) -> int:
    """Take over all objects of a former store; what cannot be is left, and told in the log.

    Args:
        folder: the former store's folder, one folder a bucket.
        catalog, contents: this store.

    Returns:
        how many objects were taken over.
    """
    if not folder.is_dir() or folder.is_symlink():
        return 0
    count = 0
    for bucket in sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)):
        place = folder / bucket
        catalog.create_bucket(bucket, int(place.stat().st_mtime * 1000))
        batch: list[tuple[str, bytes]] = []
        for file in _files(place):
            batch.append(file)
            if len(batch) == BATCH:
                count += _take(bucket, batch, catalog, contents)
                batch = []
                log.info("taken over from %s so far: %d objects", folder, count)
        count += _take(bucket, batch, catalog, contents)
    _remove_empty(folder)
    if count:
        log.info("taken over from %s: %d objects", folder, count)
    return count


def _files(bucket: Path) -> Iterator[tuple[str, bytes]]:
    """Path and key of each object below a bucket's folder."""
    for folder, _, names in os.walk(bucket):
        for name in names:
            path = f"{folder}/{name}"
            key = os.fsencode(os.path.relpath(path, bucket))
            if not stat.S_ISREG(os.lstat(path).st_mode):
                log.warning("not taken over, no plain file: %r", path)
            elif len(key) > MAX_KEY_BYTES or not _is_utf8(key):
                log.warning("not taken over, no key of S3's: %r", path)
            else:
                yield path, key


def _is_utf8(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True


def _take(bucket: str, batch: list[tuple[str, bytes]], catalog: Catalog, contents: Contents) -> int:
    taken = []
    number = catalog.bucket(bucket)
    with catalog.transaction():
        for path, key in batch:
            info = os.lstat(path)
            there = catalog.find(number, key)
            if there is not None:
                if _is_file(info, contents.path(there.file)):
                    taken.append(path)  # its row was committed before; only its first name is left
                else:
                    log.warning("not taken over, the key has a newer object: %r", path)
                continue
            file = _second_name(path, contents)
            etag = f"{secrets.token_hex(16)}-1"
            catalog.insert(number, key, Stored(file, info.st_size, etag, info.st_mtime_ns // 1_000_000))
            taken.append(path)
    for path in taken:
        Path(path).unlink()
    return len(taken)


def _is_file(info: os.stat_result, path: str) -> bool:
    """Whether a path is a name of this file; an object that came in parts has none of its own."""
    try:
        return os.path.samestat(info, os.lstat(path))
    except FileNotFoundError:
        return False


def _second_name(path: str, contents: Contents) -> int:
    number = contents.new()
    try:
        os.link(path, contents.path(number), follow_symlinks=False)
    except OSError:  # a file system without second names
        shutil.copyfile(path, contents.path(number), follow_symlinks=False)
    return number


def _remove_empty(folder: Path) -> None:
    for place, _, _ in os.walk(folder, topdown=False):
        try:
            Path(place).rmdir()
        except OSError:
            continue  # something was left in it
