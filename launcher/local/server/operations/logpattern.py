"""CloudWatch's filter patterns for unstructured text: terms, "phrases", -excluded and ?either."""

from __future__ import annotations

import re
from collections.abc import Callable

from launcher.api.errors import ApiError

_TERM = re.compile(r'([-?]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))')


def matcher(pattern: str) -> Callable[[str], bool]:
    """What a filter pattern selects: all plain terms, none of the ``-`` terms, and one of the ``?`` terms, if any.

    Raises:
        ApiError: it is a pattern for JSON, for columns or a regular expression, which the local cloud does not know.
    """
    text = pattern.strip()
    if text[:1] in ("{", "[", "%"):
        raise ApiError(
            "InvalidParameterException",
            'The local cloud knows filter patterns of terms only: word "a phrase" -not ?either',
        )
    found = [(sign, re.sub(r"\\(.)", r"\1", quoted) or plain) for sign, quoted, plain in _TERM.findall(text)]
    every = [term for sign, term in found if sign == ""]
    never = [term for sign, term in found if sign == "-"]
    either = [term for sign, term in found if sign == "?"]

    def matches(message: str) -> bool:
        return (
            all(term in message for term in every)
            and not any(term in message for term in never)
            and (not either or any(term in message for term in either))
        )

    return matches
