"""The text of one number for each action, read fast where it is regular and tolerantly where it is not.

Seen in the wild: JSON (``[0.5, 0.5]``), Python's repr (also of tuples), numpy's repr of scalars
(``[np.float64(0.5), np.float64(0.5)]``) and of arrays (``array([0.5, 0.5])``, ``[0.5 0.5]``).
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

_NUMPY_SCALAR = re.compile(r"(?:np\.|numpy\.)?float(?:16|32|64)\(([^()]*)\)")
_ARRAY = re.compile(r"(?:np\.|numpy\.)?array\((.*?)(?:,\s*dtype=[\w.]+)?\)")
_SEPARATOR = re.compile(r"\s*,\s*|\s+")
# The spellings of numpy's scalars, the longest first: each holds those after it.
_SCALARS = (b"numpy.float64(", b"np.float64(", b"float64(")
# A text is a line of its own, without line breaks.
_LINES = bytes.maketrans(b"\r\n]", b"  \n")
RIGHT_VECTOR = "one number for each action, as [0.5, 0.5]"
# So many texts tell whether most are alike.
SAMPLE = 64


def as_literal(text: str) -> str:
    """A text for a problem in which ``{value}`` stands for a cell: its own braces are doubled."""
    return text.replace("{", "{{").replace("}", "}}")


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

    @property
    def problem(self) -> str:
        """The reason where ``{value}`` stands for a cell: other braces are its own."""
        return as_literal(self.reason)


def parse_probabilities(texts: Sequence[str]) -> NDArray[np.float64]:
    """Read one vector a text.

    Args:
        texts: N texts, at least one.

    Returns:
        ``[N, A]``; values are not checked, ``nan`` may be among them.

    Raises:
        UnreadableProbabilities: names the first text that is wrong.
    """
    return parse_arrow(pa.array(texts, pa.large_string()))


def parse_arrow(texts: pa.Array) -> NDArray[np.float64]:
    """As ``parse_probabilities``, of an Arrow array of N ``large_string`` without nulls; equal texts are read once."""
    head = texts.slice(0, SAMPLE)
    if len(head.unique()) > len(head) // 2:
        return _parse_distinct(texts)
    coded = texts.dictionary_encode()
    codes = coded.indices.to_numpy()
    try:
        vectors: NDArray[np.float64] = _parse_distinct(coded.dictionary)[codes]
        return vectors
    except UnreadableProbabilities as error:
        first = int(np.argmax(codes == error.position))
        raise UnreadableProbabilities(first, error.reason) from None


def _parse_distinct(texts: pa.Array) -> NDArray[np.float64]:
    vectors = _parse_regular(texts)
    return vectors if vectors is not None else _parse_tolerantly(texts.to_pylist())


def _parse_regular(texts: pa.Array) -> NDArray[np.float64] | None:
    """All texts in one go, if each is one list in brackets and all are of one length."""
    first = texts[0].as_py()
    width = first.count(",") + 1
    content = _content(texts)
    for scalar in _SCALARS:
        if scalar in content:
            calls = content.count(scalar)
            if calls != content.count(b"(") or calls != content.count(b")"):
                return None
            content = content.replace(scalar, b"").translate(None, b")")
    n = len(texts)
    if content.count(b"[") != n or content.count(b"]") != n:
        return None
    # With a line for each "]" and nothing for "[", any text that is not "[...]" leaves a line with a cell too many or
    # too few, or one that is no number.
    ends = np.frombuffer(content, np.uint8) == ord("]")
    starts = np.frombuffer(content, np.uint8) == ord("[")
    if not np.array_equal(np.flatnonzero(starts)[1:], np.flatnonzero(ends)[:-1] + 1) or content[:1] != b"[":
        return None
    names = [str(number) for number in range(width)]
    try:
        table = pyarrow.csv.read_csv(
            io.BytesIO(content.translate(_LINES, b"[")),
            read_options=pyarrow.csv.ReadOptions(column_names=names, use_threads=False, block_size=len(content) + 1),
            parse_options=pyarrow.csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64()), null_values=[]),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != n:
        return None
    return np.column_stack([table.column(name).to_numpy() for name in names])


def _content(texts: pa.Array) -> bytes:
    """The texts one after the other."""
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    content: bytes = data.slice(int(bounds[0]), int(bounds[-1] - bounds[0])).to_pybytes()
    return content


def _parse_tolerantly(texts: list[str]) -> NDArray[np.float64]:
    vectors: list[list[float]] = []
    for number, text in enumerate(texts):
        vector = parse_one(text)
        if vector is None:
            shown = text if len(text) <= 60 else f"{text[:57]}..."
            raise UnreadableProbabilities(number, f"'{shown}' is not a list of numbers")
        if vectors and len(vector) != len(vectors[0]):
            reason = f"{len(vector)} numbers, but {len(vectors[0])} in the first row"
            raise UnreadableProbabilities(number, reason)
        vectors.append(vector)
    return np.array(vectors, dtype=np.float64)


def parse_one(text: str) -> list[float] | None:
    """The numbers of one text; None where it is no list of numbers."""
    plain = _ARRAY.sub(r"\1", _NUMPY_SCALAR.sub(r"\1", text)).strip()
    if len(plain) < 2 or (plain[0], plain[-1]) not in {("[", "]"), ("(", ")")}:
        return None
    inner = plain[1:-1].strip().removesuffix(",").rstrip()
    try:
        return [float(part) for part in _SEPARATOR.split(inner)] if inner else None
    except ValueError:
        return None
