"""Records that say which actions can be taken: ``{"age": 41, "eligible": ["mail", "none"]}``.

The key stands beside a raw record's columns, or beside ``features``. A record without it can have every action, unless
the policy was trained on rows with lists of their own: then it has to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson

from batchrl.contract.text import listed
from batchrl.data.dataset import Flags
from batchrl.serving.media import Media
from batchrl.serving.parsing import FEATURES, INSTANCES, ParsedRecords, Unreadable, blocks, in_words, instances_of

KEY = "eligible"
SHOWN = 5


@dataclass(frozen=True)
class EligibleRecords:
    """Takes the lists out of records and hands the rest on.

    Args:
        names: ``A`` names of the actions.
        required: whether a record without a list is faulty.
        lines: reads the states of a body of JSON Lines, in blocks.
        document: reads the states of a JSON document.
    """

    names: Sequence[str]
    required: bool
    lines: Callable[[bytes], Iterator[ParsedRecords]]
    document: Callable[[bytes], ParsedRecords]

    def concerns(self, body: bytes, media: Media) -> bool:
        """Whether a body has to be looked at."""
        return self.required or (media is not Media.CSV and b'"%b"' % KEY.encode() in body)

    def of_lines(self, body: bytes) -> Iterator[ParsedRecords]:
        """The records of JSON Lines, in blocks that bound the memory."""
        for block in blocks(body):
            lines = block.split(b"\n")
            rest, flags, faults = self._apart([_parsed(line) for line in lines])
            # What is no JSON stays as it is: who reads the states says what is wrong with it.
            lines = [line if one is None else orjson.dumps(one) for line, one in zip(lines, rest, strict=True)]
            found = list(self.lines(b"\n".join(lines) + b"\n"))
            yield _joined(found, flags, faults)

    def of_document(self, body: bytes) -> ParsedRecords:
        """The records of ``{"instances": [{...}, ...]}``, of a list of records, or one.

        Raises:
            Unreadable: it is none of these.
        """
        document = instances_of(body)
        if not isinstance(document, list) or not all(isinstance(record, dict) for record in document):
            raise Unreadable(
                f'expected {{"{INSTANCES}": [{{..., "{KEY}": [...]}}, ...]}}, a list of such records, or one: each is '
                f'an object that lists the actions that can be taken in "{KEY}"'
            )
        rest, flags, faults = self._apart(document)
        plain = [one.get(FEATURES, one) for one in rest]
        return _joined([self.document(orjson.dumps({INSTANCES: plain}))], flags, faults)

    def csv(self, body: bytes) -> Iterator[ParsedRecords]:
        """CSV, which has no place for lists: every record is faulty."""
        for block in blocks(body):
            n = block.count(b"\n") + 1
            fault = f'this policy has to know which actions can be taken: send JSON with "{KEY}": [...] in each record'
            empty = next(self.lines(b"{}\n"))
            yield ParsedRecords(np.zeros((n, empty.states.shape[1]), np.float32), dict.fromkeys(range(n), fault))

    def _apart(self, records: Sequence[Any]) -> tuple[list[Any], Flags, dict[int, str]]:
        """The records without their lists, None where one is no object; ``[n, A]`` what can be taken; and faults."""
        flags = np.ones((len(records), len(self.names)), np.bool_)
        position = {name: number for number, name in enumerate(self.names)}
        rest: list[Any] = []
        faults: dict[int, str] = {}
        for number, record in enumerate(records):
            if not isinstance(record, dict):
                rest.append(None)
                if self.required:
                    faults[number] = self._missing(record)
                continue
            rest.append({key: value for key, value in record.items() if key != KEY})
            if KEY not in record:
                if self.required:
                    faults[number] = self._missing(record)
                continue
            places = self._places(record[KEY], position)
            if isinstance(places, str):
                faults[number] = places
            else:
                flags[number] = False
                flags[number, places] = True
        return rest, flags, faults

    def _missing(self, record: Any) -> str:
        got = "" if isinstance(record, dict) else f", got {in_words(record)}"
        return f'"{KEY}" is missing{got}; this policy has to know which of {self._some} can be taken'

    def _places(self, value: Any, position: Mapping[str, int]) -> list[int] | str:
        """The actions of a list by position, or what is wrong with it."""
        if not isinstance(value, list) or not value:
            got = "an empty list" if value == [] else in_words(value)
            return f'"{KEY}" is {got}, expected a list of actions, of {self._some}'
        found = []
        for item in value:
            text = str(item) if type(item) in (str, int) else None
            if text is None or text not in position:
                return f'"{KEY}" holds {in_words(item)}, expected actions of {self._some}'
            found.append(position[text])
        return found

    @property
    def _some(self) -> str:
        return listed(self.names, SHOWN)


def _parsed(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _joined(found: Sequence[ParsedRecords], flags: Flags, faults: Mapping[int, str]) -> ParsedRecords:
    """Parts of a body as one, with what can be taken; faults of the lists go before others of the same record."""
    states = np.concatenate([part.states for part in found])
    own: dict[int, str] = {}
    first = 0
    for part in found:
        own |= {first + number: fault for number, fault in part.faults.items()}
        first += len(part)
    return replace(ParsedRecords(states, {**own, **faults}), eligible=flags)
