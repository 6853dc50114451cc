"""One verified request with what carries it out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

from launcher.local.store import receiving
from launcher.local.store.catalog import Catalog
from launcher.local.store.contents import Contents
from launcher.local.store.errors import invalid
from launcher.local.store.receiving import Received
from launcher.local.store.sigv4 import Signed
from launcher.local.store.wire import Request, Response, Target

# The longest document: 10,000 parts, or 1,000 keys of 1,024 bytes, each byte escaped.
MAX_DOCUMENT_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Engine:
    """The store behind the wire.

    Args:
        catalog: keys and what is known of them.
        contents: files of contents.
        pool: threads for files.
        region: what the store says where its buckets are.
    """

    catalog: Catalog
    contents: Contents
    pool: Executor
    region: str


@dataclass(frozen=True)
class Call:
    """One request whose signature holds.

    Args:
        engine: the store.
        request, signed: the request and its signature.
        target: bucket and key.
        parameters: those of the query.
        may_delete: whether its sender may delete an object (bucket, key) that its body names.
    """

    engine: Engine = field(repr=False)
    request: Request
    signed: Signed
    target: Target
    parameters: Mapping[str, str]
    may_delete: Callable[[str, bytes], bool] = field(repr=False)

    def parameter(self, name: str) -> str:
        """A parameter; empty where there is none."""
        return self.parameters.get(name, "")

    def number(self, name: str, default: int, most: int) -> int:
        """A parameter that is a number; at most ``most``.

        Raises:
            StoreError: it is none.
        """
        text = self.parameters.get(name)
        if text is None or text == "":
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 10):
            raise invalid(f"Provided {name} not an integer or within integer range")
        return min(int(text), most)

    def bucket(self) -> int:
        """The number of the bucket, as it is now: once the caller has waited for anything, the bucket may be gone and
        its number may be another's.

        Raises:
            StoreError: there is none of that name.
        """
        return self.engine.catalog.bucket(self.target.bucket)

    async def document(self) -> bytes:
        """The body, in memory."""
        return await receiving.into_memory(self.request, self.signed, MAX_DOCUMENT_BYTES)

    async def file(self) -> Received:
        """The body, in a file."""
        return await receiving.into_file(self.request, self.signed, self.engine.contents, self.engine.pool)


Operation = Callable[[Call], Awaitable[Response]]
