"""Clients for any S3: AWS, Ceph, MinIO, the embedded store.

Only the common subset is used: put, get (ranged), head, list v2, delete and multipart upload. Checksums are sent only
where an operation requires them, because S3-compatible servers refuse or ignore the newer ones; content is verified by
our own sha256 instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
from botocore.config import Config
from botocore.credentials import Credentials

from batchrl.contract import direct
from batchrl.contract.errors import DISK_FULL, BatchRLError, InputError, NoRoom, Unreachable
from batchrl.contract.layout import S3Url
from batchrl.contract.text import printable

Client = Any
MAX_CONNECTIONS = 32
MISSING = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})
# Said of an object that may not be looked at; where the bucket may not be listed, of one that is not there, too.
HIDDEN = frozenset({"403", "AccessDenied", "Forbidden"})
# A body that broke off on its way: another try may bring it whole.
TORN = (botocore.exceptions.IncompleteReadError, botocore.exceptions.ResponseStreamingError)
# Answers 400 that mean 'again, please'; the last of them say that a body changed, or broke off, on its way.
PASSING = frozenset(
    {"RequestTimeout", "RequestTimeoutException", "Throttling", "ThrottlingException", "SlowDown"}
    | {"XAmzContentSHA256Mismatch", "BadDigest", "IncompleteBody"}
)
MAX_KEY_BYTES = 1024
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def client_config(**settings: Any) -> Config:
    """botocore settings that hold for every S3-compatible server; ``settings`` come on top."""
    values: dict[str, Any] = {
        "signature_version": "s3v4",
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "max_pool_connections": MAX_CONNECTIONS,
        "retries": {"mode": "standard", "total_max_attempts": 4},
        "tcp_keepalive": True,
        "connect_timeout": 5,
        "read_timeout": 60,
        "user_agent_extra": "batchrl",
    }
    return Config(**(values | settings))


def s3_client(session: boto3.Session | None = None, endpoint_url: str | None = None, **credentials: Any) -> Client:
    """An S3 client; without arguments the one that the environment describes.

    Args:
        session: where region and credentials come from.
        endpoint_url: a server other than AWS; its buckets are addressed by path.
        credentials: ``aws_access_key_id``, ``aws_secret_access_key``, ``region_name``.
    """
    style: dict[str, Any] = {"s3": {"addressing_style": "path"}} if endpoint_url else {}
    if endpoint_url and urlsplit(endpoint_url).hostname in LOOPBACK:
        # No proxy of the environment's leads to this machine's own loopback.
        style["proxies"] = {}
    factory = session or boto3.Session()
    client = factory.client("s3", endpoint_url=endpoint_url, config=client_config(**style), **credentials)
    direct.enable(client, _credentials(factory, credentials))
    return client


def _credentials(session: boto3.Session, given: Mapping[str, Any]) -> Any:
    """botocore's credentials of a client that was made with these arguments."""
    access_key, secret_key = given.get("aws_access_key_id"), given.get("aws_secret_access_key")
    if access_key and secret_key:
        return Credentials(access_key, secret_key, given.get("aws_session_token"))
    return session.get_credentials()


@contextmanager
def reported(what: str, client: Client | None = None) -> Iterator[None]:
    """Turn botocore's faults inside the block into errors that name the endpoint, the bucket or the key.

    Args:
        what: the thing that was being done, as in ``"upload of s3://bucket/key"``.
        client: whose endpoint is named when it cannot be reached.

    Raises:
        Unreachable: the endpoint does not answer.
        InputError: credentials are missing or refused, or bucket or key does not exist.
        NoRoom: the local cloud's disk is full.
    """
    endpoint = client.meta.endpoint_url if client is not None else "the endpoint"
    try:
        yield
    except BatchRLError:
        raise
    except botocore.exceptions.NoCredentialsError as error:
        raise InputError(
            f"{what}: no credentials found for {endpoint}.", "Configure AWS credentials, or use a local instance type."
        ) from error
    except botocore.exceptions.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        text = error.response.get("Error", {}).get("Message") or "no message"
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == DISK_FULL:
            raise NoRoom(f"{what}: {text}", "Free some space (`batchrl cloud gc` helps), then try again.") from error
        if status and not is_refusal(error):
            raise Unreachable(f"{what}: {endpoint} answers {status} {code}: {text}") from error
        raise InputError(f"{what}: {endpoint} answers {code}: {text}") from error
    except (botocore.exceptions.HTTPClientError, botocore.exceptions.EndpointConnectionError) as error:
        raise Unreachable(f"{what}: {endpoint} does not answer ({error}).") from error
    except botocore.exceptions.BotoCoreError as error:
        raise InputError(f"{what}: {error}") from error


