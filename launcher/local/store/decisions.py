"""Which operation a request is. What is not in this table is refused, and changes nothing.

A request is decided by its method, by what it is about (store, bucket, object), by the subresources in its query and,
for copies, by one header. Parameters that S3 does not know are ignored, as S3 does, unless they look like a
subresource, that is, have no value: another server's mistake was to take ``PUT key?tagging`` for a plain PUT.
"""

from __future__ import annotations

from collections.abc import Mapping

from launcher.local.store import buckets, copying, objects, settings, tagging, uploadlists, uploads
from launcher.local.store.call import Operation
from launcher.local.store.copying import SOURCE_HEADER
from launcher.local.store.errors import StoreError, not_implemented


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# (method, level, subresources) -> operation.
OPERATIONS: dict[tuple[str, str, frozenset[str]], Operation] = {
    ("GET", "service", frozenset()): buckets.list_buckets,
    ("PUT", "bucket", frozenset()): buckets.create_bucket,
    ("HEAD", "bucket", frozenset()): buckets.head_bucket,
    ("DELETE", "bucket", frozenset()): buckets.delete_bucket,
    ("GET", "bucket", frozenset()): buckets.list_objects,
    ("GET", "bucket", frozenset({"list-type"})): buckets.list_objects_v2,
    ("GET", "bucket", frozenset({"location"})): buckets.location,
    ("GET", "bucket", frozenset({"acl"})): settings.bucket_acl,
    ("GET", "bucket", frozenset({"uploads"})): uploadlists.list_uploads,
    ("POST", "bucket", frozenset({"delete"})): objects.delete_objects,
    ("GET", "object", frozenset()): objects.read_object,
    ("HEAD", "object", frozenset()): objects.read_object,
    ("PUT", "object", frozenset()): objects.put_object,
    ("PUT", "object", frozenset({SOURCE_HEADER})): copying.copy_object,
    ("DELETE", "object", frozenset()): objects.delete_object,
    ("GET", "object", frozenset({"acl"})): settings.object_acl,
    ("GET", "object", frozenset({"legal-hold"})): settings.no_lock,
    ("GET", "object", frozenset({"retention"})): settings.no_lock,
    ("GET", "object", frozenset({"tagging"})): tagging.get_tags,
    ("PUT", "object", frozenset({"tagging"})): tagging.put_tags,
    ("DELETE", "object", frozenset({"tagging"})): tagging.delete_tags,
    ("POST", "object", frozenset({"uploads"})): uploads.create,
    ("PUT", "object", frozenset({"uploadId"})): uploads.put_part,
    ("PUT", "object", frozenset({"uploadId", SOURCE_HEADER})): uploads.copy_part,
    ("POST", "object", frozenset({"uploadId"})): uploads.complete,
    ("DELETE", "object", frozenset({"uploadId"})): uploads.abort,
    ("GET", "object", frozenset({"uploadId"})): uploadlists.list_parts,
    **{("GET", "bucket", frozenset({name})): settings.absent(code) for name, code in settings.ABSENT.items()},
    **{("GET", "bucket", frozenset({name})): settings.empty(text) for name, text in settings.EMPTY.items()},
    **{("DELETE", "bucket", frozenset({name})): settings.nothing_to_delete for name in settings.DELETABLE},
}

# What makes a request another operation. The second line has none in the table: those are refused by their names.
SUBRESOURCES = frozenset(name for _, _, names in OPERATIONS for name in names if name != SOURCE_HEADER) | _words(
    "abac analytics annotation append attributes encryption-key intelligent-tiering inventory metadataConfiguration "
    "metadataTable metrics renameObject restore select session torrent versions"
)
# Parameters of operations; they may be empty.
PARAMETERS = _words(
    "bucket-region continuation-token delimiter encoding-type fetch-owner key-marker marker max-buckets max-keys "
    "max-parts max-uploads part-number-marker partNumber prefix response-cache-control response-content-disposition "
    "response-content-encoding response-content-language response-content-type response-expires start-after "
    "upload-id-marker versionId x-id"
)

