"""AWS Signature Version 4, the verifying side.

The expected signature is computed by botocore's own signer over exactly the headers that the caller signed, and
compared in constant time. Everything that an API server forwards or executes passes here first.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from launcher.api.errors import ApiError
from launcher.local.host.home import HomePaths
from launcher.local.keys import grants
from launcher.local.keys.grants import Grant
from launcher.local.server.protocol.wire import MOST_DIGITS, Request

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_DIGEST = hashlib.sha256(b"").hexdigest()
TIME_FORMAT = "%Y%m%dT%H%M%SZ"
# AWS allows five minutes, S3 fifteen.
MAX_SKEW = datetime.timedelta(minutes=5)
MAX_SKEW_S3 = datetime.timedelta(minutes=15)
MAX_PRESIGNED_SECONDS = 7 * 24 * 3600

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Keys:
    """One pair of credentials that the API server accepts.

    Args:
        access_key, secret_key: the pair.
        token: comes with temporary ones.
        grant: what they open, if they are a job's; None for the owner's, which open all.
    """

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    grant: Grant | None = None


@dataclass(frozen=True)
class Signature:
    """What a request says about its own signature.

    Args:
        access_key, date, region, service: its credential scope.
        timestamp: when it was signed, as sent.
        headers: names of the headers that were signed.
        value: the signature, in hex.
        expires: seconds for which a presigned URL is good; None for a signed header.
        token: session token, if any.
    """

    access_key: str
    date: str
    region: str
    service: str
    timestamp: str
    headers: tuple[str, ...]
    value: str
    expires: int | None = None
    token: str | None = None


def parse(request: Request) -> Signature:
    """The signature that a request carries, in its header or in its query.

    Raises:
        ApiError: it carries none, or an incomplete one.
    """
    try:
        urlsplit(request.url)
    except ValueError:
        raise _incomplete("the header host is no name or address") from None
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    if "X-Amz-Signature" in query:
        fields = {name.removeprefix("X-Amz-"): value for name, value in query.items() if name.startswith("X-Amz-")}
        return _signature(
            fields.get("Credential", ""),
            fields.get("SignedHeaders", ""),
            fields["Signature"],
            fields.get("Date", ""),
            fields.get("Security-Token"),
            fields.get("Expires", ""),
        )
    header = request.headers.get("authorization")
    if not header:
        raise ApiError(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
            query_code="MissingAuthenticationToken",
            s3_code="AccessDenied",
        )
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"the algorithm '{algorithm[:40]}' is not {ALGORITHM}")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    return _signature(
        parts.get("Credential", ""),
        parts.get("SignedHeaders", ""),
        parts.get("Signature", ""),
        request.headers.get("x-amz-date", ""),
        request.headers.get("x-amz-security-token"),
        None,
    )


def _signature(
    credential: str, headers: str, value: str, timestamp: str, token: str | None, expires: str | None
) -> Signature:
    scope = credential.split("/")
    names = tuple(headers.split(";"))
    if len(scope) != 5 or scope[4] != "aws4_request":
        raise _incomplete("its credential scope is not KEY/DATE/REGION/SERVICE/aws4_request")
    if "host" not in names or not value:
        raise _incomplete("the header host is not signed, or there is no signature")
    if expires is not None and not (expires.isascii() and expires.isdigit()):
        raise _incomplete("X-Amz-Expires is no number")
    access_key, date, region, service, _ = scope
    seconds = None if expires is None else min(int(expires[:MOST_DIGITS]), MAX_PRESIGNED_SECONDS)
    return Signature(access_key, date, region, service, timestamp, names, value, seconds, token)


def known_keys(signature: Signature, keys_of: Callable[[str], Keys | None], now: datetime.datetime) -> Keys:
    """The keys that a request says it was signed with, and just now: what can be checked before its body is read.

    Raises:
        ApiError: the key is unknown, or the signature is too old.
    """
    keys = keys_of(signature.access_key)
    if keys is None or not hmac.compare_digest((keys.token or "").encode(), (signature.token or "").encode()):
        raise ApiError(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            query_code="InvalidClientTokenId",
            s3_code="InvalidAccessKeyId",
        )
    _check_time(signature, now)
    return keys


def verify(
    request: Request,
    signature: Signature,
    body_digest: str | None,
    keys_of: Callable[[str], Keys | None],
    now: datetime.datetime,
) -> Keys:
    """Check who sent a request, when, and that nobody changed it; the keys that it was signed with.

    Args:
        request: the request.
        signature: what ``parse`` found in it.
        body_digest: sha256 of its body in hex; None when the caller checks the body against the declared digest itself.
        keys_of: credentials by access key.
        now: the time, with its zone.

    Raises:
        ApiError: the key is unknown, the signature wrong or too old, or the body is not the one that was signed.
    """
    keys = known_keys(signature, keys_of, now)
    declared = request.headers.get("x-amz-content-sha256")
    if body_digest is not None and declared not in (None, body_digest):
        raise _mismatch("The body is not the one whose digest was signed.")
    expected = _expected(request, signature, keys, UNSIGNED if signature.expires is not None else body_digest)
    if not hmac.compare_digest(expected.encode(), signature.value.encode()):
        raise _mismatch(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details."
        )
    return keys


def digest_in_head(request: Request, signature: Signature) -> str | None:
    """The digest of the body that a head is signed for, where the head says it; None where only the body does."""
    declared = request.headers.get("x-amz-content-sha256", "")
    return declared if signature.expires is None and _DIGEST.fullmatch(declared) else None


def declared_digest(request: Request) -> str | None:
    """The sha256 that a request promises for its body; None when it promises nothing.

    Raises:
        ApiError: the body is signed in chunks, which the API server does not take.
    """
    declared = request.headers.get("x-amz-content-sha256", UNSIGNED)
    if declared == UNSIGNED:
        return None
    if not _DIGEST.fullmatch(declared):
        raise ApiError(
            "NotImplemented", f"The API server takes no body with x-amz-content-sha256: {declared[:60]}.", 501
        )
    return declared


def sign(method: str, url: str, headers: dict[str, str], keys: Keys, region: str, service: str) -> dict[str, str]:
    """Headers of a request with its signature.

    Args:
        method, url: the request.
        headers: those to send and sign; ``x-amz-content-sha256`` among them says what the body is.
        keys: whose signature.
        region, service: its scope.
    """
    request = AWSRequest(method=method, url=url, headers=headers)
    auth = _Signer(Credentials(keys.access_key, keys.secret_key, keys.token), service, region)
    auth.add_auth(request)
    return dict(request.headers.items())


class _Signer(SigV4Auth):
    """Signs what the caller says the body is, and leaves the path as it is."""

    def _normalize_url_path(self, path: str) -> str:
        return path or "/"


class _HeaderSigner(SigV4Auth):
    """Signs with a given digest of the body where the headers declare none."""

    digest = UNSIGNED

    def headers_to_sign(self, request: AWSRequest) -> Any:
        return request.headers

    def payload(self, request: AWSRequest) -> str:
        return self.digest


class _S3HeaderSigner(_HeaderSigner, S3SigV4Auth):
    """The same with S3's rule for paths: they are signed as sent."""