def is_missing(error: botocore.exceptions.ClientError) -> bool:
    """Whether an answer says that the key or bucket does not exist."""
    return error.response.get("Error", {}).get("Code") in MISSING


def is_hidden(error: botocore.exceptions.ClientError) -> bool:
    """Whether an answer says that the object may not be looked at, so that nobody knows whether there is one."""
    return error.response.get("Error", {}).get("Code") in HIDDEN


def size_of(client: Client, url: S3Url) -> int | None:
    """Bytes of an object; None where there is none.

    Raises:
        ClientError: the store refuses otherwise.
    """
    try:
        return int(client.head_object(Bucket=url.bucket, Key=url.key)["ContentLength"])
    except botocore.exceptions.ClientError as error:
        if is_missing(error):
            return None
        raise


def check_key(url: S3Url) -> None:
    """Make sure that a name of a file's can be part of a key: any UTF-8 of at most 1,024 bytes.

    Raises:
        InputError: it cannot; the name is told with what is no UTF-8 escaped.
    """
    try:
        length = len(url.key.encode())
    except UnicodeEncodeError:
        raise InputError(
            f"{printable(str(url))} is no key: the name is not UTF-8.", "Rename the file in UTF-8."
        ) from None
    if length > MAX_KEY_BYTES:
        raise InputError(f"{printable(str(url))} is no key: it has {length:,} bytes, and S3 takes {MAX_KEY_BYTES:,}.")


def is_refusal(error: BaseException) -> bool:
    """Whether asking again would give the same answer.

    ==========================================================  ==============
    error                                                       asked again
    ==========================================================  ==============
    answer 5xx, 408, 429, or a code of ``PASSING``              yes
    any other answer 4xx: access denied, no such bucket         no
    no credentials, a parameter that the client refuses         no
    no connection, a body that broke off                        yes
    a name that is no key, an input that is wrong               no
    no endpoint's answer, damaged content                       yes
    the machine's own: no room, no descriptors, no memory       yes
    ==========================================================  ==============

    What s3transfer met is told by the error that it wraps.
    """
    permanent = botocore.exceptions.NoCredentialsError | botocore.exceptions.ParamValidationError
    if isinstance(error, permanent | InputError | UnicodeError):
        return True
    if isinstance(error, botocore.exceptions.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = error.response.get("Error", {}).get("Code", "")
        return 400 <= status < 500 and status not in (408, 429) and code not in PASSING
    wrapped = error.__cause__ or error.__context__
    return isinstance(wrapped, botocore.exceptions.ClientError) and is_refusal(wrapped)


def list_entries(client: Client, prefix: S3Url) -> Iterator[dict[str, Any]]:
    """What the server says of each object below a raw key prefix, in its order: Key, Size, ETag, LastModified."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
    for page in pages:
        yield from page.get("Contents", ())


def list_objects(client: Client, prefix: S3Url) -> Iterator[tuple[str, int]]:
    """Keys and sizes in bytes below a raw key prefix, in the server's order."""
    return ((entry["Key"], entry["Size"]) for entry in list_entries(client, prefix))


def ensure_bucket(client: Client, bucket: str) -> None:
    """Create a bucket unless it is there."""
    try:
        client.head_bucket(Bucket=bucket)
    except botocore.exceptions.ClientError as error:
        if not is_missing(error):
            raise
        region = client.meta.region_name
        if client.meta.endpoint_url.endswith(".amazonaws.com") and region != "us-east-1":
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
        else:
            client.create_bucket(Bucket=bucket)
