"""What is done to records before they are sent and to answers before they are stored (contract 150, 156 to 169).

A record is looked into only where a filter or a join asks for it. Records and answers are then lines, one answer for
each record, or else the object fails (contract 167); but for ``application/json`` with one record a request, or without
a SplitType, a request and its answer are one document each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import orjson

from launcher.api.constants import CSV
from launcher.api.transform_rules import JSON_TYPES, LINE_TYPES
from launcher.local.host.faults import ALGORITHM
from launcher.local.transform.csvrows import CsvRows
from launcher.local.transform.jsonrecords import JsonRecords, Locate
from launcher.local.transform.outcome import RecordFault
from launcher.local.transform.payloads import Payload
from launcher.local.transform.record_stream import Block, Lines
from launcher.local.transform.settings import TransformSettings

# Told of each error record that our own server gave: where, and its text.
Report = Callable[[str, str], None]


class RecordFormat(Protocol):
    """What a format can do with records."""

    error_mark: bytes

    def select(self, records: Sequence[bytes], locate: Locate) -> list[bytes]:
        """The part of each record that the input filter selects."""

    def combine(self, records: Sequence[bytes], answers: Sequence[bytes], locate: Locate) -> bytes:
        """Records and answers joined and filtered, as bytes of the output object."""

    def error(self, answer: bytes) -> str | None:
        """What an answer says is wrong with its record; None for a good answer."""


class Processing:
    """The data processing of one job.

    Args:
        settings: of the job.
    """

    def __init__(self, settings: TransformSettings) -> None:
        self._settings = settings
        self._filters_input = not settings.input_filter.is_root
        self._looks_into_answers = settings.join or not settings.output_filter.is_root
        self._records: RecordFormat = CsvRows(settings) if settings.content_kind == CSV else JsonRecords(settings)
        self._answers: RecordFormat = CsvRows(settings) if settings.answer_kind == CSV else JsonRecords(settings)
        self._error_mark = self._answers.error_mark if settings.answer_kind in JSON_TYPES | {CSV} else None
        split = settings.split != "None"
        one = settings.single_record or not split
        self._document_in = one and settings.content_kind not in LINE_TYPES
        self._document_out = one and settings.answer_kind not in LINE_TYPES
        self._on_one_line = split

    def block(self, block: Block) -> Block:
        """Records as the server is to see them.

        Raises:
            RecordFault: the InputFilter cannot be applied to one of them.
        """
        if not self._filters_input:
            return block
        assert isinstance(block, Lines)
        numbers = block.numbers
        records = [record.rstrip(b"\r\n") for record in block.original_records()]
        seen = self._records.select(records, lambda index: f"{block.noun} {numbers[index]}")
        return Lines(b"\n".join([*seen, b""]), block.originals, block.count, numbers)

    def whole(self, payload: Payload) -> Payload:
        """An object that is not split as the server is to see it; see ``block``."""
        if not self._filters_input:
            return payload
        if self._document_in:
            body = self._records.select([b"".join(payload.originals)], lambda index: "the object")[0]
        else:
            parts = [
                self._records.select(records, lambda index: payload.where(done + index))  # noqa: B023 - used at once
                for done, records in _counted(lines_of(payload.originals))
            ]
            body = b"".join(line + b"\n" for part in parts for line in part)
        return Payload((body,), len(body), payload.originals, payload.count)

    def finish(self, payload: Payload, answer: Iterable[bytes], report: Report) -> Iterator[bytes]:
        """What is stored of an answer.

        Args:
            payload: what was sent.
            answer: in chunks.
            report: told of error records.

        Raises:
            RecordFault: a record or an answer is not of its format, has not what the OutputFilter names, or there are
                not as many answers as records where they are joined.
        """
        if not self._looks_into_answers:
            yield from self._untouched(payload, answer, report)
        elif self._document_out:
            yield self._document(payload, b"".join(answer), report)
        else:
            yield from self._lines(payload, answer, report)

    def _untouched(self, payload: Payload, answer: Iterable[bytes], report: Report) -> Iterator[bytes]:
        mark, tail, suspicious = self._error_mark, b"", False
        for chunk in answer:
            if mark is not None and not suspicious:
                suspicious = mark in chunk or mark in tail + chunk[: len(mark)]
                tail = (tail + chunk[-len(mark) :])[-len(mark) :]
            yield chunk
        if suspicious:
            for done, answers in _counted(lines_of(answer)):
                self._report(answers, lambda index: payload.where(done + index), report)  # noqa: B023 - used at once

    def _document(self, payload: Payload, answer: bytes, report: Report) -> bytes:
        record, text = b"".join(payload.originals).strip(), answer.strip()
        if self._on_one_line and b"\n" in text:
            text = _on_one_line(text)

        def locate(index: int) -> str:
            return payload.where() or "the object"

        stored = self._answers.combine([record], [text], locate)
        self._report([text], locate, report)
        return stored if answer.endswith(b"\n") else stored[:-1]

    def _lines(self, payload: Payload, answer: Iterable[bytes], report: Report) -> Iterator[bytes]:
        if (one := _single(payload, answer)) is not None:
            pairs = iter((one,))
        else:
            pairs = paired(payload, answer) if self._settings.join else (([], lines) for lines in lines_of(answer))
        done = 0
        for records, answers in pairs:
            start = done

            def locate(index: int, start: int = start) -> str:
                return payload.where(start + index)

            stored = self._answers.combine(records, answers, locate)
            if self._answers.error_mark in stored or not self._settings.output_filter.is_root:
                self._report(answers, locate, report)
            yield stored
            done += len(answers)

    def _report(self, answers: Sequence[bytes], locate: Locate, report: Report) -> None:
        for index, answer in enumerate(answers):
            if self._answers.error_mark in answer and (text := self._answers.error(answer)) is not None:
                report(locate(index), text)


def _single(payload: Payload, answer: Iterable[bytes]) -> tuple[list[bytes], list[bytes]] | None:
    """A record and its answer, where each is one line in one chunk: the usual case of one record a request."""
    if isinstance(payload.originals, tuple) and isinstance(answer, list) and len(answer) == 1:
        line = answer[0].rstrip(b"\r\n")
        if line and b"\n" not in line:
            return [payload.originals[0].rstrip(b"\r\n")], [line]
    return None


def lines_of(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Lines without their ends, in lists that are not empty; lines without a character are left out."""
    held: list[bytes] = []
    for chunk in chunks:
        end = chunk.rfind(b"\n") + 1
        if end == 0:
            held.append(chunk)
            continue
        if lines := _lines(b"".join([*held, chunk[:end]])):
            yield lines
        held = [chunk[end:]]
    if lines := _lines(b"".join(held)):
        yield lines


