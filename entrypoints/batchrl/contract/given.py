"""The words that name a policy which nobody trained."""

from __future__ import annotations

import re
from pathlib import Path

UNIFORM = "uniform"
MOST_FREQUENT = "most-frequent"
ALWAYS = "always:"
RULES_SUFFIX = ".csv"
NAMED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
# What may be written, for messages.
WRITTEN = f"{UNIFORM}, '[0.3, 0.7]', {ALWAYS}1, a CSV of rules or module:name"


def is_given(text: str) -> bool:
    """Whether a text names a policy in words, by a table of its rules, or as a Python object."""
    in_words = text in (UNIFORM, MOST_FREQUENT) or text.startswith(ALWAYS) or text.lstrip().startswith("[")
    by_rules = text.lower().endswith(RULES_SUFFIX) and not Path(text).is_dir()
    return in_words or by_rules or (NAMED.fullmatch(text) is not None and not Path(text).exists())
