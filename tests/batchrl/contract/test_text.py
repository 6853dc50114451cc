"""Text from outside: which characters are escaped, and how."""

from __future__ import annotations

import sys

from batchrl.contract.text import printable, storable


def escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if 0xD800 <= code <= 0xDFFF:
        return f"\\u{code:04x}"
    return f"\\x{code:02x}" if code < 0x20 or 0x7F <= code <= 0x9F else chr(code)


def test_each_character_that_cannot_be_shown_or_stored_is_escaped():
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        assert printable(character) == escaped(code)
        assert storable(character) == (character if character in "\n\t" else escaped(code))


def test_text_among_which_they_stand_stays():
    assert printable("a\udcffb\x1b[2Kü\n") == "a\\xffb\\x1b[2Kü\\x0a"
    assert storable("a\udcffb\x1b[2Kü\n") == "a\\xffb\\x1b[2Kü\n"
