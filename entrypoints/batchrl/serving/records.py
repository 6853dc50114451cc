"""Bodies of raw records, as the log has them: ``{"age": 41, "plan": "gold"}``, encoded as in training.

A CSV line holds the columns in the order of the log's. ``null`` and an empty cell are missing values. A block of
records without a fault is encoded column by column; of one with faults, each record is looked at.
"""

from __future__ import annotations

import datetime
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from batchrl.contract.errors import shortened
from batchrl.contract.text import DECIMAL, NULLS, listed
from batchrl.data.encoding import Encoding, Kind, RawColumn
from batchrl.serving.media import Media
from batchrl.serving.parsing import (
    INSTANCES,
    SHOWN_COLUMNS,
    Fault,
    ParsedRecords,
    Unreadable,
    blocks,
    csv_cells,
    in_words,
    instances_of,
    objects_at_once,
)

if TYPE_CHECKING:
    from batchrl.data.dataset import Floats64

RIGHT: Mapping[Kind, str] = {
    "number": "a number",
    "category": "a text",
    "date": 'a date, as "2026-11-30T08:00:00Z", or seconds since 1970',
}
EXAMPLES: Mapping[Kind, str] = {"number": "1.5", "category": '"text"', "date": '"2026-11-30T08:00:00Z"'}


@dataclass(frozen=True)
class RawRecords:
    """Reads records for one encoding."""

    encoding: Encoding

    def of_lines(self, body: bytes, media: Media) -> Iterator[ParsedRecords]:
        """The records of JSON Lines or CSV, in blocks that bound the memory."""
        for block in blocks(body):
            if media is Media.JSON_LINES:
                yield self._encoded(objects_at_once(block) or map(_json_line, block.split(b"\n")))
            else:
                yield self._encoded(map(self._csv_line, block.split(b"\n")))

    def of_document(self, body: bytes) -> ParsedRecords:
        """The records of ``{"instances": [{...}, ...]}``, of a list of records, or one.

        Raises:
            Unreadable: it is none of these.
        """
        document = instances_of(body)
        if not isinstance(document, list):
            raise Unreadable(
                f'expected {{"{INSTANCES}": [{self.example}, ...]}}, a list of such records, or one, '
                f"got {in_words(document)}"
            )
        return self._encoded(document)

    @property
    def example(self) -> str:
        """A record's form."""
        shown = [f'"{column}": {EXAMPLES[kind]}' for column, kind in self.encoding.kinds.items()]
        return f"{{{listed(shown, SHOWN_COLUMNS)}}}"

    def _encoded(self, values: Iterable[Any]) -> ParsedRecords:
        records = list(values)
        try:
            columns = self._columns(records)
            faults: dict[int, str] = {}
        except (_Wrong, KeyError, TypeError):
            faults = {number: fault for number, record in enumerate(records) if (fault := self._fault(record))}
            whole = [record for number, record in enumerate(records) if number not in faults]
            columns = self._columns(whole)
        width = len(self.encoding.names)
        states = np.zeros((len(records), width), np.float32)
        is_whole = np.ones(len(records), np.bool_)
        is_whole[list(faults)] = False
        raw = np.empty((int(is_whole.sum()), len(columns)), np.float64)
        for number, (_, cells) in enumerate(columns):
            raw[:, number] = cells
        states[is_whole] = self.encoding.encode([column for column, _ in columns], raw)
        beyond = ~np.isfinite(states)
        for row in np.flatnonzero(beyond.any(axis=1)).tolist():
            faults[row] = f"'{self.encoding.names[int(np.argmax(beyond[row]))]}' is beyond float32"
            states[row] = 0
        return ParsedRecords(states, faults)

    def _columns(self, records: Sequence[Any]) -> list[tuple[RawColumn, Floats64]]:
        """Each column, and its cells as the encoding takes them.

        Raises:
            _Wrong, KeyError, TypeError: a record is not as it should be.
        """
        found = []
        for name, kind in self.encoding.kinds.items():
            cells = list(map(operator.itemgetter(name), records))
            levels: dict[str, int] = {}
            read, types = READERS[kind], set(map(type, cells))
            if kind == "number" and types <= {int, float}:
                values = np.array(cells, np.float64)
            elif kind == "category":
                values = np.array(self._codes(name, cells, types, levels), np.float64)
            else:
                values = np.array([read(cell) for cell in cells], np.float64)
            found.append((RawColumn(name, kind, tuple(levels)), values))
        return found

    def _codes(self, name: str, cells: Sequence[Any], types: set[type], levels: dict[str, int]) -> list[float]:
        """The codes of a category's cells; their levels are added to those that have one."""
        own = set(self._levels(name))
        if types <= {str, NoneType}:
            # Each distinct text once. Other types may be equal and yet differ, as 1 and true.
            codes = {cell: _code(cell, levels, own) for cell in dict.fromkeys(cells)}
            return list(map(codes.__getitem__, cells))
        return [_code(cell, levels, own) for cell in cells]

    def _levels(self, name: str) -> Sequence[str]:
        return next(getattr(feature, "levels", ()) for feature in self.encoding.features if feature.column == name)

    def _fault(self, record: Any) -> str | None:
        if isinstance(record, Fault):
            return record.message
        if not isinstance(record, dict):
            return f"expected a raw record, as {self.example}, got {in_words(record)}"
        for name, kind in self.encoding.kinds.items():
            if name not in record:
                return f"'{name}' is missing; expected {self.example}"
            try:
                READERS[kind](record[name])
            except (_Wrong, OverflowError):
                return f"'{name}' is {in_words(record[name])}, expected {RIGHT[kind]}"
        return None

    def _csv_line(self, line: bytes) -> Any:
        cells = csv_cells(line)
        if isinstance(cells, Fault):
            return cells
        kinds = self.encoding.kinds
        if len(cells) != len(kinds):
            return Fault(f"expected {len(kinds)} cells ({shortened(', '.join(kinds))}), got {len(cells)}")
        return {
            name: float(cell) if kind != "category" and DECIMAL.fullmatch(cell) else (None if cell in NULLS else cell)
            for (name, kind), cell in zip(kinds.items(), cells, strict=True)
        }


class _Wrong(Exception):
    """A cell is of another type."""


def _number(cell: Any) -> float:
    if cell is None:
        return np.nan
    if not isinstance(cell, (int, float)):
        raise _Wrong
    return float(cell)


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell.strip()
    if type(cell) is int:
        return str(cell)
    raise _Wrong


def _code(cell: Any, levels: dict[str, int], own: set[str]) -> float:
    text = _text(cell)
    if text in NULLS and text not in own:
        return np.nan
    return levels.setdefault(text, len(levels))


def _moment(cell: Any) -> float:
    if cell is None or isinstance(cell, (int, float)):
        if isinstance(cell, bool):
            raise _Wrong
        return _number(cell)
    if not isinstance(cell, str):
        raise _Wrong
    if cell.strip() in NULLS:
        return np.nan
    try:
        moment = datetime.datetime.fromisoformat(cell.strip())
    except ValueError:
        raise _Wrong from None
    zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
    return zoned.timestamp()


READERS: Mapping[Kind, Callable[[Any], float | str]] = {"number": _number, "category": _text, "date": _moment}


def _json_line(line: bytes) -> Any:
    if not line.strip():
        return Fault("the line is blank")
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Fault(f"not JSON: {error.msg} (character {error.pos + 1})")
