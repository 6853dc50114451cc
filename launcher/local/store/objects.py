"""Operations on objects: read, write, delete."""

from __future__ import annotations

from launcher.local.store import ranges
from launcher.local.store.call import Call
from launcher.local.store.catalog import Stored, milliseconds
from launcher.local.store.conditions import check_read, write_condition
from launcher.local.store.errors import StoreError, invalid
from launcher.local.store.objecthead import checksum_headers, kept_headers, tags_of_header, told, validators
from launcher.local.store.wire import Headers, Response, checked_key
from launcher.local.store.xmlbody import document, element, parse

MAX_DELETED = 1000


async def read_object(call: Call) -> Response:
    """GetObject and HeadObject."""
    request = call.request
    there = call.engine.catalog.get(call.bucket(), call.target.key)
    check_read(request.headers, there, validators(there))
    start, length, status, extra = _wanted(call, there)
    whole = status == 200
    checksums = whole and request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"
    headers = (*told(there, call.parameters, checksums), *extra)
    body = there.slices(start, length)
    if request.method == "GET" and not all(call.engine.contents.holds(file, size) for file, size in there.files()):
        raise StoreError("InternalError", "The object's bytes are not all on the disk.")
    return Response(status, headers, body)


def _wanted(call: Call, there: Stored) -> tuple[int, int, int, Headers]:
    """First byte, length, status and headers of what is read."""
    if number := call.number("partNumber", 0, 10_000):
        sizes = [size for _, size in there.files()]
        if number > len(sizes):
            raise StoreError("InvalidRange", "The requested partnumber is not satisfiable")
        start, length = sum(sizes[: number - 1]), sizes[number - 1]
        extra: Headers = (("x-amz-mp-parts-count", str(len(sizes))),) if there.parts else ()
        if not there.size:
            return 0, 0, 200, extra
        return start, length, 206, (*extra, ("Content-Range", f"bytes {start}-{start + length - 1}/{there.size}"))
    if_range = call.request.headers.get("if-range")
    fresh = if_range is None or if_range.strip('"') == there.etag
    found = ranges.of_header(call.request.headers.get("range"), there.size) if fresh else None
    if found is None:
        return 0, there.size, 200, ()
    start, length = found
    return start, length, 206, (("Content-Range", f"bytes {start}-{start + length - 1}/{there.size}"),)


async def put_object(call: Call) -> Response:
    """PutObject: the object is there, whole, when this answers; until then the one of before is."""
    engine, target, headers = call.engine, call.target, call.request.headers
    bucket = call.bucket()
    kept, tags, condition = (
        kept_headers(headers),
        tags_of_header(headers.get("x-amz-tagging")),
        write_condition(headers),
    )
    if condition is not None:
        condition(engine.catalog.find(bucket, target.key))  # before the body is taken, and again when it is
    received = await call.file()
    new = Stored(received.file, received.size, received.md5, milliseconds(), kept, tags, received.checksums)
    try:
        unnamed = engine.catalog.put(target.bucket, target.key, new, condition)
    except BaseException:
        engine.contents.remove(received.file)
        raise
    engine.contents.forget(unnamed)
    return Response(200, (("ETag", f'"{new.etag}"'), *_checksum_headers(new)))


def _checksum_headers(new: Stored) -> Headers:
    sums = checksum_headers(new.checksums)
    return (*sums, ("x-amz-checksum-type", "FULL_OBJECT")) if sums else ()


async def delete_object(call: Call) -> Response:
    """DeleteObject: also where there is none."""
    catalog, bucket = call.engine.catalog, call.bucket()
    unnamed = catalog.delete(bucket, [call.target.key], write_condition(call.request.headers))
    call.engine.contents.forget(unnamed)
    return Response(204)


async def delete_objects(call: Call) -> Response:
    """DeleteObjects: up to 1,000 keys."""
    call.bucket()
    wanted = parse(await call.document(), "Delete")
    entries = wanted.all("Object")
    if not 0 < len(entries) <= MAX_DELETED:
        raise StoreError("MalformedXML")
    keys: list[bytes] = []
    told_lines: list[str] = []
    for entry in entries:
        key = entry.get("Key")
        if not key:
            raise StoreError("MalformedXML")
        if unknown := {child.name for child in entry.children} - {"Key", "VersionId"}:
            raise invalid(f"The embedded store deletes under no such condition: {', '.join(sorted(unknown))}")
        raw = checked_key(key.encode())
        if entry.get("VersionId") not in (None, "", "null"):
            told_lines.append(_refused(key, "NoSuchVersion"))
        elif not call.may_delete(call.target.bucket, raw):
            told_lines.append(_refused(key, "AccessDenied"))
        else:
            keys.append(raw)
            if wanted.get("Quiet") != "true":
                told_lines.append(f"<Deleted>{element('Key', key)}</Deleted>")
    call.engine.contents.forget(call.engine.catalog.delete(call.bucket(), keys))
    return Response.xml(document("DeleteResult", "".join(told_lines)))


def _refused(key: str, code: str) -> str:
    return f"<Error>{element('Key', key)}<Code>{code}</Code>{element('Message', StoreError(code).message)}</Error>"
