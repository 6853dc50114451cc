"""The exchange of versions between a client and the API server, over plain HTTP: it needs no service model."""

from __future__ import annotations

import http.client
import json
import secrets
from dataclasses import dataclass
from typing import Any

from launcher.local.host.address import HOST, REGION, Identity
from launcher.local.host.version import OWN_SERVICE, VERSION_PATH, proof
from launcher.local.server.protocol.auth import EMPTY_DIGEST, Keys, sign

TIMEOUT = 20.0


@dataclass(frozen=True)
class ServerVersion:
    """What an API server says about itself.

    Args:
        version: version of its package.
        fingerprint: digest of its code.
        schema: schema of its records.
        pid: its process.
        store: ``embedded``, or the endpoint of the user's own store.
    """

    version: str
    fingerprint: str
    schema: int
    pid: int
    store: str


def ask(identity: Identity, timeout: float | None = None) -> ServerVersion | None:
    """Ask the API server that listens at the stored port; None when nobody, or somebody else, does.

    Args:
        identity: where it listens, and what opens it.
        timeout: seconds for each step; ``TIMEOUT`` by default.
    """
    nonce = secrets.token_hex(16)
    host = f"{HOST}:{identity.api_port}"
    target = f"{VERSION_PATH}?nonce={nonce}"
    keys = Keys(identity.access_key, identity.secret_key)
    headers = {"host": host, "x-amz-content-sha256": EMPTY_DIGEST}
    signed = sign("GET", f"http://{host}{target}", headers, keys, REGION, OWN_SERVICE)
    connection = http.client.HTTPConnection(HOST, identity.api_port, timeout=TIMEOUT if timeout is None else timeout)
    try:
        connection.request("GET", target, headers=signed)
        answer = connection.getresponse()
        body: dict[str, Any] = json.loads(answer.read())
        if answer.status != 200 or not secrets.compare_digest(body.pop("proof"), proof(identity.secret_key, nonce)):
            return None
        return ServerVersion(**body)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return None
    finally:
        connection.close()
