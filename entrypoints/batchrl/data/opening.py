"""Files opened as text, and what can go wrong with them in words."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pyarrow as pa

from batchrl.contract.errors import InputError
from batchrl.data.formats import UTF8, FileFormat


class CellOfAnotherType(ValueError):
    """A CSV cell cannot be read as the type that was asked for; read as text, it can be named."""


@contextmanager
def open_text(path: Path, form: FileFormat, errors: str = "replace") -> Iterator[TextIO]:
    """A file as text, unpacked; ``errors`` says what becomes of bytes that are none, as Python's codecs have it."""
    encoding = "utf-8-sig" if form.encoding == UTF8 else form.encoding
    with path.open("rb") as raw:
        packed = gzip.GzipFile(fileobj=raw) if form.packed else raw
        with io.TextIOWrapper(packed, encoding=encoding, errors=errors, newline="") as file:
            yield file


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Say in our words that a file cannot be read.

    Raises:
        InputError: it could not.
    """
    try:
        yield
    except (InputError, CellOfAnotherType):
        raise
    except MemoryError:
        raise InputError(f"{path}: the file does not fit into memory.", "Set data.storage to mapped.") from None
    except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException, csv.Error) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: the file cannot be read: {reason}") from error
