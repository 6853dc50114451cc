"""What the field of a dataclass of options says about itself: its meaning, its flag, its place in a request.

A class of options is an ordinary frozen dataclass. Each field carries ``option(...)`` as its metadata, and everything
that has to do with the option is read from there: the arguments of the public class (``launcher.api.arguments``), the
options of the command line (``launcher.cli.flags``), the request (``place``) and the reference (``docs/reference.py``).
A new option is one field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from batchrl.contract.errors import InputError, shortened
from launcher.base.pairs import as_pairs

_KEY = "launcher.option"
Options = TypeVar("Options")


@dataclass(frozen=True)
class Flag:
    """An option of the command line.

    Args:
        name: as it is typed, with its dashes.
        help: its line on a help page.
        kind: what a value is: ``str``, ``int``, ``Path``, or ``bool`` for a switch without a value.
        metavar: what a help page calls the value; None for the name of its type.
        minimum: the smallest number that is taken.
        shows_default: whether a help page shows the default.
        many: whether it may be repeated; its value is then a sequence.
        read: what makes the field's value of the texts of a repeated flag; None for a tuple of ``kind``.
        completes: what a shell offers for a value, by a name that ``launcher.cli.flags`` knows; None for nothing.
    """

    name: str
    help: str
    kind: type[str] | type[int] | type[bool] | type[Path] = str
    metavar: str | None = None
    minimum: int | None = None
    shows_default: bool = False
    many: bool = False
    read: Callable[[Sequence[str]], Any] | None = None
    completes: str | None = None

    def value(self, given: Any) -> Any:
        """The field's value, from what was typed or from what ``plain`` gave; None where nothing was.

        Raises:
            InputError: the texts of a repeated flag cannot be read.
        """
        if given is None or (self.many and not given):
            return None
        if self.read is not None:
            return self.read(tuple(given))
        if self.many:
            return tuple(self.kind(each) for each in given)
        return Path(given) if self.kind is Path else given

    def plain(self, value: Any) -> Any:
        """A field's value in JSON's types, as ``value`` reads it."""
        if self.many:
            return as_pairs(value) if isinstance(value, Mapping) else [str(each) for each in value or ()]
        return str(value) if isinstance(value, Path) else value


@dataclass(frozen=True)
class Option:
    """What a field says about itself.

    Args:
        about: what the option means, with its unit; a line of the reference.
        flag: its option on the command line; None for none.
        wire: its place in the request, as ``StoppingCondition.MaxRuntimeInSeconds``; None where code computes it.
        encode: what makes the request's value of the field's; where that is None, the request leaves it out.
    """

    about: str
    flag: Flag | None = None
    wire: str | None = None
    encode: Callable[[Any], Any] | None = None


def option(
    about: str, flag: Flag | None = None, wire: str | None = None, encode: Callable[[Any], Any] | None = None
) -> Mapping[str, Option]:
    """The metadata of a field; see ``Option``."""
    return {_KEY: Option(about, flag, wire, encode)}


def described(kind: object) -> Iterator[tuple[Field[Any], Option]]:
    """The fields of a dataclass that carry ``option(...)``, in their order; of the class or of an instance."""
    for each in fields(kind):  # type: ignore[arg-type]  # a dataclass
        if _KEY in each.metadata:
            yield each, each.metadata[_KEY]


def flags(kind: object) -> dict[str, Flag]:
    """The flags of a dataclass by the names of their fields, in the order of a help page."""
    return {each.name: about.flag for each, about in described(kind) if about.flag is not None}


def default_of(field: Field[Any]) -> Any:
    """The default of a field; ``dataclasses.MISSING`` where a value has to be given."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def from_flags(kind: type[Options], given: Mapping[str, Any]) -> Options:
    """Options from the values of flags by field; what was not given has the field's default.

    Raises:
        InputError: the texts of a repeated flag cannot be read.
        TypeError: a name is that of no flag.
    """
    known = flags(kind)
    if unknown := [name for name in given if name not in known]:
        raise TypeError(f"unexpected option '{unknown[0]}'")
    values = {name: known[name].value(value) for name, value in given.items()}
    return kind(**{name: value for name, value in values.items() if value is not None})


def to_flags(options: object) -> dict[str, Any]:
    """The values of all flags by field, in JSON's types; ``from_flags`` reads them."""
    return {name: flag.plain(getattr(options, name)) for name, flag in flags(options).items()}


def keywords(options: object, kind: object = None) -> dict[str, Any]:
    """The values of a dataclass by field, each as it is; with ``kind`` those of one of its bases alone."""
    own = fields(options if kind is None else kind)  # type: ignore[arg-type]  # a dataclass
    return {each.name: getattr(options, each.name) for each in own}


def settled(kind: type[Options], options: object, **values: Any) -> Options:
    """Options with everything settled, as a class that is derived from theirs.

    Args:
        kind: the derived class.
        options: as the user gave them.
        values: the further fields, and values in place of those of the options.
    """
    return kind(**(keywords(options) | values))


def place(options: object) -> dict[str, Any]:
    """The part of a request that fields state: each value at its place, in the order of the fields.

    What is None, or encoded as None, is left out: it has the API's own default.

    Raises:
        InputError: a value cannot be what its place asks for.
    """
    request: dict[str, Any] = {}
    for each, about in described(options):
        value = getattr(options, each.name)
        if about.wire is None or value is None:
            continue
        try:
            encoded = value if about.encode is None else about.encode(value)
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(f"{each.name}: {error}; this is {shortened(repr(value))}.") from error
        if encoded is None:
            continue
        *folders, last = about.wire.split(".")
        at = request
        for folder in folders:
            at = at.setdefault(folder, {})
        at[last] = encoded
    return request


def taken_from(kind: object, description: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a dataclass's fields that a description of the API tells, each from its place in the request.

    Lists of pairs (tags, metric definitions) stay as the API has them. What is not there, or empty, is left out.
    """
    found: dict[str, Any] = {}
    for each, about in described(kind):
        value: Any = description
        for name in about.wire.split(".") if about.wire else ():
            value = value.get(name) if isinstance(value, Mapping) else None
        if about.wire is not None and value not in (None, "", [], {}):
            found[each.name] = value
    return found


def without_option(kind: object, description: Mapping[str, Any]) -> list[str]:
    """The places in a description of the API that no field of a dataclass has, as ``RetryStrategy.X``; sorted."""
    places = {about.wire for _, about in described(kind) if about.wire is not None}
    return sorted(name for name in _leaves(description, "", places) if name not in places)


def _leaves(value: Any, at: str, places: set[str]) -> Iterator[str]:
    if isinstance(value, Mapping) and at not in places and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{at}.{name}" if at else name, places)
    elif value not in (None, "", [], {}):
        yield at


def in_order(request: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A request with some keys first, in the order of ``names``, and its others behind them as they were."""
    return {name: request[name] for name in names if name in request} | dict(request)
