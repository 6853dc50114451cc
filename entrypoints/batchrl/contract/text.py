"""Text that came from outside, made fit to be stored, sent and shown."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""A text without what UTF-8 cannot hold and without control characters: each stands there escaped.

    The bytes of a file name that are no UTF-8 are surrogates in Python; ``printable("a\udcff")`` is ``a\xff``.
    """
    return "".join(map(_escaped, text))


def storable(text: str) -> str:
    """As ``printable``, but lines and tabs stay: for reasons and messages, which may have several lines."""
    return "".join(character if character in "\n\t" else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if 0xD800 <= code <= 0xDFFF:
        return f"\\u{code:04x}"
    if code < 0x20 or 0x7F <= code <= 0x9F:
        return f"\\x{code:02x}"
    return character
