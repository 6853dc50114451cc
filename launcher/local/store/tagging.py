"""Tags of objects."""

from __future__ import annotations

from launcher.local.store.call import Call
from launcher.local.store.errors import StoreError
from launcher.local.store.objecthead import checked_tags
from launcher.local.store.wire import Response
from launcher.local.store.xmlbody import document, element, parse


async def get_tags(call: Call) -> Response:
    """GetObjectTagging."""
    there = call.engine.catalog.get(call.bucket(), call.target.key)
    rows = "".join(f"<Tag>{element('Key', key)}{element('Value', value)}</Tag>" for key, value in there.tags.items())
    return Response.xml(document("Tagging", f"<TagSet>{rows}</TagSet>"))


async def put_tags(call: Call) -> Response:
    """PutObjectTagging: other tags; the object stays as it is."""
    root = parse(await call.document(), "Tagging")
    sets = root.all("TagSet")
    if len(sets) != 1:
        raise StoreError("MalformedXML")
    pairs = [(tag.get("Key") or "", tag.get("Value") or "") for tag in sets[0].all("Tag")]
    call.engine.catalog.set_tags(call.bucket(), call.target.key, checked_tags(pairs))
    return Response(200)


async def delete_tags(call: Call) -> Response:
    """DeleteObjectTagging."""
    call.engine.catalog.set_tags(call.bucket(), call.target.key, {})
    return Response(204)
