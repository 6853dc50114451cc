"""How a client and the door recognise each other, beside the signature of the request."""

from __future__ import annotations

import hashlib
import hmac

VERSION_PATH = "/_batchrl/version"
OWN_SERVICE = "batchrl"


def proof(secret_key: str, nonce: str) -> str:
    """What the door answers to a nonce, and nobody without the credentials can: a port can be taken by others."""
    return hmac.new(secret_key.encode(), f"batchrl door {nonce}".encode(), hashlib.sha256).hexdigest()
