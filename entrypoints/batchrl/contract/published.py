"""Reading what a sync publishes, while it publishes on: never torn."""

from __future__ import annotations

import time

import botocore.exceptions

from batchrl.contract.errors import DamagedContent
from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import MANIFEST_NAME, Manifest, sha256_of
from batchrl.contract.store import TORN, Client, is_missing


def load_manifest(client: Client, prefix: S3Url, attempts: int = 20, pause: float = 0.05) -> Manifest | None:
    """The manifest below a prefix, or None where none was published.

    Raises:
        DamagedContent: it could not be read whole in ``attempts`` tries, ``pause`` seconds apart.
    """
    url = prefix / MANIFEST_NAME
    for attempt in range(attempts):
        try:
            return Manifest.from_bytes(_get(client, url))
        except DamagedContent:
            if attempt == attempts - 1:
                raise
            time.sleep(pause)
        except botocore.exceptions.ClientError as error:
            if is_missing(error):
                return None
            raise
    raise AssertionError("unreachable")


def read_published(client: Client, prefix: S3Url, path: str, attempts: int = 60, pause: float = 0.05) -> bytes:
    """The newest whole version of a file that may be overwritten while it is read.

    Where a manifest lists the file, the body must be one of the listed versions; else two reads must agree.

    Args:
        client: S3 client.
        prefix: the synced prefix.
        path: path below it.
        attempts: how often to try, ``pause`` seconds apart.

    Raises:
        botocore.exceptions.ClientError: there is no such object.
        DamagedContent: no whole version could be read.
    """
    url = prefix / path
    read: dict[str, bytes] = {}
    previous: str | None = None
    for _ in range(attempts):
        try:
            body = _get(client, url)
        except DamagedContent:
            time.sleep(pause)
            continue
        digest = sha256_of(body)
        read[digest] = body
        manifest = load_manifest(client, prefix)
        entry = manifest.files.get(path) if manifest else None
        # A body can be newer than the manifest that came with it; the next manifest will list it.
        listed = next((version for version in reversed(entry.versions) if version in read), None) if entry else None
        if listed is not None:
            return read[listed]
        if entry is None and digest == previous:
            return body
        previous = digest
        time.sleep(pause)
    raise DamagedContent(f"{url} could not be read whole in {attempts} tries.", "Is its writer still alive?")


def find_published(client: Client, prefix: S3Url, path: str) -> bytes | None:
    """As ``read_published``, but None where there is no such object."""
    try:
        return read_published(client, prefix, path)
    except botocore.exceptions.ClientError as error:
        if is_missing(error):
            return None
        raise


def _get(client: Client, url: S3Url) -> bytes:
    try:
        answer = client.get_object(Bucket=url.bucket, Key=url.key)
        body: bytes = answer["Body"].read()
    except TORN as error:
        raise DamagedContent(f"{url} was cut short: {error}") from error
    except botocore.exceptions.ClientError as error:
        # What a server that tears bodies may answer instead, at the very moment of an overwrite.
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) < 500:
            raise
        raise DamagedContent(f"{url} could not be served: {error}") from error
    return body
