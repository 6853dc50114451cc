"""What goes wrong with a preset, said to the user."""

from __future__ import annotations

import reprlib

SHOWN = 80


def shown(value: object) -> str:
    """A value as a message shows it: on one line, cut where it is long, whatever it is."""
    try:
        text = reprlib.repr(value) if not isinstance(value, str) else repr(value[:SHOWN])
    except ValueError:  # a whole number of more digits than Python writes
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


class PresetError(ValueError):
    """A preset, or an override of it, is wrong.

    Args:
        message: what was wrong, and where (key, file, line).
        hint: what would be right: the nearest valid names, or what was expected.
        key: the dotted key that is to blame, if there is one.
    """

    def __init__(self, message: str, hint: str | None = None, key: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.key = key

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UnknownKeyError(PresetError):
    """A key that the schema does not know."""