def _expected(request: Request, signature: Signature, keys: Keys, digest: str | None) -> str:
    kind = _S3HeaderSigner if signature.service == "s3" else _HeaderSigner
    auth = kind(Credentials(keys.access_key, keys.secret_key), signature.service, signature.region)
    auth.digest = digest or UNSIGNED
    url = request.url
    if signature.expires is not None:
        kept = [pair for pair in request.query.split("&") if not pair.startswith("X-Amz-Signature=")]
        url = f"{url.partition('?')[0]}?{'&'.join(kept)}"
    signed = {name: request.headers.get(name, "") for name in signature.headers}
    prepared = AWSRequest(method=request.method, url=url, headers=signed)
    prepared.context["timestamp"] = signature.timestamp
    text = auth.string_to_sign(prepared, auth.canonical_request(prepared))
    return str(auth.signature(text, prepared))


def _check_time(signature: Signature, now: datetime.datetime) -> None:
    try:
        signed_at = datetime.datetime.strptime(signature.timestamp, TIME_FORMAT).replace(tzinfo=datetime.UTC)
    except ValueError:
        raise _incomplete("X-Amz-Date is missing or no time") from None
    if signature.timestamp[:8] != signature.date:
        raise _mismatch("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.")
    skew = MAX_SKEW_S3 if signature.service == "s3" else MAX_SKEW
    good_for = skew if signature.expires is None else datetime.timedelta(seconds=signature.expires)
    if now - signed_at > good_for:
        limit = (now - good_for).strftime(TIME_FORMAT)
        raise _mismatch(
            f"Signature expired: {signature.timestamp} is now earlier than {limit}.", "RequestTimeTooSkewed"
        )
    if signed_at - now > skew:
        limit = (now + skew).strftime(TIME_FORMAT)
        raise _mismatch(
            f"Signature not yet current: {signature.timestamp} is still later than {limit}.", "RequestTimeTooSkewed"
        )


def digest_of(body: bytes) -> str:
    """sha256 of a body, in hex."""
    return hashlib.sha256(body).hexdigest()


def _incomplete(what: str) -> ApiError:
    return ApiError(
        "IncompleteSignatureException",
        f"The signature of the request cannot be read: {what}.",
        query_code="IncompleteSignature",
        s3_code="AuthorizationHeaderMalformed",
    )


def _mismatch(message: str, s3_code: str = "SignatureDoesNotMatch") -> ApiError:
    return ApiError("InvalidSignatureException", message, query_code="SignatureDoesNotMatch", s3_code=s3_code)


class Keyring:
    """Credentials by access key. Temporary ones are forgotten when they expire, and when the API server ends.

    Args:
        own: the cloud's own credentials.
        home: the data folder with the keys of jobs.
        clock: seconds, never running back.
    """

    def __init__(self, own: Keys, home: HomePaths, clock: Callable[[], float] = time.monotonic) -> None:
        self._own = own
        self._home = home
        self._clock = clock
        self._temporary: dict[str, tuple[Keys, float]] = {}
        self._lock = threading.Lock()

    def find(self, access_key: str) -> Keys | None:
        """The credentials with an access key, or None."""
        if access_key == self._own.access_key:
            return self._own
        if grant := grants.find(self._home, access_key):
            return Keys(grant.access_key, grant.secret_key, grant=grant)
        with self._lock:
            keys, expires = self._temporary.get(access_key, (None, 0.0))
        return keys if expires > self._clock() else None

    def issue(self, keys: Keys, seconds: float) -> None:
        """Accept temporary credentials for so many seconds."""
        now = self._clock()
        with self._lock:
            self._temporary = {name: entry for name, entry in self._temporary.items() if entry[1] > now}
            self._temporary[keys.access_key] = (keys, now + seconds)
