"""Listings of uploads that are under way, and of their parts."""

from __future__ import annotations

from launcher.local.store import listing
from launcher.local.store.call import Call
from launcher.local.store.errors import not_implemented
from launcher.local.store.uploads import MAX_PART, parts_of, under_way
from launcher.local.store.wire import Response
from launcher.local.store.xmlbody import OWNER, document, element, iso_time, written_key

_WHO = f"<Initiator>{OWNER}</Initiator><Owner>{OWNER}</Owner><StorageClass>STANDARD</StorageClass>"


async def list_parts(call: Call) -> Response:
    """ListParts."""
    upload = under_way(call)
    limit = call.number("max-parts", listing.MAX_KEYS, listing.MAX_KEYS)
    marker = call.number("part-number-marker", 0, MAX_PART)
    found = parts_of(call.engine.catalog.connection, upload.id, marker, limit + 1)
    shown, more = found[:limit], len(found) > limit
    rows = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber><LastModified>{iso_time(part.modified)}</LastModified>"
        f"<ETag>&quot;{part.etag}&quot;</ETag><Size>{part.size}</Size>"
        + "".join(element(f"Checksum{name.upper()}", value) for name, value in part.checksums.items())
        + "</Part>"
        for part in shown
    )
    last = shown[-1].number if shown else marker
    names = element("Bucket", call.target.bucket) + element("Key", call.target.key.decode())
    page = (
        f"<PartNumberMarker>{marker}</PartNumberMarker><NextPartNumberMarker>{last}</NextPartNumberMarker>"
        f"<MaxParts>{limit}</MaxParts><IsTruncated>{str(more).lower()}</IsTruncated>"
    )
    return Response.xml(document("ListPartsResult", names + element("UploadId", upload.id) + _WHO + page + rows))


async def list_uploads(call: Call) -> Response:
    """ListMultipartUploads, by key and id."""
    if call.parameter("delimiter"):
        raise not_implemented("listings of uploads with a delimiter")
    write = written_key(call.parameter("encoding-type"))
    prefix, limit = call.parameter("prefix").encode(), call.number("max-uploads", listing.MAX_KEYS, listing.MAX_KEYS)
    key_marker, id_marker = call.parameter("key-marker"), call.parameter("upload-id-marker")
    start = (key_marker.encode(), id_marker if id_marker else "\U0010ffff") if key_marker else (b"", "")
    end = listing.after(prefix) or b"\xff"
    rows = call.engine.catalog.connection.execute(
        "SELECT key, id, created FROM uploads WHERE bucket = ? AND result = '' AND (key, id) > (?, ?) "
        "AND key >= ? AND key < ? ORDER BY key, id LIMIT ?",
        (call.bucket(), *start, prefix, end, limit + 1),
    ).fetchall()
    shown, more = rows[:limit], len(rows) > limit
    page = f"<MaxUploads>{limit}</MaxUploads><IsTruncated>{str(more).lower()}</IsTruncated>"
    if more and shown:
        page += f"<NextKeyMarker>{write(shown[-1][0])}</NextKeyMarker>" + element("NextUploadIdMarker", shown[-1][1])
    uploads = "".join(
        f"<Upload><Key>{write(key)}</Key>{element('UploadId', upload)}{_WHO}<Initiated>{iso_time(created)}</Initiated>"
        "</Upload>"
        for key, upload, created in shown
    )
    lead = element("Bucket", call.target.bucket) + f"<KeyMarker>{write(key_marker.encode())}</KeyMarker>"
    lead += element("UploadIdMarker", id_marker) + f"<Prefix>{write(prefix)}</Prefix>"
    if encoding := call.parameter("encoding-type"):
        lead += element("EncodingType", encoding)
    return Response.xml(document("ListMultipartUploadsResult", lead + page + uploads))
