"""AWS Signature Version 4 of S3 requests, the verifying side, with the standard library alone.

The canonical request is built from the path and the query as they were sent, and, where that does not match, from their
canonical escapes: clients escape more or less than S3's rule on the wire and sign the rule. Either way the signature
covers what is executed. ``tests/launcher/local/store/test_sigv4.py`` compares with botocore's signer.

Source: "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API reference.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote, unquote, unquote_to_bytes

from launcher.local.store.errors import StoreError

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
CONTENT_DIGEST = "x-amz-content-sha256"
TIME_FORMAT = "%Y%m%dT%H%M%SZ"
MAX_SKEW = datetime.timedelta(minutes=15)
MAX_PRESIGNED_SECONDS = 7 * 24 * 3600

# A presigned URL's own fields; all of them are signed, except the signature.
QUERY_FIELDS = frozenset(
    f"X-Amz-{name}"
    for name in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature", "Security-Token")
)


@dataclass(frozen=True)
class Secret:
    """What belongs to an access key.

    Args:
        secret_key: its secret.
    """

    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class Signed:
    """A request whose signature holds.

    Args:
        access_key: whose it is.
        scope: ``DATE/REGION/s3/aws4_request``.
        timestamp: when it was signed, as sent.
        signature: in hex; the first chunk of a body that is signed in chunks continues it.
        payload: what the request promises about its body: a digest, ``UNSIGNED-PAYLOAD`` or ``STREAMING-...``.
        signing_key: the key that signed it.
    """

    access_key: str
    scope: str
    timestamp: str
    signature: str
    payload: str
    signing_key: bytes = field(repr=False)


@dataclass(frozen=True)
class _Claim:
    access_key: str
    date: str
    region: str
    timestamp: str
    names: tuple[str, ...]
    signature: str
    token: str | None
    expires: int | None = None


def verify(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    secret_of: Callable[[str], Secret | None],
    now: datetime.datetime,
) -> Signed:
    """Check who sent a request, when, and that nobody changed it; the body is checked by whoever reads it.

    Args:
        method, path, query: the request line, escapes as they were sent.
        headers: names in lower case; several of one name joined with commas.
        secret_of: what belongs to an access key.
        now: the time, with its zone.

    Raises:
        StoreError: there is no signature, it is not this request's, or its time is over.
    """
    claim = _claim(query, headers)
    secret = secret_of(claim.access_key)
    if secret is None or claim.token:  # no key of this store comes with a session token
        raise StoreError("InvalidAccessKeyId")
    _check_time(claim, now)
    _check_names(claim, headers)
    if claim.expires is None:
        payload = headers.get(CONTENT_DIGEST, "")
        if not payload:
            raise StoreError("InvalidRequest", f"Missing required header for this request: {CONTENT_DIGEST}")
    else:
        payload = headers.get(CONTENT_DIGEST, UNSIGNED) if CONTENT_DIGEST in claim.names else UNSIGNED
    scope = f"{claim.date}/{claim.region}/s3/aws4_request"
    key = signing_key(secret.secret_key, claim.date, claim.region)
    given = claim.signature.encode()
    lines = "".join(f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in claim.names)
    for canonical_path, canonical_query in _spellings(path, query):
        canonical = f"{method}\n{canonical_path}\n{canonical_query}\n{lines}\n{';'.join(claim.names)}\n{payload}"
        if hmac.compare_digest(_signature(key, claim.timestamp, scope, canonical).encode(), given):
            return Signed(claim.access_key, scope, claim.timestamp, claim.signature, payload, key)
    raise StoreError("SignatureDoesNotMatch")


def _signature(key: bytes, timestamp: str, scope: str, canonical: str) -> str:
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return hmac.digest(key, f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}".encode(), "sha256").hex()


@lru_cache(maxsize=256)
def signing_key(secret_key: str, date: str, region: str) -> bytes:
    """The key that signs the requests of one day and region."""
    key = f"AWS4{secret_key}".encode()
    for part in (date, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _spellings(path: str, query: str) -> Iterator[tuple[str, str]]:
    """Path and query as they may have been signed: as sent, then in canonical escapes."""
    pairs = [pair for pair in query.split("&") if pair and not pair.startswith("X-Amz-Signature=")]
    sent = path, "&".join(f"{name}={value}" for name, value in sorted(pair.partition("=")[::2] for pair in pairs))
    yield sent
    decoded = sorted(tuple(quote(unquote(part), safe="-_.~") for part in pair.partition("=")[::2]) for pair in pairs)
    canonical = quote(unquote_to_bytes(path), safe="/-_.~"), "&".join(f"{name}={value}" for name, value in decoded)
    if canonical != sent:
        yield canonical


def _claim(query: str, headers: Mapping[str, str]) -> _Claim:
    header = headers.get("authorization")
    if "X-Amz-Signature=" in query or "X-Amz-Algorithm=" in query:
        if header:
            raise StoreError("InvalidArgument", "Only one auth mechanism allowed.")
        return _claim_of_query(query)
    if not header:
        raise StoreError("AccessDenied")
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise StoreError(
            "InvalidRequest", f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}."
        )
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    return _parsed(fields, headers.get("x-amz-date", ""), headers.get("x-amz-security-token"), None)


def _claim_of_query(query: str) -> _Claim:
    pairs = (pair.partition("=")[::2] for pair in query.split("&"))
    fields = {name.removeprefix("X-Amz-"): unquote(value) for name, value in pairs if name in QUERY_FIELDS}
    if fields.get("Algorithm") != ALGORITHM:
        raise StoreError("AuthorizationQueryParametersError", f"X-Amz-Algorithm only supports {ALGORITHM}.")
    text = fields.get("Expires", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= MAX_PRESIGNED_SECONDS):
        raise StoreError(
            "AuthorizationQueryParametersError",
            f"X-Amz-Expires must be a number of seconds, at most {MAX_PRESIGNED_SECONDS}.",
        )
    return _parsed(fields, fields.get("Date", ""), fields.get("Security-Token"), int(text))


def _parsed(fields: Mapping[str, str], timestamp: str, token: str | None, expires: int | None) -> _Claim:
    code = "AuthorizationHeaderMalformed" if expires is None else "AuthorizationQueryParametersError"
    scope = fields.get("Credential", "").split("/")
    names = tuple(fields.get("SignedHeaders", "").split(";"))
    if len(scope) != 5 or scope[3:] != ["s3", "aws4_request"]:
        raise StoreError(code, "The credential scope is not KEY/DATE/REGION/s3/aws4_request.")
    if "host" not in names or not fields.get("Signature"):
        raise StoreError(code, "The header host is not signed, or there is no signature.")
    return _Claim(scope[0], scope[1], scope[2], timestamp, names, fields["Signature"], token, expires)


def _check_names(claim: _Claim, headers: Mapping[str, str]) -> None:
    """What changes the meaning of a request must have been signed."""
    unsigned = [
        name for name in headers if name.startswith("x-amz-") and name not in claim.names and name != CONTENT_DIGEST
    ]
    if unsigned:
        raise StoreError(
            "AccessDenied",
            f"There were headers present in the request which were not signed: {', '.join(unsigned)[:200]}",
        )


def _check_time(claim: _Claim, now: datetime.datetime) -> None:
    try:
        signed_at = datetime.datetime.strptime(claim.timestamp, TIME_FORMAT).replace(tzinfo=datetime.UTC)
    except ValueError:
        raise StoreError("AccessDenied", "X-Amz-Date is missing, or is no time as in 20130524T000000Z.") from None
    if claim.timestamp[:8] != claim.date:
        raise StoreError("SignatureDoesNotMatch", "The date of the credential scope is not that of X-Amz-Date.")
    if claim.expires is None:
        if abs(now - signed_at) > MAX_SKEW:
            raise StoreError("RequestTimeTooSkewed")
        return
    if signed_at - now > MAX_SKEW:
        raise StoreError("AccessDenied", "Request is not yet valid")
    if now - signed_at > datetime.timedelta(seconds=claim.expires):
        raise StoreError("AccessDenied", "Request has expired")