def _lines(data: bytes) -> list[bytes]:
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").removesuffix(b"\r")
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return list(filter(None, lines)) if b"" in lines else lines


def paired(payload: Payload, answer: Iterable[bytes]) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Records and their answers, as many of each at a time.

    Raises:
        RecordFault: there are more of one than of the other; it comes after all pairs.
    """
    given, made = lines_of(payload.originals), lines_of(answer)
    records, answers = next(given, []), next(made, [])
    done = 0
    while records and answers:
        count = min(len(records), len(answers))
        yield records[:count], answers[:count]
        done += count
        records = records[count:] or next(given, [])
        answers = answers[count:] or next(made, [])
    if records or answers:
        wanted = done + len(records) + sum(map(len, given))
        had = done + len(answers) + sum(map(len, made))
        raise RecordFault(_uneven(payload, wanted, had), ALGORITHM)


def _uneven(payload: Payload, wanted: int, had: int) -> str:
    where = payload.where()
    return (
        f"{where + ': ' if where else ''}the answer holds {had:,} records for {wanted:,}; to be joined, each record "
        "needs exactly one line of the answer. Let the model answer so, or use BatchStrategy SingleRecord"
    )


def _counted(lists: Iterator[list[bytes]]) -> Iterator[tuple[int, list[bytes]]]:
    done = 0
    for entries in lists:
        yield done, entries
        done += len(entries)


def _on_one_line(text: bytes) -> bytes:
    try:
        return orjson.dumps(orjson.loads(text))
    except orjson.JSONDecodeError:
        return text  # told where it is joined
