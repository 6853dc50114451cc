"""Documents of S3: answers written, requests read. What a request holds is hostile: no DTD, bounded depth and size."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote
from xml.parsers import expat

from launcher.local.store.errors import StoreError

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MAX_DEPTH = 8
MAX_ELEMENTS = 100_000

# The account that owns everything here.
OWNER = "<ID>batchrl</ID><DisplayName>batchrl</DisplayName>"

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_UNSAFE = re.compile(r'[&<>"\x00-\x1f\x7f]')


def escaped(text: str) -> str:
    """Text as it stands in a document; S3 writes control characters as references, too."""
    return _UNSAFE.sub(lambda match: _ESCAPES.get(match[0]) or f"&#{ord(match[0])};", text)


def written_key(encoding: str) -> Callable[[bytes], str]:
    """How keys are written into a listing.

    Args:
        encoding: ``url``, or nothing.
    """
    if encoding == "url":
        return lambda key: quote(key, safe="/-_.~*")
    return lambda key: escaped(key.decode("utf-8", "replace"))


def iso_time(milliseconds: int) -> str:
    """A time as documents have it."""
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def element(name: str, content: str) -> str:
    """One element with text that is escaped here."""
    return f"<{name}>{escaped(content)}</{name}>"


def document(name: str, content: str) -> str:
    """A whole answer."""
    return f'<{name} xmlns="{NAMESPACE}">{content}</{name}>'


@dataclass
class Node:
    """An element that was read.

    Args:
        name: its name without namespace.
        text: its text.
        children: its elements.
    """

    name: str
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, name: str) -> list[Node]:
        """Its elements of a name."""
        return [child for child in self.children if child.name == name]

    def get(self, name: str) -> str | None:
        """Text of its first element of a name; None where there is none."""
        return next((child.text for child in self.children if child.name == name), None)


class _Builder:
    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[tuple[Node, list[str]]] = []  # with the pieces of its text so far
        self._count = 0

    def start(self, name: str, _: object) -> None:
        """An element begins."""
        node = Node(name.rpartition(" ")[2])
        self._count += 1
        if len(self._open) >= MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise StoreError("MalformedXML")
        if self._open:
            self._open[-1][0].children.append(node)
        else:
            self.root = node
        self._open.append((node, []))

    def end(self, _: str) -> None:
        """An element ends."""
        node, pieces = self._open.pop()
        node.text = "".join(pieces)

    def text(self, data: str) -> None:
        """A piece of text."""
        self._open[-1][1].append(data)

    def refuse(self, *_: object) -> None:
        """A document type, which could define entities."""
        raise StoreError("MalformedXML", "A request may have no document type.")


def parse(content: bytes, root: str) -> Node:
    """Read a document.

    Args:
        content: its bytes.
        root: name of its outermost element.

    Raises:
        StoreError: it is no such document.
    """
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.refuse
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError):  # also an encoding that expat does not know
        raise StoreError("MalformedXML") from None
    if builder.root is None or builder.root.name != root:
        raise StoreError("MalformedXML")
    return builder.root
