"""Copies within the store. Contents never change, so that a copy of a whole file is a second name for it."""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import replace
from urllib.parse import unquote

from launcher.local.store.call import Call
from launcher.local.store.catalog import Stored, milliseconds
from launcher.local.store.conditions import check_copy, write_condition
from launcher.local.store.contents import READ_BYTES, Contents, write_all
from launcher.local.store.errors import StoreError, invalid
from launcher.local.store.objecthead import kept_headers, tags_of_header
from launcher.local.store.receiving import MAX_PUT_BYTES, nothing
from launcher.local.store.wire import Response, Slices, Target, checked_key
from launcher.local.store.xmlbody import document, iso_time

SOURCE_HEADER = "x-amz-copy-source"


def source_of(call: Call) -> tuple[Target, Stored]:
    """What a copy reads.

    Raises:
        StoreError: it is not there, may not be read, or a condition on it does not hold.
    """
    path, _, query = call.request.headers[SOURCE_HEADER].partition("?")
    bucket, _, key = unquote(path, encoding="latin-1").encode("latin-1", "replace").removeprefix(b"/").partition(b"/")
    if query not in ("", "versionId=null"):
        raise StoreError("NoSuchVersion")
    if not bucket or not key:
        raise invalid("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
    target = Target(bucket.decode("utf-8", "replace"), checked_key(key))
    there = call.engine.catalog.get(call.engine.catalog.bucket(target.bucket), target.key)
    check_copy(call.request.headers, there)
    return target, there


async def copy_object(call: Call) -> Response:
    """CopyObject. The copy of an object that came in parts keeps its ETag, as with Ceph: no byte is read."""
    engine, headers = call.engine, call.request.headers
    bucket, condition = call.bucket(), write_condition(headers)
    source, there = source_of(call)
    await nothing(call.request)
    headers_replaced = _replaces(call, "x-amz-metadata-directive")
    tags_replaced = _replaces(call, "x-amz-tagging-directive")
    if source == call.target and not headers_replaced and not tags_replaced:
        raise StoreError(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
        )
    if there.size > MAX_PUT_BYTES:
        raise StoreError("InvalidRequest", f"The specified copy source is larger than {MAX_PUT_BYTES} bytes.")
    if condition is not None:
        condition(engine.catalog.find(bucket, call.target.key))
    kept = kept_headers(headers) if headers_replaced else there.headers
    tags = tags_of_header(headers.get("x-amz-tagging")) if tags_replaced else there.tags
    links = [(engine.contents.link(number), size) for number, size in there.files()]
    new = replace(
        there,
        file=0 if there.parts else links[0][0],
        parts=tuple(links) if there.parts else (),
        modified=milliseconds(),
        headers=kept,
        tags=tags,
    )
    try:
        unnamed = engine.catalog.put(call.target.bucket, call.target.key, new, condition)
    except BaseException:
        for number, _ in links:
            engine.contents.remove(number)
        raise
    engine.contents.forget(unnamed)
    result = f"<LastModified>{iso_time(new.modified)}</LastModified><ETag>&quot;{new.etag}&quot;</ETag>"
    return Response.xml(document("CopyObjectResult", result))


def _replaces(call: Call, header: str) -> bool:
    directive = call.request.headers.get(header, "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise invalid(f"Unknown {header.removeprefix('x-amz-')}.")
    return directive == "REPLACE"


async def copy_slices(call: Call, slices: Slices) -> tuple[int, str]:
    """Copy bytes into a new file.

    Returns:
        its number, and the MD5 of the bytes in hex.
    """
    contents, number = call.engine.contents, call.engine.contents.new()
    with contents.reading(slices):
        try:
            loop = asyncio.get_running_loop()
            md5 = await asyncio.shield(loop.run_in_executor(call.engine.pool, _copy, contents, slices, number))
        except BaseException:
            contents.remove(number)
            raise
    return number, md5


def _copy(contents: Contents, slices: Slices, number: int) -> str:
    seen = hashlib.md5(usedforsecurity=False)
    target = contents.create(number)
    try:
        for piece, offset, length in slices.pieces:
            source = contents.open(piece)
            try:
                while length:
                    data = os.pread(source, min(length, READ_BYTES), offset)
                    if not data:
                        raise StoreError("InternalError", "The source's bytes are not all on the disk.")
                    seen.update(data)
                    write_all(target, data)
                    offset += len(data)
                    length -= len(data)
            finally:
                os.close(source)
    finally:
        os.close(target)
    return seen.hexdigest()
