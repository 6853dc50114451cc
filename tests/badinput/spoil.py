"""Bad bytes and values, made of good ones by a seeded generator."""

from __future__ import annotations

import copy
import random
from typing import Any

# Texts that broke something somewhere: empty, half of a character, other digits, paths, marks, expressions.
TEXTS = (
    *("", " ", "\n", "\x00", "a\x00b", "\ud800", "\udfff", "\N{BYTE ORDER MARK}", "é", "\N{GRINNING FACE}", "١٢", "ſ"),
    *(".", "..", "../../etc/passwd", "/etc/passwd", "~", "a//b", "a/./b", "C:\\x", "-", "--", "-rf", "$(id)", "`id`"),
    *("x" * 300, "x" * 70_000, "nan", "NaN", "inf", "-Infinity", "1e999", "0x10", "1_000", "9" * 400, "9" * 5000),
    *(
        "[" * 2400,
        "{" * 2400,
        "[" * 100_000,
        '{"a":' * 3000,
        "(" * 3000,
        "null",
        "true",
        "[]",
        "{}",
        '""',
        "2024-02-31",
    ),
    *(
        '!!int ""',
        "!!bool x",
        "!!timestamp x",
        "&a [*a]",
        "*a",
        "? x",
        "%s%n{0}{x}",
        "<!--",
        "s3://",
        "s3://b//",
        "s3:///k",
    ),
)
NUMBERS = (
    *(0, -1, 1, 2**31, -(2**31) - 1, 2**63, 2**64, 10**400, 16**6000, 0.5, -0.0, 1e308, 5e-324),
    *(float("inf"), float("-inf"), float("nan")),
)
DEEP: list[Any] = []
for _ in range(300):
    DEEP = [DEEP]
VALUES: tuple[Any, ...] = (*TEXTS, *NUMBERS, None, True, False, [], {}, [[]], [None], {"": 1}, {"a": {"": {}}}, DEEP)
ENCODINGS = ("utf-16", "utf-32", "utf-8-sig", "utf-16-be", "cp037")


def scramble(chance: random.Random, good: bytes) -> bytes:
    """Some bytes of a good input cut, changed, doubled, inserted, or all of it in another encoding."""
    data = bytearray(good)
    for _ in range(chance.choice((1, 1, 2, 5))):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(7):
            case 0:
                del data[place:]
            case 1:
                del data[place : place + chance.choice((1, 2, 17))]
            case 2 if data:
                data[min(place, len(data) - 1)] ^= 1 << chance.randrange(8)
            case 3:
                data[place:place] = bytes(chance.randrange(256) for _ in range(chance.choice((1, 4, 40))))
            case 4:
                data[place:place] = chance.choice(TEXTS).encode("utf-8", "surrogatepass")[:5000]
            case 5:
                data[place:place] = data[place : place + 64] * chance.choice((1, 9))
            case 6:
                text = data.decode("utf-8", "ignore")
                data = bytearray(text.encode(chance.choice(ENCODINGS), "ignore"))
    return bytes(data)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to every part of a value of JSON."""
    found = [at]
    if isinstance(value, dict):
        for name, inner in value.items():
            found += paths(inner, (*at, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += paths(inner, (*at, index))
    return found


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a path; the value itself is left alone."""
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = replaced(value[path[0]], path[1:], new)
    return changed


def bent(chance: random.Random, value: Any) -> Any:
    """A value with one of its parts replaced, removed, or joined by one that nobody knows."""
    path = chance.choice(paths(value))
    match chance.randrange(4):
        case 0 if path and isinstance(at(value, path[:-1]), dict):
            parent = {name: inner for name, inner in at(value, path[:-1]).items() if name != path[-1]}
            return replaced(value, path[:-1], parent)
        case 1 if isinstance(at(value, path), dict):
            return replaced(value, path, {**at(value, path), chance.choice(TEXTS): chance.choice(VALUES)})
    return replaced(value, path, chance.choice(VALUES))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """The part of a value that lies at a path."""
    for step in path:
        value = value[step]
    return value
