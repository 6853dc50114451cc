"""The JSONPath that SageMaker's DataProcessing takes (contract 162 to 165).

::

    $                   the value itself
    .name  ['name']     a member of an object
    ['a','b']           an object with those members
    .*  [*]             all members or elements, as an array
    [2]  [-1]           an element; a negative index counts from the end
    [0,-1]  [0,5:]      several elements, as an array
    [1:4]  [5:]         a slice, as an array: the element at the end index is not in it

Steps follow one another. After ``*``, a slice or several indices, the next step is taken in each of the values. A
member or an index that is not there is an error, never an empty result; a slice gives what there is.

jsonpath-ng reads another language (it has ``..`` and filters, and refuses ``[0,5:]``), gives a list of matches where an
object is due, and nothing where an index is out of range: a parser of our own is smaller than what would bend it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from batchrl.contract.errors import InputError

Entry = TypeVar("Entry")

MAX_LENGTH = 63
GRAMMAR = "A path is made of $, .name, ['a','b'], *, [0,-1] and [1:4]."

_NAME = re.compile(r"[^\s.\[\]*'\",:?()@$]+")
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_SLICE = re.compile(r"(-?\d+)?\s*:\s*(-?\d+)?")
_INDEX = re.compile(r"-?\d+")
_BLANK = re.compile(r"\s*")


class PathNotFound(Exception):
    """A value has not what a path names; the message says what is missing, and in which part of the path."""


@dataclass(frozen=True)
class Members:
    """One member of an object, or an object of several."""

    names: tuple[str, ...]
    several = False

    def of(self, value: Any) -> Iterator[Any]:
        """The values of the named members; PathNotFound where ``value`` is no object or lacks one."""
        if not isinstance(value, dict):
            raise PathNotFound(f"'{self.names[0]}' is asked of {_kind(value)}, which has no members")
        for name in self.names:
            if name not in value:
                raise PathNotFound(f"there is no member '{name}'")
        yield value[self.names[0]] if len(self.names) == 1 else {name: value[name] for name in self.names}


@dataclass(frozen=True)
class Elements:
    """One element of an array, or several."""

    picks: tuple[int | slice, ...]

    @property
    def several(self) -> bool:
        """Whether the step may give more than one value."""
        return len(self.picks) > 1 or isinstance(self.picks[0], slice)

    def of(self, value: Any) -> Iterator[Any]:
        """The picked elements; PathNotFound where ``value`` is no array or is too short."""
        if not isinstance(value, list):
            raise PathNotFound(f"an index is asked of {_kind(value)}, which has no elements")
        for pick in self.picks:
            if isinstance(pick, slice):
                yield from value[pick]
            elif -len(value) <= pick < len(value):
                yield value[pick]
            else:
                raise PathNotFound(f"index {pick} is out of range: the array has {len(value)} elements")


@dataclass(frozen=True)
class Everything:
    """All members of an object or elements of an array."""

    several = True

    def of(self, value: Any) -> Iterator[Any]:
        """All members of an object or all elements of an array; PathNotFound for anything else."""
        if not isinstance(value, dict | list):
            raise PathNotFound(f"'*' is asked of {_kind(value)}, which has no parts")
        yield from value.values() if isinstance(value, dict) else value


Step = Members | Elements | Everything


@dataclass(frozen=True)
class JsonPath:
    """A path, ready to be applied.

    Args:
        text: as it was written.
        steps: after the ``$``.
    """

    text: str
    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """Read a path.

        Raises:
            InputError: the text is none of the supported kind; the message says where.
        """
        return cls(text, tuple(_Parser(text).steps()))

    @property
    def is_root(self) -> bool:
        """Whether it is ``$``, which changes nothing."""
        return not self.steps

    @property
    def picks_columns(self) -> bool:
        """Whether it can be applied to a row of CSV, which has indices only (contract 161)."""
        return not any(isinstance(step, Members) for step in self.steps) and len(self.steps) <= 1

    def select(self, value: Any) -> Any:
        """What the path names in a value.

        Raises:
            PathNotFound: it is not there.
        """
        found, several = [value], False
        for step in self.steps:
            found = [part for one in found for part in step.of(one)]
            several = several or step.several
        return found if several else found[0]


ROOT = JsonPath("$", ())


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def steps(self) -> Iterator[Step]:
        if len(self._text) > MAX_LENGTH:
            raise self._fault(f"it has {len(self._text)} characters, at most {MAX_LENGTH} are allowed")
        if not self._take("$"):
            raise self._fault("a path begins with $")
        while self._at < len(self._text):
            yield self._step()

    def _step(self) -> Step:
        if self._take("["):
            return self._bracket()
        if not self._take("."):
            raise self._fault("expected '.' or '['")
        if self._take("["):  # AWS's own example is $.field.['a','b']
            return self._bracket()
        if self._take("*"):
            return Everything()
        if (name := self._match(_NAME)) is None:
            raise self._fault("'..' is not supported" if self._peek() == "." else "expected a name")
        return Members((name[0],))

    def _bracket(self) -> Step:
        self._match(_BLANK)
        if self._take("*"):
            self._close()
            return Everything()
        if self._peek() in ("?", "("):
            raise self._fault("filters and expressions are not supported")
        if self._peek() in ("'", '"'):
            return Members(tuple(self._list(self._quoted)))
        return Elements(tuple(self._list(self._pick)))

    def _list(self, entry: Callable[[], Entry]) -> Iterator[Entry]:
        while True:
            self._match(_BLANK)
            yield entry()
            self._match(_BLANK)
            if not self._take(","):
                self._close()
                return

    def _close(self) -> None:
        self._match(_BLANK)
        if not self._take("]"):
            raise self._fault("expected ',' or ']'")

    def _quoted(self) -> str:
        start = self._at
        if (quoted := self._match(_QUOTED)) is None:
            raise self._fault("expected a name in quotes")
        name = re.sub(r"\\(.)", r"\1", quoted[1] if quoted[1] is not None else quoted[2])
        if "." in name:
            self._at = start
            raise self._fault("a quoted name holds no dot: it names a member, not a path")
        return name

    def _pick(self) -> int | slice:
        if (found := self._match(_SLICE)) is not None:
            start, end = (None if bound is None else int(bound) for bound in found.groups())
            return slice(start, end)
        if (found := self._match(_INDEX)) is not None:
            return int(found[0])
        raise self._fault("expected an index, a slice or a name in quotes")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, text: str) -> bool:
        if taken := self._text.startswith(text, self._at):
            self._at += len(text)
        return taken

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        if (found := pattern.match(self._text, self._at)) is not None:
            self._at = found.end()
        return found

    def _fault(self, what: str) -> InputError:
        return InputError(
            f"'{self._text}' is no JSONPath that batch transform takes: {what} (character {self._at + 1}).", GRAMMAR
        )


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "an array", str: "a text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")
