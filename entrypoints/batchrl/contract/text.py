"""Text that came from outside, made fit to be stored, sent and shown."""

from __future__ import annotations

import re
from collections.abc import Sequence

# A decimal number as data files have it; Python's own float() takes "nan", "1_000" and other scripts' digits as well.
DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# Texts that stand for nothing in a table.
NULLS = ("", "nan", "NaN", "NA", "null", "None")
# Control characters, and what UTF-8 cannot hold. A pattern, since logs have millions of lines.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNFIT_IN_LINES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    r"""A text without what UTF-8 cannot hold and without control characters: each stands there escaped.

    The bytes of a file name that are no UTF-8 are surrogates in Python; ``printable("a\udcff")`` is ``a\xff``.
    """
    return _UNFIT.sub(_escaped, text)


def storable(text: str) -> str:
    """As ``printable``, but lines and tabs stay: for reasons and messages, which may have several lines."""
    return _UNFIT_IN_LINES.sub(_escaped, text)


def listed(names: Sequence[str], most: int) -> str:
    """``a, b, ...``: names, with dots for those that come after so many."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def like_it(more: int, unit: str, named: Sequence[str]) -> str:
    """`` (3 more rows like it: line 5, line 7, ...)``, to follow the first of them; nothing where there are none more.

    Args:
        more: how many.
        unit: what they are, one of them.
        named: where the first of them are.
    """
    if not more:
        return ""
    places = f": {', '.join(named)}{', ...' if more > len(named) else ''}" if named else ""
    return f" ({more:,} more {unit}{'s' if more > 1 else ''} like it{places})"


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"
