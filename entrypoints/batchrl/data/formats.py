"""What a file of logged data is, told from its first bytes and not from its name: kind, packing, encoding, separator.

=====================  ====================================================================================
packed with gzip       the bytes ``1f 8b`` at the start, whatever the name says
Parquet                ``PAR1`` at the start
JSON Lines             the first character is ``{``, or the name ends with ``.jsonl`` or ``.ndjson``
CSV                    everything else that is text
separator              of comma, semicolon, tab and pipe the one that gives the header the most columns
encoding               by its byte order mark; text of two bytes a character without one by its zeros; else UTF-8
=====================  ====================================================================================

Separator, encoding and decimal mark can be said instead (``data.separator``, ``data.encoding``, ``data.decimal``).
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from batchrl.contract.errors import InputError, shortened

Kind = Literal["csv", "jsonl", "parquet"]

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
AUTO = "auto"
UTF8 = "utf-8"
HEAD_BYTES = 1 << 16
GZIP_MAGIC = b"\x1f\x8b"
PARQUET_MAGIC = b"PAR1"
HDF5_MAGIC = b"\x89HDF\r\n"
PARQUET_SUFFIXES = (".parquet", ".pq")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
OTHERS = (
    (b"PK\x03\x04", "a zip archive (as Excel's .xlsx is)", "Unpack it, or save the sheet as CSV."),
    (b"\xd0\xcf\x11\xe0", "an old Excel sheet", "Save it as CSV."),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "Unpack it (zstd -d), or pack it with gzip."),
    (b"\xfd7zXZ\x00", "packed with xz", "Unpack it (xz -d), or pack it with gzip."),
    (b"BZh", "packed with bzip2", "Unpack it (bzip2 -d), or pack it with gzip."),
    (
        HDF5_MAGIC,
        "an HDF5 file",
        "`batchrl data convert FILE log.parquet` reads d3rlpy's. Write the arrays of others as a table, a row a step.",
    ),
    (b"ARROW1", "an Arrow file", "Write it as Parquet."),
    (b"FEA1", "a Feather file", "Write it as Parquet."),
    (b"Obj\x01", "an Avro file", "Write it as Parquet."),
    (b"ORC", "an ORC file", "Write it as Parquet."),
    (b"SQLite format 3", "a database of SQLite", "Export the table as CSV."),
)
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, UTF8),
    # Before that of UTF-16, which it begins with.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# A share of zeros that only text of two bytes a character has.
MANY_ZEROS = 0.8

_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_EXCELS_FIRST_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
_JSON_ARRAY = re.compile(r"\[\s*\{")


@dataclass(frozen=True)
class TextOptions:
    """How text files are to be read, as the section ``data`` of a preset says it.

    Args:
        separator: of a CSV's cells: ``auto``, a name of ``SEPARATORS``, or the character itself.
        decimal: ``point`` or ``comma``.
        encoding: ``auto``, or a name that Python knows, such as ``cp1252``.
    """

    separator: str = AUTO
    decimal: Literal["point", "comma"] = "point"
    encoding: str = AUTO


@dataclass(frozen=True)
class FileFormat:
    """What one file is.

    Args:
        kind: ``csv``, ``jsonl`` or ``parquet``.
        packed: whether it is packed with gzip.
        encoding: of a text file, as Python calls it.
        separator: of a CSV's cells.
        decimal: the mark in a CSV's numbers, ``.`` or ``,``.
    """

    kind: Kind
    packed: bool = False
    encoding: str = UTF8
    separator: str = ","
    decimal: str = "."


def format_of_file(path: Path, asked: TextOptions) -> FileFormat:
    """Look at a file's first bytes.

    Raises:
        InputError: it is of a kind that is not read; says which, and what can be done.
        OSError, EOFError, zlib.error: it cannot be read.
    """
    head, packed = _head(path)
    if head.startswith(PARQUET_MAGIC) or path.name.lower().endswith(PARQUET_SUFFIXES):
        if packed:
            raise InputError(f"{path}: a Parquet file that is packed with gzip.", "Unpack it (gzip -d).")
        return FileFormat("parquet")
    for magic, what, advice in OTHERS:
        if head.startswith(magic):
            raise InputError(f"{path}: this is {what}, which is not read.", f"{advice} CSV and Parquet are read.")
    encoding = _encoding(head) if asked.encoding == AUTO else asked.encoding
    text = head.decode(encoding, "replace").removeprefix("\ufeff")
    if text.lstrip()[:1] == "{" or path.name.lower().endswith(JSON_SUFFIXES):
        return FileFormat("jsonl", packed, encoding)
    if _JSON_ARRAY.match(text.lstrip()):
        raise InputError(
            f"{path}: this is one JSON array, which is not read.",
            "Write one JSON object a line (JSON Lines), as `jq -c '.[]'` does.",
        )
    separator = SEPARATORS.get(asked.separator, asked.separator)
    if asked.separator == AUTO:
        separator = _separator(path, text)
    return FileFormat("csv", packed, encoding, separator, "," if asked.decimal == "comma" else ".")


def has_decimal_comma(cell: str) -> bool:
    """Whether a cell would be a number if its comma were a point."""
    return _DECIMAL_COMMA.fullmatch(cell.strip()) is not None


def _head(path: Path) -> tuple[bytes, bool]:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if not head.startswith(GZIP_MAGIC):
            return head, False
        file.seek(0)
        with gzip.GzipFile(fileobj=file) as unpacked:
            return unpacked.read(HEAD_BYTES), True


def _encoding(head: bytes) -> str:
    for mark, name in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return name
    first = head[:200]
    pairs = len(first) // 2
    if pairs and first[1::2].count(0) > MANY_ZEROS * pairs:
        return "utf-16-le"
    if pairs and first[::2].count(0) > MANY_ZEROS * pairs:
        return "utf-16-be"
    return UTF8


def _separator(path: Path, text: str) -> str:
    """The one that divides the header into the most columns; a comma where none does."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    if said := _EXCELS_FIRST_LINE.fullmatch(line.strip()):
        raise InputError(
            f"{path}: its first line is '{shortened(line.strip())}', which is Excel's and no header.",
            f"Delete that line: the separator '{said[1]}' is found without it.",
        )
    return max(SEPARATORS.values(), key=lambda separator: _width(line, separator))


def _width(line: str, separator: str) -> int:
    try:
        return len(next(csv.reader(io.StringIO(line, newline=""), delimiter=separator), []))
    except csv.Error:
        return 0
