"""What goes wrong with a preset, said to the user."""

from __future__ import annotations


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
