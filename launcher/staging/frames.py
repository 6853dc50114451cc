"""Tables in memory as inputs of a job: pandas, polars, pyarrow and whatever else speaks Arrow's C interface.

A table is written as a Parquet file that is named by its content, so that the same rows are written and sent once.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from batchrl.contract.errors import InputError
from batchrl.contract.files import file_sha256
from launcher.staging.package import cache_folder

# Of a table: https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html
ARROW_STREAM = "__arrow_c_stream__"
FRAME_FILE = "frame.parquet"
# How pandas calls an index without a name.
UNNAMED_INDEX = re.compile(r"__index_level_\d+__")
# A file that no plan has asked for in so many days is removed.
KEPT_DAYS = 7


def is_frame(value: object) -> bool:
    """Whether a value is a table that Arrow's C interface can read."""
    return hasattr(value, ARROW_STREAM)


def frame_file(where: str, frame: Any) -> Path:
    """A table as a file of the cache.

    Args:
        where: begins the messages.
        frame: the table; a pandas index without a name is no column.

    Returns:
        A Parquet file in a folder named by its sha256.

    Raises:
        InputError: it has no rows, a column has no type that Arrow knows, or the disk has no room for it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = cache_folder() / "frames"
    try:
        reader = pa.RecordBatchReader.from_stream(frame)
        folder.mkdir(parents=True, exist_ok=True)
        _forget_old_ones(folder)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")
        os.close(handle)
        temporary = Path(name)
        try:
            rows = 0
            names = [name for name in reader.schema.names if not UNNAMED_INDEX.fullmatch(name)]
            schema = pa.schema([reader.schema.field(name) for name in names])
            with pq.ParquetWriter(temporary, schema) as writer:
                for batch in reader:
                    rows += batch.num_rows
                    writer.write_batch(batch.select(names).replace_schema_metadata(None))
            if not rows:
                raise InputError(f"{where}: the table has no rows.", "Log at least two episodes.")
            place = folder / file_sha256(temporary)
            place.mkdir(exist_ok=True)
            temporary.replace(place / FRAME_FILE)
            os.utime(place)
        finally:
            temporary.unlink(missing_ok=True)
    except pa.ArrowException as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{where}: a {type(frame).__name__} that Arrow cannot read: {reason}.",
            "Give each column one type; lists of numbers are fine for probabilities.",
        ) from error
    except OSError as error:
        raise InputError(f"{where}: the table cannot be written to {folder}: {error.strerror or error}.") from error
    return place / FRAME_FILE


def _forget_old_ones(folder: Path) -> None:
    oldest = time.time() - KEPT_DAYS * 86400
    for place in folder.iterdir():
        with contextlib.suppress(OSError):
            if place.is_dir() and place.stat().st_mtime < oldest:
                (place / FRAME_FILE).unlink(missing_ok=True)
                place.rmdir()
