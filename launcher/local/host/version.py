"""Which code a process runs: an API server that runs other code than its client is replaced."""

from __future__ import annotations

import functools
import hashlib
import hmac
from importlib import metadata
from pathlib import Path

VERSION_PATH = "/_batchrl/version"
OWN_SERVICE = "batchrl"


@functools.cache
def version() -> str:
    """Version of the installed package."""
    try:
        return metadata.version("batchrl")
    except metadata.PackageNotFoundError:
        return "0"


def fingerprint() -> str:
    """Digest of all code that an API server or a shim would run if it were started now (4 ms).

    It is read from disk each time: a notebook that was started before an upgrade must not replace the upgraded server.
    """
    import batchrl.contract

    launcher = Path(__file__).parents[2]
    contract = Path(batchrl.contract.__file__).parent
    # Of the client's modules, the local cloud imports these alone.
    folders = (launcher / "local", launcher / "api", launcher / "base", contract)
    files = [file for folder in folders for file in folder.rglob("*.py")]
    digest = hashlib.sha256(version().encode())
    for file in sorted(files):
        digest.update(f"{file.parent.name}/{file.name}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def proof(secret_key: str, nonce: str) -> str:
    """What the API server answers to a nonce, and nobody without the credentials can: a port can be taken by others."""
    # The word stands for the API server: version 0.1.0 signed it so, and its running servers must be recognised.
    return hmac.new(secret_key.encode(), f"batchrl door {nonce}".encode(), hashlib.sha256).hexdigest()
