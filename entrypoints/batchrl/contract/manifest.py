"""The manifest of a synced folder: what was published, with the sha256 of each file.

Objects that are overwritten while others read them can be served torn (some servers truncate them with status 200).
The manifest lets a reader tell: it is published after its payloads, carries a digest of its own, and remembers the last
versions of every file, so that a body is whole exactly when its sha256 is listed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from batchrl.contract import jsontext
from batchrl.contract.errors import DamagedContent

MANIFEST_NAME = "batchrl-manifest.json"
FORMAT_VERSION = 1
REMEMBERED_VERSIONS = 16


def sha256_of(content: bytes) -> str:
    """Digest of bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Entry:
    """One published file.

    Args:
        size: bytes of the newest version.
        versions: sha256 of the last versions, the newest last.
    """

    size: int
    versions: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Digest of the newest version."""
        return self.versions[-1]

    def succeeded_by(self, size: int, sha256: str) -> Entry:
        """The entry after one more version was published."""
        earlier = tuple(version for version in self.versions if version != sha256)
        return Entry(size, (*earlier, sha256)[-REMEMBERED_VERSIONS:])


@dataclass
class Manifest:
    """All files published below one prefix, by relative path."""

    files: dict[str, Entry] = field(default_factory=dict)

    def publish(self, path: str, size: int, sha256: str) -> None:
        """Note one more version of a file."""
        known = self.files.get(path)
        self.files[path] = known.succeeded_by(size, sha256) if known else Entry(size, (sha256,))

    def to_bytes(self) -> bytes:
        """The manifest as it is stored: JSON, files sorted by name."""
        body = {
            "version": FORMAT_VERSION,
            "files": {
                path: {"size": entry.size, "versions": list(entry.versions)}
                for path, entry in sorted(self.files.items())
            },
        }
        text = json.dumps(body, sort_keys=True)
        return json.dumps({"digest": sha256_of(text.encode()), **body}, sort_keys=True, indent=1).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Read a manifest back.

        Raises:
            DamagedContent: the bytes are cut short or were changed.
        """
        try:
            parsed: dict[str, Any] = jsontext.parsed(content)
            digest = parsed.pop("digest")
            if digest != sha256_of(json.dumps(parsed, sort_keys=True).encode()):
                raise ValueError("its digest differs")
            if parsed["version"] != FORMAT_VERSION:
                raise ValueError(f"it has format version {parsed['version']}, expected {FORMAT_VERSION}")
            files = {path: Entry(entry["size"], tuple(entry["versions"])) for path, entry in parsed["files"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedContent(f"the manifest of a synced folder cannot be read: {error}") from error
        return cls(files)
