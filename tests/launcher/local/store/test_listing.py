"""Listings against the plain definition, over random keys, page by page; and that a delimiter is no scan of all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.local.store import listing
from launcher.local.store.catalog import Catalog, Stored
from launcher.local.store.listing import page, resume_of, start_after, token_of

keys_of = st.text("ab/.\x7f\u00e9\U0010ffff", min_size=1, max_size=7).map(str.encode)


def catalog(folder: Path, keys: Iterable[bytes]) -> sqlite3.Connection:
    made = Catalog(folder / "catalog.sqlite")
    made.create_bucket("b")
    made.create_bucket("c")
    with made.transaction():
        for key in keys:
            made.insert(1, key, Stored(1, len(key), "etag", 0))
            made.insert(2, key + b"other", Stored(1, 0, "etag", 0))
    return made.connection


def plain(keys: set[bytes], prefix: bytes, delimiter: bytes) -> list[tuple[str, bytes]]:
    """What S3 defines: keys that begin with the prefix, those with the delimiter behind it rolled up."""
    found = set()
    for key in keys:
        if key.startswith(prefix):
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            found.add(("prefix", key[: cut + len(delimiter)]) if cut >= 0 else ("key", key))
    return sorted(found, key=lambda one: one[1])


@settings(max_examples=150, deadline=None)
@given(
    keys=st.sets(keys_of, max_size=60),
    prefix=st.sampled_from([b"", b"a", b"a/", b"/", b"ab"]),
    delimiter=st.sampled_from([b"", b"/", b"b/", b"b"]),
    limit=st.integers(1, 9),
)
def test_pages_joined_are_the_plain_definition(tmp_path_factory, keys, prefix, delimiter, limit) -> None:
    connection = catalog(tmp_path_factory.mktemp("catalog"), keys)
    found: list[tuple[str, bytes]] = []
    start: bytes | None = b""
    while start is not None:
        one = page(connection, 1, prefix, delimiter, start, limit)
        assert 0 < one.count <= limit or not found
        found += sorted(
            [("key", entry.key) for entry in one.entries] + [("prefix", common) for common in one.prefixes],
            key=lambda entry: entry[1],
        )
        start = resume_of(token_of(one.resume)) if one.resume is not None else None
    connection.close()

    assert found == plain(keys, prefix, delimiter)


@settings(max_examples=100, deadline=None)
@given(keys=st.sets(keys_of, max_size=40), marker=keys_of)
def test_a_marker_is_exclusive(tmp_path_factory, keys, marker) -> None:
    connection = catalog(tmp_path_factory.mktemp("catalog"), keys)
    found = [entry.key for entry in page(connection, 1, start=start_after(marker, b"")).entries]
    connection.close()

    assert found == sorted(key for key in keys if key > marker)


def test_a_delimiter_reads_a_few_rows_a_prefix_of_a_hundred_thousand_keys(tmp_path: Path) -> None:
    connection = catalog(tmp_path, (b"%03d/%05d" % (folder, n) for folder in range(100) for n in range(1000)))
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count, 100)  # called once in a hundred steps of SQLite's machine
    found = page(connection, 1, delimiter=b"/")
    connection.set_progress_handler(None, 0)

    assert found.prefixes == [b"%03d/" % folder for folder in range(100)]
    assert steps * 100 < 100 * 40 * listing.STEPS_BEFORE_JUMP