# Headers whose meaning is carried out, or which have none for a store with one owner.
HEADERS = _words(
    "x-amz-acl x-amz-api-version "
    "x-amz-bucket-object-lock-enabled x-amz-bucket-region x-amz-checksum-algorithm x-amz-checksum-crc32 "
    "x-amz-checksum-crc32c x-amz-checksum-crc64nvme x-amz-checksum-mode x-amz-checksum-sha1 x-amz-checksum-sha256 "
    "x-amz-checksum-type x-amz-content-sha256 x-amz-copy-source x-amz-copy-source-if-match "
    "x-amz-copy-source-if-modified-since x-amz-copy-source-if-none-match x-amz-copy-source-if-unmodified-since "
    "x-amz-copy-source-range x-amz-date x-amz-decoded-content-length x-amz-expected-bucket-owner "
    "x-amz-metadata-directive "
    "x-amz-mp-object-size x-amz-object-ownership x-amz-request-payer x-amz-sdk-checksum-algorithm x-amz-security-token "
    "x-amz-source-expected-bucket-owner x-amz-storage-class x-amz-tagging x-amz-tagging-directive x-amz-trailer "
    "x-amz-user-agent"
)
# Headers that are taken and have no effect, which the answer says: S3 encrypts at rest, nothing here does. A client
# notices no difference, so that a wish for it is no reason to refuse an object. Keys of the client's own are one.
TOLD = _words(
    "x-amz-server-side-encryption x-amz-server-side-encryption-aws-kms-key-id x-amz-server-side-encryption-context "
    "x-amz-server-side-encryption-bucket-key-enabled"
)
# Of some headers only these values have a meaning here.
VALUES = {
    "x-amz-acl": ("private", "bucket-owner-full-control", "bucket-owner-read"),
    "x-amz-object-ownership": ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"),
    "x-amz-server-side-encryption": ("AES256", "aws:kms", "aws:kms:dsse"),
    "x-amz-storage-class": ("STANDARD",),
}
_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE"})


def decide(method: str, level: str, parameters: Mapping[str, str], headers: Mapping[str, str]) -> Operation:
    """The operation that a request is.

    Args:
        method: its method.
        level: ``service``, ``bucket`` or ``object``.
        parameters: those of its query.
        headers: its headers, names in lower case.

    Raises:
        StoreError: it is none that is implemented here.
    """
    if method not in _METHODS:
        raise StoreError("MethodNotAllowed")
    _check_headers(headers)
    names = {name for name in parameters if name in SUBRESOURCES}
    unknown = [
        name
        for name, value in parameters.items()
        if not value and name not in SUBRESOURCES | PARAMETERS and not name.startswith("X-Amz-")
    ]
    if unknown:
        raise not_implemented(f"{method} with ?{unknown[0][:60]}")
    if SOURCE_HEADER in headers:
        names.add(SOURCE_HEADER)
    if level == "object" and parameters.get("versionId", "null") != "null":
        raise StoreError("NoSuchVersion")
    operation = OPERATIONS.get((method, level, frozenset(names)))
    if operation is None:
        asked = f"?{'&'.join(sorted(names))}" if names else "nothing more"
        raise not_implemented(f"{method} of a {level} with {asked}")
    return operation


def without_effect(headers: Mapping[str, str]) -> list[str]:
    """The headers of a request that change nothing here, though they would on S3."""
    return sorted(TOLD.intersection(headers))


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not name.startswith("x-amz-") or name.startswith("x-amz-meta-"):
            continue
        if name not in HEADERS | TOLD and not name.startswith("x-amz-checksum-"):
            raise not_implemented(f"the header {name[:60]}")
        if name in VALUES and value not in VALUES[name]:
            raise not_implemented(f"{name}: {value[:60]}; it knows {', '.join(VALUES[name])}")
