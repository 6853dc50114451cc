"""What a request to ``/invocations`` gets: functions of its body, whatever brought it (contract 135, 167, 172, 175).

A request that is repeated gets the same answer: nothing is remembered between requests. The numbers of a product of
matrices may differ in their last bits with the rows that share it, so an answer may as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from batchrl.data.encoding import Encoding
from batchrl.serving import answers
from batchrl.serving.eligible import EligibleRecords
from batchrl.serving.media import Media, UnknownMedia, of_answer, of_body
from batchrl.serving.parsing import ParsedRecords, Unreadable, read_document, read_lines, trimmed
from batchrl.serving.predictor import Predictions, Predictor
from batchrl.serving.records import RawRecords


@dataclass(frozen=True)
class InvocationAnswer:
    """An answer.

    Args:
        status: of HTTP.
        content_type: of the body.
        body: all of it.
    """

    status: int
    content_type: str
    body: bytes

    @classmethod
    def error(cls, status: int, message: str, line: int | None = None) -> InvocationAnswer:
        """An answer that says what was wrong."""
        return cls(status, Media.JSON.value, answers.fault_body(message, line))


@dataclass(frozen=True)
class Request:
    """A body, what it is, and what its answer is to be."""

    body: bytes
    media: Media
    answer: Media

    @classmethod
    def of(cls, body: bytes, content_type: str, accept: str) -> Request:
        """A request with its headers, which are empty where there are none.

        Raises:
            UnknownMedia: they name nothing that this server reads or writes.
        """
        media = of_body(content_type)
        return cls(body, media, of_answer(accept, media))

    @property
    def records_at_most(self) -> int:
        """How many records the body holds, or fewer."""
        if self.media is Media.JSON:
            return self.body.count(b"[") + self.body.count(b"{")
        return self.body.count(b"\n") + 1


class Rejected(Exception):
    """A record whose fault fails the whole request.

    Args:
        message: with the record's number.
        line: that number, counted from 1.
    """

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(frozen=True)
class Service:
    """Answers requests with a policy.

    Args:
        predictor: the policy.
        reject: whether a faulty record fails its request; where the answer is a document it always does.
        encoding: of raw records; None where the policy takes lists of numbers.
        needs_eligible: whether every record has to say which actions can be taken.
        columns: ``d`` names of the features of a policy that takes lists of numbers, by which it takes objects as well;
            none where they are not known.
    """

    predictor: Predictor
    reject: bool = False
    encoding: Encoding | None = None
    needs_eligible: bool = False
    columns: tuple[str, ...] = ()

    def answer(self, content_type: str, accept: str, body: bytes) -> InvocationAnswer:
        """The answer to one request."""
        try:
            return self.respond(Request.of(body, content_type, accept))
        except UnknownMedia as error:
            return InvocationAnswer.error(error.status, error.message)

    def respond(self, request: Request) -> InvocationAnswer:
        """The answer to one request of any size, block by block."""
        try:
            return self.written(self.predicted(request.body, request.media), request.media, request.answer)
        except Unreadable as error:
            return InvocationAnswer.error(400, str(error))
        except Rejected as error:
            return InvocationAnswer.error(400, error.message, error.line)

    def respond_together(self, requests: Sequence[Request]) -> list[InvocationAnswer]:
        """The answers to small requests, whose lines are read, decided on and written as those of one body."""
        results: dict[int, InvocationAnswer] = {}
        groups: dict[tuple[Media, Media], list[int]] = {}
        for position, request in enumerate(requests):
            if len(requests) == 1 or Media.JSON in (request.media, request.answer):
                results[position] = self.respond(request)
            else:
                groups.setdefault((request.media, request.answer), []).append(position)
        for (media, answer), positions in groups.items():
            bodies = [trimmed(requests[position].body) for position in positions]
            results |= zip(positions, self._dealt_out(bodies, media, answer), strict=True)
        return [results[position] for position in range(len(requests))]

    def _dealt_out(self, bodies: Sequence[bytes | None], media: Media, answer: Media) -> Iterator[InvocationAnswer]:
        """The answers to bodies of lines, trimmed; None is a body without any."""
        lines: list[bytes] = []
        faults: dict[int, str] = {}
        together = b"".join(b"%b\n" % body for body in bodies if body is not None)
        for part in self.predicted(together, media):
            faults |= {len(lines) + position: fault for position, fault in part.faults.items()}
            lines += answers.separate_lines(part, answer, self.predictor.action_names)
        stop = 0
        for body in bodies:
            start, stop = stop, stop + (0 if body is None else body.count(b"\n") + 1)
            own = {position - start: fault for position, fault in faults.items() if start <= position < stop}
            try:
                yield InvocationAnswer(
                    200, answer.value, self._with_faults(lines[start:stop], own, answer, 1, answers.LINE)
                )
            except Rejected as error:
                yield InvocationAnswer.error(400, error.message, error.line)

    def predicted(self, body: bytes, media: Media) -> Iterator[Predictions]:
        """The predictions for a body's records, block by block.

        Raises:
            Unreadable: the body is no list of records.
        """
        for records in self._records(body, media):
            yield self.predictor.predict(records)

    def written(self, parts: Iterable[Predictions], media: Media, answer: Media) -> InvocationAnswer:
        """The answer with some predictions.

        Args:
            parts: the predictions, block by block.
            media: what the request's body was.
            answer: what the answer is to be.

        Raises:
            Rejected: a record is faulty where none may be.
        """
        unit = answers.ROW if media is Media.JSON else answers.LINE
        written, kept, first = [], [], 1
        for part in parts:
            if answer is Media.JSON:
                self._check(part.faults, first, unit)
                kept.append(part)
            else:
                lines = answers.separate_lines(part, answer, self.predictor.action_names)
                written.append(self._with_faults(lines, part.faults, answer, first, unit))
            first += len(part)
        if answer is Media.JSON:
            return InvocationAnswer(200, answer.value, answers.document(kept, self.predictor.action_names))
        return InvocationAnswer(200, answer.value, b"".join(written))

    def _with_faults(
        self, lines: list[bytes], faults: Mapping[int, str], answer: Media, first: int, unit: str
    ) -> bytes:
        """Lines, with faults in the places of those that have one, each with a newline at its end."""
        if self.reject:
            self._check(faults, first, unit)
        for position, fault in faults.items():
            number = first + position
            lines[position] = answers.fault_line(f"{unit} {number}: {fault}", number, answer, self.predictor.n_actions)
        return b"\n".join([*lines, b""])

    def _check(self, faults: Mapping[int, str], first: int, unit: str) -> None:
        if faults:
            position = min(faults)
            raise Rejected(f"{unit} {first + position}: {faults[position]}", first + position)

    def _records(self, body: bytes, media: Media) -> Iterator[ParsedRecords]:
        lists = EligibleRecords(
            self.predictor.action_names,
            self.needs_eligible,
            lambda lines: self._states(lines, Media.JSON_LINES),
            lambda document: next(self._states(document, Media.JSON)),
        )
        if not lists.concerns(body, media):
            yield from self._states(body, media)
        elif media is Media.JSON:
            yield lists.of_document(body)
        else:
            yield from lists.csv(body) if media is Media.CSV else lists.of_lines(body)

    def _states(self, body: bytes, media: Media) -> Iterator[ParsedRecords]:
        if self.encoding is not None:
            raw = RawRecords(self.encoding)
            yield from [raw.of_document(body)] if media is Media.JSON else raw.of_lines(body, media)
        elif media is Media.JSON:
            yield read_document(body, self.predictor.n_features, self.columns)
        else:
            yield from read_lines(body, media, self.predictor.n_features, self.columns)
