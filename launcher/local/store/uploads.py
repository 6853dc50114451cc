"""Uploads in parts. Each part is a file; completing one names the files in order, and copies nothing."""

from __future__ import annotations

import base64
import hashlib
import secrets
import sqlite3
from dataclasses import dataclass
from typing import Any

from launcher.local.store.call import Call
from launcher.local.store.catalog import Stored, milliseconds, packed, unpacked
from launcher.local.store.checksums import algorithm_of, declared, new_hash
from launcher.local.store.conditions import write_condition
from launcher.local.store.copying import SOURCE_HEADER, copy_slices, source_of
from launcher.local.store.errors import StoreError, invalid, not_implemented
from launcher.local.store.objecthead import checksum_headers, kept_headers, tags_of_header
from launcher.local.store.ranges import of_copy
from launcher.local.store.receiving import MAX_PUT_BYTES, nothing
from launcher.local.store.wire import Response
from launcher.local.store.xmlbody import Node, document, element, iso_time, parse

MAX_PART = 10_000
MIN_PART_BYTES = 5 * 1024 * 1024
MAX_OBJECT_BYTES = 5 * 1024**4
# How long a completed upload is remembered: a client whose answer was lost completes it again.
REMEMBERED_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class Part:
    """One part of an upload.

    Args:
        number, file, size, etag, modified, checksums: as in the database.
    """

    number: int
    file: int
    size: int
    etag: str
    modified: int
    checksums: dict[str, str]


@dataclass(frozen=True)
class Upload:
    """An upload that is under way, or was completed.

    Args:
        id: its id.
        headers, tags: those of the object that it becomes.
        algorithm: checksum that was chosen for it, or nothing.
        result: ETag of the object, once it is completed.
    """

    id: str
    headers: dict[str, str]
    tags: dict[str, str]
    algorithm: str
    result: str


async def create(call: Call) -> Response:
    """CreateMultipartUpload."""
    headers = call.request.headers
    call.bucket()
    algorithm = headers.get("x-amz-checksum-algorithm", "")
    if algorithm:
        algorithm = algorithm_of(algorithm)
    if headers.get("x-amz-checksum-type", "COMPOSITE") != "COMPOSITE":
        raise not_implemented("checksums of whole objects that come in parts")
    kept, tags = kept_headers(headers), tags_of_header(headers.get("x-amz-tagging"))
    await nothing(call.request)
    upload = secrets.token_urlsafe(24)
    catalog, now = call.engine.catalog, milliseconds()
    with catalog.transaction() as connection:
        connection.execute("DELETE FROM uploads WHERE ended BETWEEN 1 AND ?", (now - REMEMBERED_MS,))
        connection.execute(
            "INSERT INTO uploads (id, bucket, key, created, headers, tags, algorithm) VALUES (?,?,?,?,?,?,?)",
            (upload, call.bucket(), call.target.key, now, packed(kept), packed(tags), algorithm),
        )
    more = (("x-amz-checksum-algorithm", algorithm.upper()), ("x-amz-checksum-type", "COMPOSITE")) if algorithm else ()
    names = element("Bucket", call.target.bucket) + element("Key", call.target.key.decode())
    result = document("InitiateMultipartUploadResult", names + element("UploadId", upload))
    return Response.xml(result, headers=more)


def under_way(call: Call, completed_too: bool = False) -> Upload:
    """The upload that a request names.

    Raises:
        StoreError: there is none of this key, or it has ended.
    """
    row = call.engine.catalog.connection.execute(
        "SELECT id, headers, tags, algorithm, result FROM uploads WHERE id = ? AND bucket = ? AND key = ?",
        (call.parameter("uploadId"), call.bucket(), call.target.key),
    ).fetchone()
    if row is None or (row[4] and not completed_too):
        raise StoreError("NoSuchUpload")
    return Upload(row[0], unpacked(row[1]), unpacked(row[2]), row[3], row[4])


def _part_number(call: Call) -> int:
    number = call.number("partNumber", 0, MAX_PART + 1)
    if not 1 <= number <= MAX_PART:
        raise invalid(f"Part number must be an integer between 1 and {MAX_PART}, inclusive")
    return number


async def put_part(call: Call) -> Response:
    """UploadPart."""
    number = _part_number(call)
    under_way(call)
    received = await call.file()
    part = Part(number, received.file, received.size, received.md5, milliseconds(), received.checksums)
    _keep(call, part)
    return Response(200, (("ETag", f'"{part.etag}"'), *checksum_headers(part.checksums)))


async def copy_part(call: Call) -> Response:
    """UploadPartCopy."""
    number = _part_number(call)
    upload = under_way(call)
    if upload.algorithm:
        raise not_implemented("copies into an upload with checksums")
    _, there = source_of(call)
    await nothing(call.request)
    start, length = of_copy(call.request.headers.get(f"{SOURCE_HEADER}-range"), there.size)
    if length > MAX_PUT_BYTES:
        raise StoreError("EntityTooLarge")
    if length == there.size and not there.parts:
        file, etag = call.engine.contents.link(there.file), there.etag
    else:
        file, etag = await copy_slices(call, there.slices(start, length))
    part = Part(number, file, length, etag, milliseconds(), {})
    _keep(call, part)
    return Response.xml(
        document(
            "CopyPartResult", f"<LastModified>{iso_time(part.modified)}</LastModified>" + element("ETag", f'"{etag}"')
        )
    )


