"""Operations on the store and its buckets: list, create, delete, and the listings of keys."""

from __future__ import annotations

import re

from launcher.local.store import listing
from launcher.local.store.call import Call
from launcher.local.store.errors import StoreError, invalid, not_implemented
from launcher.local.store.listing import Page
from launcher.local.store.wire import Response
from launcher.local.store.xmlbody import OWNER, document, element, escaped, iso_time, parse, written_key

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")


async def list_buckets(call: Call) -> Response:
    """All buckets."""
    rows = "".join(
        f"<Bucket>{element('Name', name)}<CreationDate>{iso_time(created)}</CreationDate></Bucket>"
        for name, created in call.engine.catalog.buckets()
        if name.startswith(call.parameter("prefix"))
    )
    return Response.xml(document("ListAllMyBucketsResult", f"<Owner>{OWNER}</Owner><Buckets>{rows}</Buckets>"))


async def create_bucket(call: Call) -> Response:
    """Make a bucket; again for one that is there, as S3 answers in us-east-1."""
    name = call.target.bucket
    if not _NAME.fullmatch(name) or ".." in name or _ADDRESS.fullmatch(name):
        raise StoreError("InvalidBucketName")
    if call.request.headers.get("x-amz-bucket-object-lock-enabled", "false").lower() != "false":
        raise not_implemented("object lock")
    body = await call.document()
    if body.strip():
        parse(body, "CreateBucketConfiguration")
    call.engine.catalog.create_bucket(name)
    return Response(200, (("Location", f"/{name}"),))


async def head_bucket(call: Call) -> Response:
    """Whether a bucket is there."""
    call.bucket()
    return Response(200, (("x-amz-bucket-region", call.engine.region), ("Content-Type", "application/xml")))


async def delete_bucket(call: Call) -> Response:
    """Remove an empty bucket."""
    call.engine.contents.forget(call.engine.catalog.delete_bucket(call.target.bucket))
    return Response(204)


async def location(call: Call) -> Response:
    """Where a bucket is; us-east-1 has no name here."""
    call.bucket()
    place = "" if call.engine.region == "us-east-1" else escaped(call.engine.region)
    return Response.xml(document("LocationConstraint", place))


async def list_objects(call: Call) -> Response:
    """ListObjects, version 1."""
    marker, delimiter = call.parameter("marker"), call.parameter("delimiter")
    found, limit = _page(call, listing.start_after(marker.encode(), delimiter.encode()))
    write = written_key(_encoding(call))
    more = f"<Marker>{write(marker.encode())}</Marker>"
    if found.resume is not None and delimiter:
        more += f"<NextMarker>{write(found.last)}</NextMarker>"
    return _listed(call, found, limit, more, with_owner=True)


async def list_objects_v2(call: Call) -> Response:
    """ListObjects, version 2."""
    if call.parameter("list-type") != "2":
        raise invalid("Invalid List Type specified in Request")
    delimiter, write = call.parameter("delimiter"), written_key(_encoding(call))
    token, after = call.parameters.get("continuation-token"), call.parameter("start-after")
    start = listing.start_after(after.encode(), delimiter.encode()) if token is None else listing.resume_of(token)
    found, limit = _page(call, start)
    more = f"<KeyCount>{found.count}</KeyCount>"
    if token is not None:
        more += element("ContinuationToken", token)
    if found.resume is not None:
        more += element("NextContinuationToken", listing.token_of(found.resume))
    if after:
        more += f"<StartAfter>{write(after.encode())}</StartAfter>"
    return _listed(call, found, limit, more, with_owner=call.parameter("fetch-owner") == "true")


def _encoding(call: Call) -> str:
    encoding = call.parameter("encoding-type")
    if encoding not in ("", "url"):
        raise invalid("Invalid Encoding Method specified in Request")
    return encoding


def _page(call: Call, start: bytes) -> tuple[Page, int]:
    limit = call.number("max-keys", listing.MAX_KEYS, listing.MAX_KEYS)
    prefix, delimiter = call.parameter("prefix").encode(), call.parameter("delimiter").encode()
    connection = call.engine.catalog.connection
    return listing.page(connection, call.bucket(), prefix, delimiter, start, limit), limit


def _listed(call: Call, found: Page, limit: int, more: str, with_owner: bool) -> Response:
    encoding = _encoding(call)
    write = written_key(encoding)
    owner = f"<Owner>{OWNER}</Owner>" if with_owner else ""
    parts = [element("Name", call.target.bucket), f"<Prefix>{write(call.parameter('prefix').encode())}</Prefix>"]
    if delimiter := call.parameter("delimiter"):
        parts.append(f"<Delimiter>{write(delimiter.encode())}</Delimiter>")
    if encoding:
        parts.append(element("EncodingType", encoding))
    truncated = "true" if found.resume is not None else "false"
    parts.append(f"<MaxKeys>{limit}</MaxKeys><IsTruncated>{truncated}</IsTruncated>{more}")
    parts += (
        f"<Contents><Key>{write(one.key)}</Key><LastModified>{iso_time(one.modified)}</LastModified>"
        f"<ETag>&quot;{one.etag}&quot;</ETag><Size>{one.size}</Size>{owner}<StorageClass>STANDARD</StorageClass></Contents>"
        for one in found.entries
    )
    parts += (f"<CommonPrefixes><Prefix>{write(one)}</Prefix></CommonPrefixes>" for one in found.prefixes)
    return Response.xml(document("ListBucketResult", "".join(parts)))
