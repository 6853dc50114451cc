"""Objects by one signed request over a kept connection, for a fifth of the CPU time that botocore takes.

With many small objects, the client's own time is what a transfer waits for. So a request that will nearly always
succeed is made here first, and once; everything else stays botocore's, which then makes the request again:

==================================================  ================================================================
what happens                                        what is done
==================================================  ================================================================
200 (206 for a part), with the length of the body   taken
any other answer: refusal, redirect, 500, no length botocore's request: its retries, its errors
no connection, no answer in time                    the same
the body breaks off                                 an error of botocore's for that, see ``store.TORN``
the client was not made by ``store.s3_client``      always botocore
HTTPS, a proxy, no credentials, not plain S3        always botocore: certificates and tunnels are its affair
==================================================  ================================================================

Where a bucket lies (in the host's name or in the path) and which region signs for it is read off a URL that botocore
has signed; credentials are asked for with each request, since they may be replaced.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from weakref import WeakKeyDictionary

import botocore.exceptions
from botocore.utils import get_environ_proxies

from batchrl.contract.layout import S3Url

CHUNK_BYTES = 1024 * 1024
MOST_IDLE = 32
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
ALGORITHM = "AWS4-HMAC-SHA256"
# botocore's names of what a request asks for, and the protocol's.
_HEADERS = {"Range": "range", "IfMatch": "if-match"}
_PROBE = "x"
# Event of botocore's kind for a request made here that succeeded, with ``operation``, ``url``, ``size``, ``seconds``.
ANSWERED = "answered-directly.s3"


@dataclass(frozen=True)
class Answer:
    """An object, or a part of it, that is being read.

    Args:
        etag: as the store sent it; empty where it did not.
        length: bytes of the body.
        chunks: the body; raises one of ``store.TORN`` where it breaks off.
    """

    etag: str
    length: int
    chunks: Iterator[bytes]


def read_object(client: Any, url: S3Url, part: range | None = None, etag: str = "") -> Answer:
    """Begin to read an object.

    Args:
        client: S3 client.
        url: the object.
        part: which bytes of it; None for all.
        etag: refuse it where it has another by now; empty where that is all the same.

    Raises:
        botocore.exceptions.ClientError: the store refuses.
        botocore.exceptions.BotoCoreError: it does not answer.
    """
    wanted = {} if part is None else {"Range": f"bytes={part.start}-{part.stop - 1}"}
    if etag:
        wanted["IfMatch"] = etag
    began = time.monotonic()
    if (server := _server(client, url.bucket)) and (answer := server.get(url.key, wanted)):
        _tell(client, "GetObject", url, answer.length, began)
        return answer
    got = client.get_object(Bucket=url.bucket, Key=url.key, **wanted)
    return Answer(str(got.get("ETag", "")), got["ContentLength"], got["Body"].iter_chunks(CHUNK_BYTES))


def put_object(client: Any, url: S3Url, content: bytes, sha256: str) -> None:
    """Store an object; it is signed with its digest, so that a server takes no other content for it.

    Args:
        client: S3 client.
        url: where to.
        content: all of it.
        sha256: its digest, in hex.

    Raises:
        botocore.exceptions.ClientError: the store refuses.
        botocore.exceptions.BotoCoreError: it does not answer.
    """
    began, server = time.monotonic(), _server(client, url.bucket)
    if server is None or not server.put(url.key, content, sha256):
        client.put_object(Bucket=url.bucket, Key=url.key, Body=content)
    else:
        _tell(client, "PutObject", url, len(content), began)


def enable(client: Any, credentials: Any) -> None:
    """Let the requests of a client be made here first.

    Args:
        client: botocore's S3 client.
        credentials: botocore's; None where there are none.
    """
    if credentials is not None:
        _CLIENTS[client] = _Known(credentials, {})


def _tell(client: Any, operation: str, url: S3Url, size: int, began: float) -> None:
    """Tell those who count a client's requests, which botocore does not see, by botocore's own events."""
    seconds = time.monotonic() - began
    client.meta.events.emit(f"{ANSWERED}.{operation}", operation=operation, url=url, size=size, seconds=seconds)


@dataclass(frozen=True)
class _Known:
    """What is known of a client: its credentials, and the server of each bucket, None where botocore is to be asked."""

    credentials: Any
    servers: dict[str, _Server | None]


_CLIENTS: WeakKeyDictionary[Any, _Known] = WeakKeyDictionary()


def _server(client: Any, bucket: str) -> _Server | None:
    known = _CLIENTS.get(client)
    if known is None:
        return None
    if bucket not in known.servers:
        known.servers[bucket] = _find_server(client, known.credentials, bucket)
    return known.servers[bucket]


def _find_server(client: Any, credentials: Any, bucket: str) -> _Server | None:
    config = client.meta.config
    try:
        signed = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": _PROBE})
    except botocore.exceptions.BotoCoreError:
        return None  # the real request will say it
    url = urlsplit(signed)
    scope = parse_qs(url.query).get("X-Amz-Credential", [""])[0].split("/")
    proxies = get_environ_proxies(signed) if config.proxies is None else config.proxies
    plain = url.scheme == "http" and url.hostname and url.path.endswith(f"/{_PROBE}") and not proxies
    if not plain or len(scope) != 5 or scope[3:] != ["s3", "aws4_request"]:
        return None
    timeouts = config.connect_timeout, config.read_timeout
    return _Server(credentials, url.netloc, url.path.removesuffix(_PROBE), scope[2], timeouts)


class _Server:
    """Signed requests to one bucket; used by several threads at once.

    Args:
        credentials: whose ``get_frozen_credentials`` gives the present ones.
        host: name and port.
        path: what a key is put behind.
        region: which signs.
        timeouts: seconds to wait for a connection, and for bytes.
    """

    def __init__(self, credentials: Any, host: str, path: str, region: str, timeouts: tuple[float, float]) -> None:
        self._credentials = credentials
        self._host = host
        self._path = path
        self._region = region
        self._connect_seconds, self._read_seconds = timeouts
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._signing: tuple[tuple[str, str], bytes] = (("", ""), b"")

    def get(self, key: str, wanted: dict[str, str]) -> Answer | None:
        """An object, about to be read; None where botocore is to be asked.

        Args:
            key: its key.
            wanted: conditions and parts, by botocore's names.
        """
        extra = {_HEADERS[name]: value for name, value in wanted.items()}
        expected = http.HTTPStatus.PARTIAL_CONTENT if "Range" in wanted else http.HTTPStatus.OK
        begun = self._ask("GET", key, None, EMPTY_SHA256, extra)
        if begun is None:
            return None
        connection, response = begun
        if response.status != expected or response.length is None:
            connection.close()
            return None
        return Answer(response.headers.get("ETag", ""), response.length, self._body(connection, response))

    def put(self, key: str, content: bytes, sha256: str) -> bool:
        """Whether an object was stored; else botocore is to be asked."""
        begun = self._ask("PUT", key, content, sha256, {})
        if begun is None:
            return False
        connection, response = begun
        try:
            response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return False
        self._keep(connection)
        return response.status == http.HTTPStatus.OK

    def _ask(
        self, method: str, key: str, content: bytes | None, sha256: str, extra: dict[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse] | None:
        path = self._path + quote(key, safe="/~")
        connection = self._connection()
        try:
            connection.request(method, path, content, self._signed(method, path, sha256) | extra)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException):
            connection.close()
            return None
        except BaseException:
            connection.close()
            raise

    def _body(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> Iterator[bytes]:
        whole = False
        try:
            while left := response.length:
                if not (chunk := response.read(min(CHUNK_BYTES, left))):
                    raise botocore.exceptions.ResponseStreamingError(error=f"{left:,} bytes did not come")
                yield chunk
            whole = True
        except (OSError, http.client.HTTPException) as error:
            raise botocore.exceptions.ResponseStreamingError(error=error) from error
        finally:
            if whole:
                self._keep(connection)
            else:
                connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        try:
            return self._idle.pop()
        except IndexError:
            return _Connection(self._host, self._connect_seconds, self._read_seconds)

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        # What the server ends after its answer has no socket any more, and makes a new one when it is used.
        if len(self._idle) < MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def _signed(self, method: str, path: str, sha256: str) -> dict[str, str]:
        """The headers of a request: AWS Signature Version 4."""
        keys = self._credentials.get_frozen_credentials()
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {"host": self._host, "x-amz-content-sha256": sha256, "x-amz-date": now}
        if keys.token:
            headers["x-amz-security-token"] = keys.token
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        asked = hashlib.sha256(f"{method}\n{path}\n\n{lines}\n{names}\n{sha256}".encode()).hexdigest()
        scope = f"{now[:8]}/{self._region}/s3/aws4_request"
        signature = hmac.digest(
            self._signing_key(keys.secret_key, now[:8]), f"{ALGORITHM}\n{now}\n{scope}\n{asked}".encode(), "sha256"
        ).hex()
        headers["authorization"] = (
            f"{ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        return headers | {"accept-encoding": "identity", "user-agent": "batchrl"}

    def _signing_key(self, secret: str, day: str) -> bytes:
        known, key = self._signing
        if known != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._signing = ((secret, day), key)
        return key


class _Connection(http.client.HTTPConnection):
    """One that waits longer for bytes than for the connection."""

    def __init__(self, host: str, connect_seconds: float, read_seconds: float) -> None:
        super().__init__(host, timeout=connect_seconds)
        self._read_seconds = read_seconds

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self._read_seconds)
