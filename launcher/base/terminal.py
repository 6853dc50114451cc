r"""Text from outside on a terminal: what would move the cursor, rename the window or hide a part is shown, not done.

Logs, names, reasons and answers come from jobs, buckets and other people's models. A terminal takes orders from what is
printed to it; ``\x1b]0;...`` renames its window, ``\x1b[2K`` deletes a line that was printed before.
"""

from __future__ import annotations

import re

from batchrl.contract.text import storable

# Marks that turn the direction of writing: a name can look like another one with them.
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_COLOUR = re.compile(r"(\x1b\[[0-9;]{0,32}m)")
_RESET = "\x1b[0m"
# What JSON lets stand as it is in text, and a terminal may take for an order.
_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """A text of one or more lines, its control characters escaped; tabs and line ends stay."""
    return _DIRECTION.sub(lambda match: f"\\u{ord(match[0]):04x}", storable(text))


def visible_line(line: str) -> str:
    """A line of a log: as ``visible``, but it keeps its colours, which end with it."""
    if "\x1b" not in line:
        return visible(line)
    parts = _COLOUR.split(line)
    shown = "".join(part if index % 2 else visible(part) for index, part in enumerate(parts))
    return shown + _RESET if len(parts) > 1 else shown


def visible_json(text: str) -> str:
    r"""JSON whose texts hold no such character as it is, but as ``\uXXXX``: the same JSON."""
    return _JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
