"""Bodies of requests as states, and what is wrong with the records that are none (contract 139, 146, 167).

Every line of a body gives one state or one fault, so that an answer has a line for each. A state is a list of numbers,
or an object that names the log's columns: ``{"age": 41, "visits": 3}``. A body of either kind is parsed in one piece,
where it is certain that each line is one; any other body line by line.
"""

from __future__ import annotations

import csv
import itertools
import operator
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from batchrl.contract.text import DECIMAL, listed
from batchrl.serving.media import Media

if TYPE_CHECKING:
    from batchrl.data.dataset import Flags, Floats32, Floats64

# Text that is parsed at once: its lists of numbers stay in a core's cache, and others have their turn.
BLOCK_BYTES = 1024 * 1024
LARGEST = float(np.finfo(np.float32).max)
FEATURES, INSTANCES = "features", "instances"
NO_NUMBER = re.compile(rb"\b(?:NaN|Infinity)\b")
BOM = b"\xef\xbb\xbf"
SHOWN_CHARACTERS = 40
SHOWN_COLUMNS = 4


@dataclass(frozen=True)
class ParsedRecords:
    """Some records of a body, in order.

    Args:
        states: ``[n, d]``; rows of faulty records are 0.
        faults: what is wrong with a record, by its position.
        eligible: ``[n, A]``, the actions that can be taken, at least one a row; None: all.
    """

    states: Floats32
    faults: Mapping[int, str] = field(default_factory=dict)
    eligible: Flags | None = None

    def __len__(self) -> int:
        return len(self.states)


class Unreadable(Exception):
    """A body that is no list of records at all."""


def read_lines(body: bytes, media: Media, n_features: int, columns: Sequence[str] = ()) -> Iterator[ParsedRecords]:
    """The records of a body of lines, in blocks that bound the memory.

    Args:
        body: JSON Lines or CSV; a newline at its end ends the last line and begins no other.
        media: which of the two.
        n_features: d.
        columns: ``d`` names of the features, by which objects are understood; none where they are not known.
    """
    for block in blocks(body):
        yield _json_block(block, n_features, columns) if media is Media.JSON_LINES else _csv_block(block, n_features)


def blocks(body: bytes) -> Iterator[bytes]:
    """A body of lines in pieces of whole lines, without the newline behind each; see ``trimmed``."""
    lines = trimmed(body)
    start = 0
    while lines is not None and start <= len(lines):
        cut = lines.find(b"\n", start + BLOCK_BYTES)
        stop = len(lines) if cut < 0 else cut
        yield lines[start:stop].replace(b"\r\n", b"\n")
        start = stop + 1


def trimmed(body: bytes) -> bytes | None:
    """A body of lines without a mark of its byte order and the last newline; None for a body without any line."""
    body = body.removeprefix(BOM)
    if not body:
        return None
    return body.removesuffix(b"\n").removesuffix(b"\r") if body.endswith(b"\n") else body


