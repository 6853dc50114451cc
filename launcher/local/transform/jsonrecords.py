"""DataProcessing of JSON and JSON Lines: filters and joins of records (contract 157 to 165, 169).

What is joined is checked to be JSON and then put together as it stands, byte for byte; only what a filter selects, and
an object that has a ``SageMakerOutput`` already, is written anew. Whole numbers keep all their digits.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from launcher.api.jsonpath import JsonPath, PathNotFound
from launcher.local.host.faults import ALGORITHM
from launcher.local.transform.outcome import RecordFault
from launcher.local.transform.settings import TransformSettings

INPUT, OUTPUT = "SageMakerInput", "SageMakerOutput"
SHOWN = 80
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Whole numbers of more than 64 bits would become fractions.
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_BEFORE, _BETWEEN, _AFTER = b'{"SageMakerInput":', b',"SageMakerOutput":', b"}\n"

Locate = Callable[[int], str]


class JsonRecords:
    """Records that are JSON texts.

    Args:
        settings: of the job.
    """

    error_mark = b'"error"'  # is in every error record, and in little else

    def __init__(self, settings: TransformSettings) -> None:
        self._join = settings.join
        self._input = settings.input_filter
        self._output = settings.output_filter

    def select(self, records: Sequence[bytes], locate: Locate) -> list[bytes]:
        """What the server is to see of each record (contract 157).

        Args:
            records: the records.
            locate: names one of them.

        Raises:
            RecordFault: one is no JSON, or has not what the filter names.
        """
        return [
            _written(_taken(self._input, "InputFilter", _parsed(record, index, locate), index, locate))
            for index, record in enumerate(records)
        ]

    def combine(self, records: Sequence[bytes], answers: Sequence[bytes], locate: Locate) -> bytes:
        """Records and their answers as lines of the output.

        Args:
            records: the records as they stand in the object; without a join they are not looked at.
            answers: as many.
            locate: names one of them.

        Raises:
            RecordFault: one is no JSON, or has not what the filter names.
        """
        if self._output.is_root:
            return _spliced(records, answers, locate)
        lines = []
        for index, answer in enumerate(answers):
            value = _parsed_answer(answer, index, locate)
            if self._join:
                value = joined(_parsed(records[index], index, locate), value)
            lines.append(_written(_taken(self._output, "OutputFilter", value, index, locate)) + b"\n")
        return b"".join(lines)

    def error(self, answer: bytes) -> str | None:
        """The text of our server's error record, without its line; None of any other answer."""
        return error_text(answer)


def joined(record: Any, answer: Any) -> Any:
    """A record with its answer: an object gets a member, all else becomes one (contract 159, 160)."""
    return {**record, OUTPUT: answer} if isinstance(record, dict) else {INPUT: record, OUTPUT: answer}


def error_text(answer: bytes) -> str | None:
    """The text of ``{"error": ..., "line": ...}`` without the line of the request; None of any other answer."""
    record = _error_record(answer)
    return None if record is None else record[0].removeprefix(f"line {record[1]}: ")


def error_line(answer: bytes) -> int | None:
    """The line of the request that an error record names, counted from 1; None of any other answer."""
    record = _error_record(answer)
    return None if record is None else record[1]


def _error_record(answer: bytes) -> tuple[str, int] | None:
    try:
        value = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return None
    text, line = (value.get("error"), value.get("line")) if isinstance(value, dict) else (None, None)
    return (text, line) if isinstance(text, str) and isinstance(line, int) else None


def _spliced(records: Sequence[bytes], answers: Sequence[bytes], locate: Locate) -> bytes:
    try:
        kinds = set(map(type, map(orjson.loads, records)))
        deque(map(orjson.loads, answers), maxlen=0)
    except orjson.JSONDecodeError:
        for index, (record, answer) in enumerate(zip(records, answers, strict=True)):
            _parsed(record, index, locate)
            _parsed_answer(answer, index, locate)
        raise
    if dict in kinds:
        return b"".join(
            _spliced_one(_parsed(record, index, locate), record, answer)
            for index, (record, answer) in enumerate(zip(records, answers, strict=True))
        )
    parts = [_AFTER + _BEFORE, b"", _BETWEEN, b""] * len(records)
    parts[0] = _BEFORE
    parts[1::4] = records
    parts[3::4] = answers
    parts.append(_AFTER)
    return b"".join(parts)


def _spliced_one(value: Any, record: bytes, answer: bytes) -> bytes:
    if not isinstance(value, dict):
        return b"".join((_BEFORE, record, _BETWEEN, answer, _AFTER))
    if OUTPUT in value:
        del value[OUTPUT]
        record = _written(value)
    if not value:
        return b"".join((b"{", _BETWEEN[1:], answer, _AFTER))
    return b"".join((record.rstrip()[:-1], _BETWEEN, answer, _AFTER))


def _parsed(record: bytes, index: int, locate: Locate) -> Any:
    try:
        return _loaded(record)
    except (ValueError, RecursionError) as error:
        raise RecordFault(
            f"{locate(index)}: it is no valid JSON ({error}), as a join or a filter needs it: {shown(record)} "
            "(without them, only this record would be answered by an error)"
        ) from error


def _parsed_answer(answer: bytes, index: int, locate: Locate) -> Any:
    try:
        return _loaded(answer)
    except (ValueError, RecursionError) as error:
        raise RecordFault(
            f"{locate(index)}: the answer is no valid JSON ({error}), as a join or an OutputFilter needs it: "
            f"{shown(answer)}",
            ALGORITHM,
        ) from error


def _loaded(text: bytes) -> Any:
    """A JSON text.

    Raises:
        ValueError: it is none, or has a number of more digits than Python reads.
        RecursionError: it has long numbers, and is nested too deeply.
    """
    value = orjson.loads(text)  # which refuses more than the standard library: NaN, Infinity
    return json.loads(text) if _LONG_NUMBER.search(text) else value


def _written(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a long whole number
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _taken(path: JsonPath, name: str, value: Any, index: int, locate: Locate) -> Any:
    try:
        return path.select(value)
    except PathNotFound as error:
        raise RecordFault(f"{locate(index)}: {name} {path.text}: {error}") from error


def shown(data: bytes) -> str:
    """The beginning of some bytes, for a message; what a terminal would obey or cannot show is replaced."""
    decoded = data[: SHOWN + 1].decode("utf-8", "replace").rstrip("\r\n")
    text = "".join(character if character.isprintable() else REPLACEMENT for character in decoded)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
