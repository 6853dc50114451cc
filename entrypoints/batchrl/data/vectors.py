"""Columns that hold one number for each action, text or lists, as matrices."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batchrl.data.probabilities import UnequalLengths, UnreadableProbabilities, parse_arrow
from batchrl.data.storage import Array, Storage


class VectorColumn:
    """Grows by blocks of rows; the first filled cell says how long all vectors are.

    Args:
        storage: where the rows go.
    """

    def __init__(self, storage: Storage) -> None:
        self._column = storage.column()
        self._pending = 0
        self.width: int | None = None

    def append(self, cells: pa.Array) -> None:
        """Add rows.

        Raises:
            UnreadableProbabilities: names the first cell, by its position among these, that is no vector or whose
                length differs from that of the cells before.
        """
        values = vectors_of(cells)
        if values is None:
            if self.width is None:
                self._pending += len(cells)
            else:
                self._column.append(np.full((len(cells), self.width), np.nan))
            return
        if self.width is None:
            self.width = values.shape[1]
            if self._pending:
                self._column.append(np.full((self._pending, self.width), np.nan))
        elif values.shape[1] != self.width:
            position = int(np.argmax(cells.is_valid().to_numpy(zero_copy_only=False)))
            raise UnequalLengths(position, f"{values.shape[1]} numbers, but {self.width} in the first row")
        self._column.append(values)

    def finish(self) -> Array:
        """``[M, A]``, ``nan`` in rows whose cell is empty; there must have been one that is not."""
        return self._column.finish()


def vectors_of(cells: pa.Array) -> NDArray[np.float64] | None:
    """``[m, A]``; None where every cell is empty."""
    if cells.null_count == len(cells):
        return None
    filled = cells if cells.null_count == 0 else cells.drop_null()
    try:
        values = _of_lists(filled) if is_list(cells.type) else _of_texts(filled)
    except UnreadableProbabilities as error:
        valid = np.flatnonzero(cells.is_valid().to_numpy(zero_copy_only=False))
        raise type(error)(int(valid[error.position]), error.reason, error.are_numbers) from None
    if len(filled) == len(cells):
        return values
    result = np.full((len(cells), values.shape[1]), np.nan)
    result[cells.is_valid().to_numpy(zero_copy_only=False)] = values
    return result


def is_list(kind: pa.DataType) -> bool:
    """Whether a column's type is one of Arrow's lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _of_lists(cells: pa.Array) -> NDArray[np.float64]:
    lengths = pc.list_value_length(cells).to_numpy()
    width = int(lengths[0])
    wrong = lengths != width
    if wrong.any():
        position = int(np.argmax(wrong))
        raise UnequalLengths(position, f"{lengths[position]} numbers, but {width} in the first row")
    kind = cells.type.value_type
    if width == 0 or not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
        raise UnreadableProbabilities(0, f"'{cells[0].as_py()}' is not a list of numbers")
    numbers: NDArray[np.float64] = cells.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False)
    return numbers.reshape(-1, width)


def _of_texts(cells: pa.Array) -> NDArray[np.float64]:
    try:
        return parse_arrow(cells.cast(pa.large_string()))
    except pa.ArrowException:
        raise UnreadableProbabilities(0, f"'{cells[0].as_py()}' is not a list of numbers") from None