def document_of(body: bytes) -> Any:
    """A body as a JSON document.

    Raises:
        Unreadable: it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"the body is not JSON: {error}") from error


def instances_of(body: bytes) -> Any:
    """The records of ``{"instances": [...]}``, or of a list, as it stands; another object is one record.

    Raises:
        Unreadable: it is no JSON.
    """
    document = document_of(body)
    if isinstance(document, dict):
        return document[INSTANCES] if document.keys() == {INSTANCES} else [document]
    return document


def read_document(body: bytes, n_features: int, columns: Sequence[str] = ()) -> ParsedRecords:
    """The records of a JSON document: ``{"instances": [row, ...]}``, a list of rows, or one row.

    Args:
        body: all of it.
        n_features: d; a row is a list of so many numbers, or an object, as a line may be one.
        columns: as for ``read_lines``.

    Raises:
        Unreadable: it is none of these.
    """
    wanted = f'expected {{"{INSTANCES}": [[...], ...]}}, a list of lists of {n_features} numbers, or one such list'
    if columns:
        wanted += f", or objects, as {_example(columns)}, in the place of lists"
    document = rows = document_of(body)
    if isinstance(document, dict):
        if INSTANCES in document:
            rows = document[INSTANCES]
        elif FEATURES in document or any(name in document for name in columns):
            rows = [document]
        else:
            raise Unreadable(f"{wanted}, got {_object(document)}")
    if not isinstance(rows, list):
        raise Unreadable(f"{wanted}, got {in_words(rows)}")
    if rows is document and rows and not isinstance(rows[0], (list, dict)):
        rows = [rows]
    if _is_numeric(body, texts=int(rows is not document)):
        try:
            return _in_range(np.array(rows, dtype=np.float64), n_features)
        except (ValueError, TypeError, OverflowError):
            pass
    plain = all(type(row) is dict and FEATURES not in row and INSTANCES not in row for row in rows)
    if plain and (named := _named(rows, columns)) is not None:
        return _in_range(named, n_features)
    return _records(map(partial(_row, columns=columns), rows), n_features)


def _json_block(block: bytes, n_features: int, columns: Sequence[str]) -> ParsedRecords:
    """Records of lines of JSON; all at once where every line is certain to be one list of numbers, or one object."""
    joined = block.replace(b"]\n[", b"],[")
    # Where no newline is left, each line but the first begins with "[" and each but the last ends with "]". With as
    # many "[" as lines, in valid JSON, a line is one list, and holds none.
    if b"\n" not in joined and joined.count(b"[") == block.count(b"\n") + 1 and _is_numeric(joined):
        try:
            return _in_range(np.array(orjson.loads(b"[%b]" % joined), dtype=np.float64), n_features)
        except (ValueError, TypeError, OverflowError):
            pass
    if columns and not any(b'"%b"' % key.encode() in block for key in (FEATURES, INSTANCES)):
        named = _named(objects_at_once(block) or (), columns)
        if named is not None:
            return _in_range(named, n_features)
    return _records(map(partial(_json_line, columns=columns), block.split(b"\n")), n_features)


def objects_at_once(block: bytes) -> list[dict[str, Any]] | None:
    """All objects of a block of JSON Lines, where it is certain that each line is one without another in it."""
    # As many "{" as lines, and as many objects: none begins within another, or on a line with another.
    n_lines = block.count(b"\n") + 1
    if block.count(b"{") != n_lines or not block.startswith(b"{") or block.count(b"\n{") != n_lines - 1:
        return None
    try:
        records = orjson.loads(b"[%b]" % block.replace(b"\n", b","))
    except orjson.JSONDecodeError:
        return None
    return records if len(records) == n_lines and set(map(type, records)) == {dict} else None


def _named(objects: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Floats64 | None:
    """``[n, d]`` of objects that hold a number for each column; None where one does not, or there is none."""
    if not objects or not columns:
        return None
    try:
        cells = list(map(operator.itemgetter(*columns), objects))
    except KeyError:
        return None
    flat = cells if len(columns) == 1 else list(itertools.chain.from_iterable(cells))
    if not {int, float}.issuperset(map(type, flat)):
        return None
    return np.array(flat, np.float64).reshape(len(objects), len(columns))


def _json_line(line: bytes, columns: Sequence[str]) -> Any:
    """The features that a line gives, or its fault."""
    if not line.strip():
        return Fault("the line is blank")
    try:
        return _row(orjson.loads(line), columns)
    except orjson.JSONDecodeError as error:
        if NO_NUMBER.search(line):
            return Fault("not JSON: there are no NaN and Infinity in it")
        return Fault(f"not JSON: {error.msg} (character {error.pos + 1})")


def _row(value: Any, columns: Sequence[str]) -> Any:
    """The features that a record gives, or its fault; what is no object is taken as it is."""
    if not isinstance(value, dict):
        return value
    if FEATURES not in value and INSTANCES not in value and any(name in value for name in columns):
        return _of_columns(value, columns)
    if (FEATURES in value) == (INSTANCES in value):
        named = f"{listed([quoted(name) for name in columns], SHOWN_COLUMNS)}, " if columns else ""
        return Fault(f'expected a list, or an object with {named}"{FEATURES}" or "{INSTANCES}", got {_object(value)}')
    if FEATURES in value:
        return value[FEATURES]
    rows = value[INSTANCES]
    if not isinstance(rows, list) or len(rows) != 1:
        found = f"{len(rows)} rows" if isinstance(rows, list) else in_words(rows)
        return Fault(f'expected one row in "{INSTANCES}", got {found}; a line is one record')
    return rows[0]


def _of_columns(value: Mapping[str, Any], columns: Sequence[str]) -> list[float] | Fault:
    for name in columns:
        if name not in value:
            return Fault(f"'{_short(name, SHOWN_CHARACTERS)}' is missing; expected {_example(columns)}")
        if type(value[name]) not in (float, int):
            return Fault(f"'{_short(name, SHOWN_CHARACTERS)}' is {in_words(value[name])}, not a number")
    return [value[name] for name in columns]


def _csv_block(block: bytes, n_features: int) -> ParsedRecords:
    """Records of lines of CSV; as JSON where they look the same in both."""
    if b"[" not in block and _is_numeric(block):
        try:
            rows = orjson.loads(b"[[%b]]" % block.replace(b"\n", b"],["))
            return _in_range(np.array(rows, dtype=np.float64), n_features)
        except (ValueError, TypeError, OverflowError):
            pass
    return _records(map(_csv_line, block.split(b"\n")), n_features)


def _is_numeric(text: bytes, texts: int = 0) -> bool:
    """Whether a text that is JSON holds no true, false or null, and no strings but so many.

    numpy would take these for numbers.
    """
    return not (b"u" in text or b"l" in text) and text.count(b'"') == 2 * texts


def _csv_line(line: bytes) -> Any:
    cells = csv_cells(line)
    return cells if isinstance(cells, Fault) else [float(cell) if DECIMAL.fullmatch(cell) else cell for cell in cells]


def csv_cells(line: bytes) -> list[str] | Fault:
    """The cells of a line of CSV, without spaces around them, or what is wrong with it."""
    if not line.strip():
        return Fault("the line is blank")
    try:
        return [cell.strip() for cell in next(csv.reader([line.decode().rstrip("\r")], strict=True))]
    except UnicodeDecodeError as error:
        return Fault(f"not UTF-8: byte {error.start + 1}")
    except csv.Error as error:
        return Fault(f"not CSV: {error}")


@dataclass(frozen=True)
class Fault:
    """What is wrong with a record.

    Args:
        message: that, in words.
    """

    message: str


def _records(values: Iterable[Any], n_features: int) -> ParsedRecords:
    """Records of features, or faults, one after the other."""
    rows: list[Sequence[float]] = []
    faults: dict[int, str] = {}
    blank = [0.0] * n_features
    for position, value in enumerate(values):
        fault = value.message if isinstance(value, Fault) else _fault_of(value, n_features)
        if fault is not None:
            faults[position] = fault
        rows.append(blank if fault is not None else value)
    states = np.array(rows, dtype=np.float64).reshape(len(rows), n_features)
    found = _in_range(states, n_features)
    return ParsedRecords(found.states, {**faults, **found.faults})


def _fault_of(value: Any, n_features: int) -> str | None:
    """What is wrong with the features of a record."""
    if not isinstance(value, list):
        return f"expected {_list_of(n_features)}, got {in_words(value)}"
    if len(value) != n_features:
        return f"expected {n_features} feature{'s' * (n_features != 1)}, got {len(value)}"
    for position, feature in enumerate(value):
        if type(feature) not in (float, int):
            return f"feature {position + 1} is {in_words(feature)}, not a number"
    return None


def _in_range(states: Floats64, n_features: int) -> ParsedRecords:
    """Records of numbers.

    Raises:
        ValueError: they are not ``[n, d]``.
    """
    if states.ndim != 2 or states.shape[1] != n_features:
        raise ValueError(f"expected rows of {n_features}")
    # Rounded to float32, they must be finite: only what is larger than all of it by half a step is not.
    with np.errstate(over="ignore"):
        rounded: Floats32 = states.astype(np.float32)
    faults: dict[int, str] = {}
    finite = np.isfinite(rounded)
    if not finite.all():
        for row in np.flatnonzero(~finite.all(axis=1)).tolist():
            column = int(np.flatnonzero(~finite[row])[0])
            faults[row] = f"feature {column + 1} is {states[row, column]:g}, beyond float32 (at most {LARGEST:.3g})"
        rounded[list(faults)] = 0
    return ParsedRecords(rounded, faults)


def _list_of(n_features: int) -> str:
    return f"a list of {n_features} number{'s' * (n_features != 1)}"


def _example(columns: Sequence[str]) -> str:
    shown = [f"{quoted(name)}: 1.5" for name in columns]
    return f"{{{listed(shown, SHOWN_COLUMNS)}}}"


def quoted(name: str) -> str:
    """A name of a column as JSON has it, if it is short."""
    return f'"{_short(name, SHOWN_CHARACTERS)}"'


def _object(value: Mapping[str, Any]) -> str:
    if not value:
        return "an empty object"
    names = listed(list(value), 5)
    return f"an object with {_short(names, 2 * SHOWN_CHARACTERS)}"


def in_words(value: Any) -> str:
    """What a value is, in words, and what it is if it is short."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return "a number"
        case str():
            return f"the text {_short(value, SHOWN_CHARACTERS)!r}"
        case list():
            return "a list"
        case _:
            return "an object"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
