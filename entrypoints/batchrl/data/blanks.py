"""Which cells hold nothing, which rows hold no cell, and which texts are numbers with a decimal comma."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from batchrl.contract.text import NULLS

# A number with a decimal comma, and nothing else.
DECIMAL_COMMA = r"^(\s*[+-]?\d*),(\d+(?:[eE][+-]?\d+)?\s*)$"


def with_content(cells: Sequence[pa.Array]) -> pa.Array | None:
    """``[m]``, which rows have a value in any of the columns; None where all have."""
    if not all(column.null_count or pa.types.is_floating(column.type) for column in cells):
        return None
    blank = None
    for column in cells:
        empty = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))
        blank = empty if blank is None else pc.and_(blank, empty)
        if not pc.any(blank).as_py():
            return None
    return None if blank is None else pc.invert(blank)


def emptied(cells: pa.Array) -> pa.Array:
    """Text without those that stand for nothing."""
    kind = cells.type
    if pa.types.is_dictionary(kind):
        if not pa.types.is_string(kind.value_type):
            return cells
        nothing = pc.index_in(pa.array(NULLS), cells.dictionary).drop_null()
        if not len(nothing):
            return cells
        codes = pc.if_else(pc.is_in(cells.indices, nothing.cast(cells.indices.type)), None, cells.indices)
        return pa.DictionaryArray.from_arrays(codes, cells.dictionary)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return cells
    nothing = pc.is_in(cells, pa.array(NULLS, kind))
    return pc.if_else(nothing, pa.scalar(None, kind), cells) if pc.any(nothing).as_py() else cells


def with_points(cells: pa.Array) -> pa.Array:
    """Text with a point in those numbers that have a decimal comma."""
    return pc.replace_substring_regex(cells, DECIMAL_COMMA, r"\1.\2") if pa.types.is_string(cells.type) else cells
