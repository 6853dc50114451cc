"""The column of times or step numbers, by which rows are sorted: all of it numbers, or all of it dates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batchrl.contract.text import NULLS
from batchrl.data.cells import is_text, read_numbers, seconds_of_texts
from batchrl.data.dataset import Floats64, Integers
from batchrl.data.storage import Storage

PROBLEM = "'{value}' is no time"
RIGHT = "a number, or a date as 2026-11-30 or 2026-11-30T08:00:00Z"
RIGHT_NUMBER = "a number, as other cells of this column are"
RIGHT_DATE = "a date as 2026-11-30 or 2026-11-30T08:00:00Z, as other cells of this column are"


class TimeColumn:
    """Grows by blocks of rows.

    Args:
        storage: where the rows go.
    """

    def __init__(self, storage: Storage) -> None:
        self._column = storage.column()
        self._are_dates: bool | None = None
        self._of_day = False

    def append(self, cells: pa.Array) -> Integers:
        """Add rows.

        Returns:
            The positions of cells that are neither empty nor what the column holds, numbers or dates.
        """
        values, wrong, are_dates = _times(cells, self._are_dates)
        if self._are_dates is None:
            self._are_dates = are_dates
        self._of_day |= pa.types.is_time(cells.type)
        self._column.append(values)
        return wrong

    @property
    def dated(self) -> bool:
        """Whether the column holds dates, and neither numbers nor times of day."""
        return self._are_dates is True and not self._of_day

    @property
    def right(self) -> str:
        """What a cell is to be."""
        if self._are_dates is None:
            return RIGHT
        return RIGHT_DATE if self._are_dates else RIGHT_NUMBER

    def finish(self) -> Floats64:
        """``[M]`` numbers that sort as the times do, ``nan`` in empty and wrong cells.

        Numbers are as they are; dates (also as text, ISO 8601; without a zone they are UTC) are seconds since 1970.
        """
        found: Floats64 = self._column.finish()
        return found


def seconds_of_temporal(cells: pa.Array) -> Floats64:
    """``[m]``, dates and times of Arrow in seconds since 1970, ``nan`` in empty cells; times of day as their counts."""
    kind = cells.type
    if pa.types.is_time(kind):
        return read_numbers(cells.cast(pa.int32() if pa.types.is_time32(kind) else pa.int64()))[0]
    return read_numbers(cells.cast(pa.timestamp("us")).cast(pa.int64()))[0] / 1e6


def _times(cells: pa.Array, dates: bool | None) -> tuple[Floats64, Integers, bool | None]:
    """Values, positions of wrong cells, and whether they are dates, which may be known; None where all are empty."""
    kind = cells.type
    if pa.types.is_dictionary(kind):
        return _times(cells.dictionary_decode(), dates)
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind):
        return _of_one_kind(seconds_of_temporal(cells), cells, True, dates)
    values, unread = read_numbers(cells)
    if not is_text(kind):
        return _of_one_kind(values, cells, False, dates)
    if dates is None and not len(unread):
        return values, unread, None if np.isnan(values).all() else False
    texts = pd.Series(pc.utf8_trim_whitespace(cells).to_numpy(zero_copy_only=False), dtype=object)
    filled = texts.notna().to_numpy() & ~texts.isin(NULLS).to_numpy() & (texts != "").to_numpy()
    since = seconds_of_texts(texts)
    if dates is None:
        dated, numbered = ~np.isnan(since[filled]), ~np.isnan(values[filled])
        if not dated.any() and not numbered.any():
            return values, np.flatnonzero(filled), None
        # Most of what can be read is so; a number such as 2026 may be either.
        dates = bool(dated.sum() > numbered.sum())
    chosen = since if dates else values
    return np.where(filled, chosen, np.nan), np.flatnonzero(filled & np.isnan(chosen)), dates


def _of_one_kind(
    values: Floats64, cells: pa.Array, are_dates: bool, dates: bool | None
) -> tuple[Floats64, Integers, bool | None]:
    """As ``_times``, of cells whose type says what they are; ``values`` are ``nan`` where they are no times at all."""
    filled = cells.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_floating(cells.type):
        filled &= ~np.isnan(values)
    if not filled.any():
        return values, np.flatnonzero(filled), None
    if dates is not None and dates != are_dates:
        return np.full(len(cells), np.nan), np.flatnonzero(filled), dates
    return values, np.flatnonzero(filled & np.isnan(values)), are_dates
