"""What the embedded store's database says, read without asking the store's process."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from urllib.parse import quote

from batchrl.contract.errors import InputError
from launcher.local.host.home import HomePaths
from launcher.local.store.listing import after


def stored_bytes(paths: HomePaths, bucket: str, prefix: str, suffix: str = "") -> int:
    """Bytes of the objects of a bucket.

    Args:
        paths: the data folder.
        bucket: the bucket.
        prefix: what their keys begin with.
        suffix: what their keys end with.
    """
    first, ending = prefix.encode(), suffix.encode()
    where, behind = "", after(first)
    values: list[object] = [bucket, first]
    if behind is not None:
        where, values = " AND key < ?", [*values, behind]
    try:
        with closing(_read_only(paths)) as connection:
            rows = connection.execute(
                "SELECT key, size FROM objects WHERE bucket = (SELECT id FROM buckets WHERE name = ?) "
                f"AND key >= ?{where}",
                values,
            )
            return sum(size for key, size in rows if key.endswith(ending))
    except sqlite3.OperationalError:  # there is no store yet
        return 0


def check_catalog(paths: HomePaths) -> None:
    """See whether the database can be read; one that is not there yet can.

    Raises:
        InputError: it cannot.
    """
    if not paths.store_catalog.exists():
        return
    try:
        with closing(_read_only(paths)) as connection:
            connection.execute("SELECT count(*) FROM buckets").fetchone()
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"{paths.store_catalog}, the database of the embedded store, cannot be read: {error}.",
            "Restore it from a copy, or set BATCHRL_HOME to another folder.",
        ) from error


def _read_only(paths: HomePaths) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(paths.store_catalog))}?mode=ro", uri=True)
