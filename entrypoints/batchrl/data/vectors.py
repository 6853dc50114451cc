"""Columns that hold one number for each action, text or lists, as matrices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batchrl.contract.text import DECIMAL
from batchrl.data.cells import labels
from batchrl.data.dataset import Integers
from batchrl.data.probabilities import UnreadableProbabilities, parse_arrow, parse_one
from batchrl.data.storage import Array, Storage

NO_LIST = "'{value}' is not a list of numbers"


@dataclass(frozen=True)
class Unread:
    """Cells that are no vectors, or of another length than the others.

    Args:
        problem: what is wrong with the first, where ``{value}`` stands for it.
        kind: what they have in common.
        positions: of them.
    """

    problem: str
    kind: str
    positions: Integers

    @property
    def are_vectors(self) -> bool:
        """Whether they are vectors, but of another length."""
        return self.kind != NO_LIST


class VectorColumn:
    """Grows by blocks of rows; the first filled cell says how long all vectors are.

    Args:
        storage: where the rows go.
    """

    def __init__(self, storage: Storage) -> None:
        self._column = storage.column()
        self._pending = 0
        self.width: int | None = None

    def append(self, cells: pa.Array) -> tuple[Unread, ...]:
        """Add rows.

        Returns:
            What is wrong with cells that are no vectors, or whose length differs from that of those before; their rows
            are ``nan``.
        """
        unread: tuple[Unread, ...] = ()
        try:
            values = vectors_of(cells)
        except UnreadableProbabilities:
            values, unread = each_vector(cells, self.width)
        if values is not None and self.width not in (None, values.shape[1]):
            values, unread = each_vector(cells, self.width)
        if values is None:
            if self.width is None:
                self._pending += len(cells)
            else:
                self._column.append(np.full((len(cells), self.width), np.nan))
            return unread
        if self.width is None:
            self.width = values.shape[1]
            if self._pending:
                self._column.append(np.full((self._pending, self.width), np.nan))
        self._column.append(values)
        return unread

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
        raise UnreadableProbabilities(int(valid[error.position]), error.reason) from None
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
        raise UnreadableProbabilities(position, f"{lengths[position]} numbers, but {width} in the first row")
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


def are_numbers(cells: pa.Array) -> bool:
    """Whether most of the cells that are not empty are one number each, which is no vector."""
    if is_list(cells.type):
        return False
    codes, texts = labels(cells)
    plain = np.array([bool(DECIMAL.fullmatch(text.strip())) for text in texts], np.bool_)
    filled = codes[codes >= 0]
    return bool(len(filled)) and bool(plain[filled].mean() > 0.5)


def each_vector(cells: pa.Array, width: int | None = None) -> tuple[NDArray[np.float64] | None, tuple[Unread, ...]]:
    """Cells looked at one by one, equal ones once.

    Args:
        cells: of which one is no vector at least.
        width: of the vectors; None: that of most.

    Returns:
        ``[m, A]``, ``nan`` where a cell is empty or wrong, and what is wrong; None where no cell is a vector.
    """
    if is_list(cells.type):
        cells = pa.array([None if cell is None else str(cell) for cell in cells.to_pylist()], pa.string())
    codes, texts = labels(cells)
    read = [parse_one(text) for text in texts]
    lengths = np.array([0 if vector is None else len(vector) for vector in read], np.int64)
    filled = np.flatnonzero(codes >= 0)
    of_cells = lengths[codes[filled]]
    if width is None:
        found = Counter(of_cells[of_cells > 0].tolist()).most_common(1)
        width = found[0][0] if found else None
    unread = []
    if (lists := filled[of_cells == 0]).size:
        unread.append(Unread(NO_LIST, NO_LIST, lists))
    if width is None:
        return None, tuple(unread)
    if (others := filled[(of_cells > 0) & (of_cells != width)]).size:
        length = lengths[codes[others[0]]]
        unread.append(Unread(f"{length} numbers, but {width} in other rows", "another length", others))
    return _filled(read, width)[codes], tuple(unread)


def _filled(read: Sequence[list[float] | None], width: int) -> NDArray[np.float64]:
    """A row for each, ``nan`` where it is no vector of a width, and one of ``nan`` at the end."""
    result = np.full((len(read) + 1, width), np.nan)
    for number, vector in enumerate(read):
        if vector is not None and len(vector) == width:
            result[number] = vector
    return result
