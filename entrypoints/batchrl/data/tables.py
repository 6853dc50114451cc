"""Files of logged data as frames: CSV (also gzipped) and Parquet, one file or a folder of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from batchrl.contract import columns
from batchrl.contract.errors import InputError

CSV_SUFFIXES = (".csv", ".csv.gz")
PARQUET_SUFFIXES = (".parquet", ".pq")


@dataclass(frozen=True)
class Table:
    """One file.

    Args:
        path: of the file.
        frame: its rows; the index counts the file's own rows from 0, rows without any content are left out.
        lined: whether rows are lines of a text file with a header, so that row 0 stands in line 2.
    """

    path: Path
    frame: pd.DataFrame
    lined: bool

    def place(self, position: int) -> str:
        """Where a row stands, in words: its file and its line (csv) or row (Parquet), both counted from 1."""
        row = int(self.frame.index[position])
        if not self.lined:
            return f"{self.path}, row {row + 1}"
        # A quoted cell may hold line breaks of its own: they shift the lines of the rows after it.
        before = self.frame.iloc[:position].select_dtypes(exclude="number")
        shift = sum(int(before[name].astype(str).str.count("\n").sum()) for name in before.columns)
        return f"{self.path}, line {row + 2 + shift}"


def data_files(path: Path) -> list[Path]:
    """The data files at a path, sorted by name.

    Args:
        path: a file, or a folder that holds files (folders in it are searched too, hidden names are not).

    Raises:
        InputError: there is no such path, or no data file in it.
    """
    known = (*CSV_SUFFIXES, *PARQUET_SUFFIXES)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.", "Give a csv or Parquet file, or a folder of them.")
    if path.is_file():
        return [path]
    relative = [file.relative_to(path) for file in path.rglob("*") if file.is_file()]
    visible = sorted(file for file in relative if not any(part.startswith((".", "_")) for part in file.parts))
    files = [path / file for file in visible if file.name.lower().endswith(known)]
    if not files:
        others = f" (found {', '.join(str(file) for file in visible[:3])})" if visible else ""
        raise InputError(f"{path}: no data file in this folder{others}.", f"Data files end with {', '.join(known)}.")
    return files


def read_table(path: Path) -> Table:
    """Read one file.

    Raises:
        InputError: it cannot be read, or holds no rows.
    """
    lined = not path.name.lower().endswith(PARQUET_SUFFIXES)
    frame = _guarded(path, _read_csv if lined else _read_parquet)
    frame.columns = [str(name).strip() for name in frame.columns]
    frame = frame.dropna(how="all")
    if frame.empty:
        raise InputError(f"{path}: the file has a header but no rows.", "Log at least two episodes.")
    return Table(path, frame, lined)


def _guarded(path: Path, read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    try:
        return read(path)
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: the file is empty.", "Give a csv file with a header, or a Parquet file.") from None
    except MemoryError:
        raise InputError(f"{path}: the file does not fit into memory.", "Split it into several jobs.") from None
    except (OSError, EOFError, ValueError, pd.errors.ParserWarning) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: the file cannot be read: {reason}") from error


def _read_csv(path: Path) -> pd.DataFrame:
    with warnings.catch_warnings():
        # Without this, surplus cells of a row are dropped with a warning.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            path,
            dtype={columns.ALL_ACTION_PROBABILITIES: str, columns.EPISODE_ID: str},
            keep_default_na=False,
            na_values=["", "nan", "NaN", "NA", "null", "None"],
            skip_blank_lines=False,
            index_col=False,
            low_memory=False,
            encoding="utf-8-sig",
        )


def _read_parquet(path: Path) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    frame.index = pd.RangeIndex(len(frame))
    return frame


def numeric(frame: pd.DataFrame, name: str) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], int | None]:
    """A column as numbers.

    Returns:
        ``[N]`` with ``nan`` in empty cells, and the position of the first cell that is neither empty nor a number.
    """
    column = frame[name]
    try:
        values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    except TypeError:  # cells of a Parquet file may be lists or dates
        return np.full(len(column), np.nan), 0
    if pd.api.types.is_numeric_dtype(column.dtype):
        return values, None
    wrong = np.isnan(values) & column.notna().to_numpy()
    return values, int(np.argmax(wrong)) if wrong.any() else None
