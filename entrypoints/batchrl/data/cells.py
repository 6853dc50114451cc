"""Arrow columns of numbers, flags and ids as numpy arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batchrl.data.dataset import Floats64, Integers

WORDS = {"true": 1.0, "false": 0.0}
# A flag's cell: 1, 0, or this where it is empty.
UNKNOWN = -1

Bytes = NDArray[np.int8]


def numbers(cells: pa.Array) -> tuple[Floats64, int | None]:
    """A column as numbers.

    Returns:
        ``[m]`` with ``nan`` in empty cells, and the position of the first cell that is neither empty nor a number.
    """
    values, wrong = read_numbers(cells)
    return values, int(wrong[0]) if len(wrong) else None


def read_numbers(cells: pa.Array) -> tuple[Floats64, Integers]:
    """As ``numbers``, with the positions of all cells that are neither empty nor a number."""
    kind, none = cells.type, np.zeros(0, np.int64)
    if pa.types.is_dictionary(kind):
        return read_numbers(cells.dictionary_decode())
    if pa.types.is_boolean(kind):
        cells = cells.cast(pa.int8())
    elif pa.types.is_decimal(kind):
        cells = cells.cast(pa.float64())
    elif is_text(kind):
        return _numbers_of_text(cells)
    elif pa.types.is_null(kind):
        return np.full(len(cells), np.nan), none
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return np.full(len(cells), np.nan), np.flatnonzero(cells.is_valid().to_numpy(zero_copy_only=False))
    return cells.to_numpy(zero_copy_only=False).astype(np.float64, copy=False), none


def _numbers_of_text(cells: pa.Array) -> tuple[Floats64, Integers]:
    texts = pd.Series(pc.utf8_trim_whitespace(cells).to_numpy(zero_copy_only=False), dtype=object)
    values = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64, copy=True)
    unread = np.flatnonzero(np.isnan(values) & texts.notna().to_numpy() & (texts != "").to_numpy())
    wrong = []
    for position in unread:
        text = str(texts.iloc[position]).lower()
        if text in WORDS:
            values[position] = WORDS[text]
        elif text != "nan":
            wrong.append(position)
    return values, np.array(wrong, np.int64)


def flags(cells: pa.Array) -> tuple[Bytes, Integers]:
    """A column of flags: 0, 1, true or false.

    Returns:
        ``[m]`` of 0, 1 and ``UNKNOWN``, and the positions of all cells that are something else.
    """
    distinct = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode()
    values, unreadable = read_numbers(distinct.dictionary)
    known = (values == 0) | (values == 1) | np.isnan(values)
    known[unreadable] = False
    meanings = np.where(known & ~np.isnan(values), values, UNKNOWN).astype(np.int8)
    codes = _codes(distinct)
    result = np.full(len(cells), UNKNOWN, np.int8)
    filled = codes >= 0
    result[filled] = meanings[codes[filled]]
    wrong = np.zeros(len(cells), np.bool_)
    wrong[filled] = ~known[codes[filled]]
    return result, np.flatnonzero(wrong)


def seconds_of_texts(texts: pd.Series) -> Floats64:
    """``[m]``, seconds since 1970 of dates in ISO 8601 (without a zone they are UTC); ``nan`` where a text is none."""
    dates = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    return np.asarray(((dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)).to_numpy(), np.float64)


def labels(cells: pa.Array) -> tuple[Integers, list[str]]:
    """A column of ids.

    Returns:
        ``[m]``, -1 in empty cells, else the position of the cell's text in the list; the list is in the order in which
        its texts first occur.
    """
    if pa.types.is_null(cells.type):
        return np.full(len(cells), -1, np.int64), []
    coded = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode()
    codes = _codes(coded)
    if not _in_order(codes, len(coded.dictionary)):
        coded = cells.dictionary_decode().dictionary_encode()
        codes = _codes(coded)
    texts = coded.dictionary.to_pylist()
    return codes, texts if is_text(coded.dictionary.type) else [str(label) for label in texts]


def _in_order(codes: Integers, count: int) -> bool:
    """Whether all ``count`` codes occur, and for the first time in their order."""
    highest = np.maximum.accumulate(codes)
    return not len(codes) or bool(highest[0] <= 0 and highest[-1] == count - 1 and np.all(np.diff(highest) <= 1))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column's type is one of Arrow's texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _codes(coded: pa.DictionaryArray) -> Integers:
    """Positions in the dictionary, -1 in empty cells."""
    codes = coded.indices.fill_null(-1) if coded.indices.null_count else coded.indices
    result: Integers = codes.to_numpy(zero_copy_only=False).astype(np.int64)
    return result
