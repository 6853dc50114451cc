"""The text of ``all_action_probabilities``, read fast where it is regular and tolerantly where it is not.

Seen in the wild: JSON (``[0.5, 0.5]``), Python's repr (also of tuples), numpy's repr of scalars
(``[np.float64(0.5), np.float64(0.5)]``) and of arrays (``array([0.5, 0.5])``, ``[0.5 0.5]``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_NUMPY_SCALAR = re.compile(r"(?:np\.|numpy\.)?float(?:16|32|64)\(([^()]*)\)")
_ARRAY = re.compile(r"(?:np\.|numpy\.)?array\((.*?)(?:,\s*dtype=[\w.]+)?\)")
_SEPARATOR = re.compile(r"\s*,\s*|\s+")


class UnreadableProbabilities(ValueError):
    """One text is no list of numbers, or its length differs from the first one's.

    Args:
        position: of the text in the sequence that was read.
        reason: what is wrong with it.
    """

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason


def parse_probabilities(texts: Sequence[str]) -> NDArray[np.float64]:
    """Read one vector a text.

    Args:
        texts: N texts, at least one.

    Returns:
        ``[N, A]``; values are not checked, ``nan`` may be among them.

    Raises:
        UnreadableProbabilities: names the first text that is wrong.
    """
    codes, unique = pd.factorize(np.asarray(texts, dtype=object))
    distinct = [str(text) for text in unique]
    vectors = _parse_regular(distinct)
    if vectors is None:
        vectors = _parse_tolerantly(distinct, codes)
    return vectors[codes]


def _parse_regular(texts: list[str]) -> NDArray[np.float64] | None:
    """All texts at once, if each is one JSON list of the same length."""
    joined = ",".join(texts)
    if joined.count("[") != len(texts) or not all(text.lstrip().startswith("[") for text in texts):
        return None
    try:
        parsed = json.loads(f"[{joined}]")
        vectors = np.array(parsed, dtype=np.float64)
    except (ValueError, TypeError):
        return None
    return vectors if vectors.ndim == 2 and vectors.shape[1] > 0 else None


def _parse_tolerantly(texts: list[str], codes: NDArray[np.intp]) -> NDArray[np.float64]:
    vectors: list[list[float]] = []
    for number, text in enumerate(texts):
        vector = _parse_one(text)
        if vector is None:
            shown = text if len(text) <= 60 else f"{text[:57]}..."
            raise UnreadableProbabilities(_first(codes, number), f"'{shown}' is not a list of numbers")
        if vectors and len(vector) != len(vectors[0]):
            reason = f"{len(vector)} numbers, but {len(vectors[0])} in the first row"
            raise UnreadableProbabilities(_first(codes, number), reason)
        vectors.append(vector)
    return np.array(vectors, dtype=np.float64)


def _first(codes: NDArray[np.intp], number: int) -> int:
    return int(np.argmax(codes == number))


def _parse_one(text: str) -> list[float] | None:
    plain = _ARRAY.sub(r"\1", _NUMPY_SCALAR.sub(r"\1", text)).strip()
    if len(plain) < 2 or (plain[0], plain[-1]) not in {("[", "]"), ("(", ")")}:
        return None
    inner = plain[1:-1].strip().removesuffix(",").rstrip()
    try:
        return [float(part) for part in _SEPARATOR.split(inner)] if inner else None
    except ValueError:
        return None
