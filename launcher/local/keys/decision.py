"""Whether a job's key lets an S3 request through: a function of the request as it came over the wire.

==========  ========  ==============================  ==============================================
method      path      query names                     what must be open
==========  ========  ==============================  ==============================================
GET, HEAD   /b/key    versionId, partNumber,          the object, for reading
                      response-*
GET         /b/key    uploadId                        the object, for writing
PUT         /b/key    none                            the object, for writing
PUT         /b/key    partNumber and uploadId         the object, for writing
POST        /b/key    uploads, or uploadId            the object, for writing
DELETE      /b/key    versionId, uploadId             the object, for writing
HEAD        /b        none                            something in the bucket
GET         /b        location                        something in the bucket
GET         /b        none, or list-type and the      all that the list's prefix names, for reading
                      names that lists have
GET         /b        uploads                         all that the list's prefix names, for writing
POST        /b        delete                          something in the bucket, for writing, and each
                                                      key of the body (``refused_keys``)
==========  ========  ==============================  ==============================================

With ``x-amz-copy-source`` the source must be open for reading, too. A list needs a prefix inside what is open: names
above it are others'. Everything else is refused: what is not in the table, a header or name in the query that is not
known, and whatever two servers may read differently, as a key with a part ``.`` or ``..``, a name that comes twice, or
a plus sign that means a space to one of them, unless both readings are open.

Paths are those of path-style requests, ``/bucket/key``, as sent: escaped, the query apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from urllib.parse import unquote_to_bytes

from launcher.local.keys.grants import Grant
from launcher.local.keys.places import Place

_TARGET = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")
_QUERY = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,=:@/?]|%[0-9A-Fa-f]{2})*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

_SIGNATURE = frozenset(
    {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"}
    | {"X-Amz-Security-Token", "X-Amz-Content-Sha256", "x-id"}
)
_RESPONSE = frozenset(
    f"response-{name}"
    for name in ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type")
) | {"response-expires"}
_LIST = frozenset(
    {"list-type", "prefix", "delimiter", "max-keys", "encoding-type", "start-after", "continuation-token", "marker"}
    | {"fetch-owner"}
)
_LIST_UPLOADS = frozenset(
    {"uploads", "prefix", "delimiter", "max-uploads", "encoding-type", "key-marker", "upload-id-marker"}
)
# Headers of S3's own that change nothing about what a request needs; all others are refused.
_HEADERS = re.compile(
    r"x-amz-(?:api-version|date|content-sha256|security-token|user-agent|expected-bucket-owner|source-expected-bucket-owner"
    r"|request-payer|storage-class|metadata-directive|tagging-directive|decoded-content-length|trailer|te"
    r"|mp-object-size|sdk-checksum-algorithm|checksum-[a-z0-9-]+|meta-.+"
    r"|copy-source(?:-range|-if-[a-z-]+)?|server-side-encryption(?:-[a-z-]+)?|if-match-[a-z-]+)"
)
_COPY_SOURCE = "x-amz-copy-source"
_VERSION = "?versionId="
# Access lists that open an object to nobody else.
_PRIVATE = frozenset({"private", "bucket-owner-full-control"})


def refusal(grant: Grant, method: str, path: str, query: str, headers: Mapping[str, str]) -> str | None:
    """Why a job's key does not let a request through; None where it does.

    Args:
        grant: the key's.
        method: the request's method.
        path: its path as sent, ``/bucket/key`` with its escapes.
        query: its query as sent, without the question mark.
        headers: its headers, names in lower case.

    Returns:
        A sentence for the answer AccessDenied. Where ``names_keys_in_body`` holds, the caller asks ``refused_keys`` as
        well.
    """
    try:
        _decide(grant, method, path, query, headers)
    except _Refused as refused:
        return str(refused)
    return None


def names_keys_in_body(method: str, query: str) -> bool:
    """Whether a request is DeleteObjects, whose body names the keys."""
    return method == "POST" and "delete" in {part.partition("=")[0] for part in query.split("&")}


def refused_keys(grant: Grant, path: str, keys: Collection[str]) -> list[str]:
    """Which keys in the body of a DeleteObjects request are not open for writing.

    Args:
        grant: the key's.
        path: the request's path as sent: ``/bucket``.
        keys: the keys, as the body spells them.
    """
    bucket = path.strip("/")
    return [key for key in keys if _odd(key) or not _holds(grant.writes, bucket, key)]


class _Refused(Exception):
    """The request is not let through; the text says why."""


def _decide(grant: Grant, method: str, path: str, query: str, headers: Mapping[str, str]) -> None:
    bucket, keys = _target(path)
    names = _names(query)
    _check_headers(headers)
    if keys == [""]:
        _decide_bucket(grant, method, bucket, names)
        return
    if method in ("GET", "HEAD") and names.keys() <= _RESPONSE | {"versionId", "partNumber"}:
        _need(grant, bucket, keys, reading=True)
    elif (method, *sorted(names)) in _WRITING:
        _need(grant, bucket, keys, reading=False)
    else:
        raise _Refused(f"{method} {_listed(names)}of an object is not among what a job's key may do.")
    if (source := headers.get(_COPY_SOURCE)) is not None:
        _need(grant, *_source(source), reading=True)


_WRITING = frozenset(
    {
        ("GET", "uploadId"),
        ("GET", "max-parts", "part-number-marker", "uploadId"),
        ("GET", "max-parts", "uploadId"),
        ("GET", "part-number-marker", "uploadId"),
        ("PUT",),
        ("PUT", "partNumber", "uploadId"),
        ("POST", "uploads"),
        ("POST", "uploadId"),
        ("DELETE",),
        ("DELETE", "uploadId"),
        ("DELETE", "versionId"),
    }
)


def _decide_bucket(grant: Grant, method: str, bucket: str, names: Mapping[str, tuple[str, ...]]) -> None:
    mine = [place for place in (*grant.reads, *grant.writes) if place.bucket == bucket]
    if not mine:
        raise _Refused(f"the job's request names nothing in bucket '{bucket}'.")
    if (method, *names) in (("HEAD",), ("GET", "location")):
        return
    if (method, *names) == ("POST", "delete") and any(place in grant.writes for place in mine):
        return
    uploads = "uploads" in names
    if method != "GET" or not names.keys() <= (_LIST_UPLOADS if uploads else _LIST):
        raise _Refused(f"{method} {_listed(names)}of a bucket is not among what a job's key may do.")
    for prefix in names.get("prefix", ("",)):
        places = grant.writes if uploads else mine
        if _odd(prefix) or not any(place.lists(bucket, prefix) for place in places):
            raise _Refused(
                f"a list of {_url(bucket, prefix)} holds more than the job's request names. List one of: "
                f"{', '.join(_url(place.bucket, place.key) for place in places if not place.exact) or 'nothing'}."
            )


def _need(grant: Grant, bucket: str, keys: Collection[str], *, reading: bool) -> None:
    places = (*grant.reads, *grant.writes) if reading else grant.writes
    for key in keys:
        if _odd(key):
            raise _Refused(f"a key with a part '.' or '..' is not open to a job: {_url(bucket, key)}.")
        if not _holds(places, bucket, key):
            what = "read" if reading else "write"
            raise _Refused(
                f"the request of job '{grant.job}' names no place that it may {what} {_url(bucket, key)} in."
            )


def _holds(places: Collection[Place], bucket: str, key: str) -> bool:
    return any(place.holds(bucket, key) for place in places)


def _odd(key: str) -> bool:
    """Whether somebody on the way may take a key for another one: a path's dots, or characters that end a name."""
    return any(part in (".", "..") for part in key.replace("\\", "/").split("/")) or "\0" in key