def _keep(call: Call, part: Part) -> None:
    """Write a part's row, in place of an earlier one with its number."""
    catalog, contents = call.engine.catalog, call.engine.contents
    try:
        with catalog.transaction() as connection:
            upload = under_way(call).id  # it may have ended while the part came in
            query = "SELECT file FROM parts WHERE upload = ? AND number = ?"
            unnamed = connection.execute(query, (upload, part.number)).fetchone()
            row = (upload, part.number, part.file, part.size, part.etag, part.modified, packed(part.checksums))
            connection.execute("INSERT OR REPLACE INTO parts VALUES (?,?,?,?,?,?,?)", row)
    except BaseException:
        contents.remove(part.file)
        raise
    contents.forget(unnamed or ())


async def complete(call: Call) -> Response:
    """CompleteMultipartUpload."""
    headers, target, engine = call.request.headers, call.target, call.engine
    if declared(headers):
        raise not_implemented("checksums of whole objects that come in parts")
    under_way(call, completed_too=True)
    condition = write_condition(headers)
    wanted = _wanted(parse(await call.document(), "CompleteMultipartUpload"))
    with engine.catalog.transaction() as connection:
        upload = under_way(call, completed_too=True)
        if upload.result:
            return _completed(call, upload.result)
        there = {part.number: part for part in parts_of(connection, upload.id)}
        chosen = _chosen(wanted, there, upload.algorithm)
        new = _assembled(upload, chosen)
        if (size := headers.get("x-amz-mp-object-size")) not in (None, str(new.size)):
            raise StoreError("InvalidRequest", f"x-amz-mp-object-size is {size}, the parts have {new.size} bytes.")
        old = engine.catalog.find(call.bucket(), target.key)
        if condition is not None:
            condition(old)
        engine.catalog.insert(call.bucket(), target.key, new)
        connection.execute("DELETE FROM parts WHERE upload = ?", (upload.id,))
        connection.execute(
            "UPDATE uploads SET result = ?, ended = ? WHERE id = ?", (new.etag, milliseconds(), upload.id)
        )
    used = {part.number for part in chosen}
    engine.contents.forget(part.file for number, part in there.items() if number not in used)
    if old is not None:
        engine.contents.forget(number for number, _ in old.files())
    return _completed(call, new.etag)


def _completed(call: Call, etag: str) -> Response:
    host = call.request.headers.get("host", "")
    names = element("Location", f"http://{host}{call.request.path}") + element("Bucket", call.target.bucket)
    names += element("Key", call.target.key.decode()) + element("ETag", f'"{etag}"')
    return Response.xml(document("CompleteMultipartUploadResult", names))


def _wanted(root: Node) -> list[tuple[int, str, Node]]:
    """Number and ETag of each part that a request lists."""
    found = []
    for node in root.all("Part"):
        number = node.get("PartNumber") or ""
        if not (number.isascii() and number.isdigit() and len(number) < 7):
            raise StoreError("MalformedXML")
        found.append((int(number), (node.get("ETag") or "").strip().strip('"'), node))
    if not found or len(found) > MAX_PART:
        raise StoreError("MalformedXML")
    if [number for number, _, _ in found] != sorted({number for number, _, _ in found}):
        raise StoreError("InvalidPartOrder")
    return found


def _chosen(wanted: list[tuple[int, str, Node]], there: dict[int, Part], algorithm: str) -> list[Part]:
    chosen = []
    for number, etag, node in wanted:
        part = there.get(number)
        if part is None or part.etag != etag:
            raise StoreError("InvalidPart")
        for child in node.children:
            name = child.name.removeprefix("Checksum").lower()
            if child.name.startswith("Checksum") and part.checksums.get(name) != child.text.strip():
                raise StoreError("InvalidPart")
        if algorithm and algorithm not in part.checksums:
            raise StoreError("InvalidRequest", f"Part {number} came without the checksum {algorithm.upper()}.")
        chosen.append(part)
    if any(part.size < MIN_PART_BYTES for part in chosen[:-1]):
        raise StoreError("EntityTooSmall")
    if sum(part.size for part in chosen) > MAX_OBJECT_BYTES:
        raise StoreError("EntityTooLarge")
    return chosen


def _assembled(upload: Upload, chosen: list[Part]) -> Stored:
    """The object that parts become; its ETag is the MD5 of their MD5s and their number."""
    digests = hashlib.md5(b"".join(bytes.fromhex(part.etag[:32]) for part in chosen), usedforsecurity=False)
    sums = {}
    if upload.algorithm:
        seen = new_hash(upload.algorithm)
        for part in chosen:
            seen.update(base64.b64decode(part.checksums[upload.algorithm]))
        sums = {upload.algorithm: f"{base64.b64encode(seen.digest()).decode()}-{len(chosen)}"}
    parts = tuple((part.file, part.size) for part in chosen)
    size, etag = sum(part.size for part in chosen), f"{digests.hexdigest()}-{len(chosen)}"
    return Stored(0, size, etag, milliseconds(), upload.headers, upload.tags, sums, parts)


async def abort(call: Call) -> Response:
    """AbortMultipartUpload."""
    with call.engine.catalog.transaction() as connection:
        upload = under_way(call).id
        files = [part.file for part in parts_of(connection, upload)]
        connection.execute("DELETE FROM parts WHERE upload = ?", (upload,))
        connection.execute("DELETE FROM uploads WHERE id = ?", (upload,))
    call.engine.contents.forget(files)
    return Response(204)


def parts_of(connection: sqlite3.Connection, upload: str, after: int = 0, count: int = MAX_PART) -> list[Part]:
    """The parts of an upload, by number."""
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT number, file, size, etag, modified, checksums FROM parts WHERE upload = ? AND number > ? "
        "ORDER BY number LIMIT ?",
        (upload, after, count),
    ).fetchall()
    return [
        Part(number, file, size, etag, modified, unpacked(sums)) for number, file, size, etag, modified, sums in rows
    ]
