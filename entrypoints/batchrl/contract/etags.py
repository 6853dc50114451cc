"""What an ETag tells of an object's content."""

from __future__ import annotations

import re

_MD5 = re.compile(r'"?([0-9a-f]{32})"?')


def etag_md5(etag: str, encryption: str = "") -> str | None:
    """The MD5 of an object in hex, where its ETag is that: sent in one part, and not encrypted with a key of KMS.

    Args:
        etag: as the store tells it, with quotes or without.
        encryption: what the answer says of it (``ServerSideEncryption``), where that is known.
    """
    found = _MD5.fullmatch(etag)
    return found[1] if found and not encryption.startswith("aws:kms") else None