def _target(path: str) -> tuple[str, list[str]]:
    """The bucket, and the readings of the key: empty where the request is of the bucket."""
    if not path.startswith("/") or not _TARGET.fullmatch(path):
        raise _Refused("its path holds characters that must be escaped.")
    bucket, _, key = path[1:].partition("/")
    if not bucket:
        raise _Refused("a job's key opens no request without a bucket.")
    return _bucket(bucket), _readings(key)


def _source(text: str) -> tuple[str, list[str]]:
    """Bucket and readings of the key of a copy's source: ``bucket/key``, a slash before it or none, escaped or not."""
    text, _, _ = text.partition(_VERSION)
    if not _TARGET.fullmatch(text):
        raise _Refused(f"{_COPY_SOURCE} holds characters that must be escaped.")
    readings = [reading.removeprefix("/").partition("/") for reading in _readings(text)]
    if any(not key or _VERSION in key for _, _, key in readings):
        raise _Refused(f"{_COPY_SOURCE} '{text}' names no object.")
    return _bucket(readings[0][0]), [key for _, _, key in readings]


def _bucket(name: str) -> str:
    if not _BUCKET.fullmatch(name):
        raise _Refused(f"'{name}' is no bucket's name.")
    return name


def _names(query: str) -> dict[str, tuple[str, ...]]:
    """The names of a query with the readings of their values, without those of a signature."""
    if not _QUERY.fullmatch(query):
        raise _Refused("its query holds characters that must be escaped.")
    found: dict[str, tuple[str, ...]] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if name in found:
            raise _Refused(f"'{name}' comes twice in its query.")
        found[name] = tuple(_readings(value))
    return {name: values for name, values in found.items() if name not in _SIGNATURE}


def _readings(text: str) -> list[str]:
    """What an escaped text can mean: a plus sign is itself to some servers and a space to others."""
    try:
        readings = [unquote_to_bytes(text).decode()]
        if "+" in text:
            readings.append(unquote_to_bytes(text.replace("+", " ")).decode())
    except UnicodeError:
        raise _Refused("a name in it is no UTF-8.") from None
    return readings


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if name == "x-amz-acl" and value in _PRIVATE:
            continue
        if name.startswith("x-amz-") and not _HEADERS.fullmatch(name) and not name.startswith("x-amzn-"):
            raise _Refused(f"header {name} is not open to a job.")
        if "http-method" in name or "method-override" in name:
            raise _Refused(f"header {name} is not open to a job.")


def _url(bucket: str, key: str) -> str:
    """Bucket and key in a message."""
    return f"s3://{bucket}/{''.join(char if char.isprintable() else '?' for char in key[:200])}"


def _listed(names: Collection[str]) -> str:
    return f"with {', '.join(sorted(names))} " if names else ""
