"""JSON that somebody else wrote: a request, a hyperparameter, an object of the store, an answer.

Whatever is wrong with it is one ValueError that says so in words, also where Python's own reader ends in another way:
too many levels (RecursionError), too many digits, bytes that are no UTF-8. Text that no UTF-8 can hold (half of a pair
of surrogates) is refused as well: it would fail later, where it is stored or sent.
"""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 100
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


class DeepJson(ValueError):
    """It is nested too deeply."""


def parsed(text: str | bytes, deepest: int = DEEPEST) -> Any:
    """The value that a JSON text stands for.

    Args:
        text: the text; bytes are UTF-8.
        deepest: so many levels of lists and objects are read.

    Raises:
        ValueError: it is no JSON, holds what UTF-8 cannot, or a number of more digits than Python reads.
        DeepJson: it has more levels.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        value = json.loads(text)
    except RecursionError:
        raise DeepJson(f"it is nested deeper than {deepest} levels") from None
    if text.count("[") + text.count("{") > deepest and _deeper_than(value, deepest):
        raise DeepJson(f"it is nested deeper than {deepest} levels")
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it holds half of a character (a lone surrogate), which is no text") from None
    return value


def _deeper_than(value: Any, deepest: int) -> bool:
    level = [value]
    for _ in range(deepest):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
            elif isinstance(one, list):
                below += one
        if not below:
            return False
        level = below
    return any(isinstance(one, dict | list) for one in level)
