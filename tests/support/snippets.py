"""Snippets of a page: what readers are told to type, what they are shown, and whether the two agree.

A block without a language is commands, ``python`` is a program, ``text`` is what the commands before it print; other
languages are data. An HTML comment on the lines before a block says what is not as it looks::

    <!-- not run: it needs an AWS account -->
    <!-- near: training differs in the last digits from one processor to another -->
    <!-- before: lines that run first, in the language of the block -->
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

COMMANDS, PYTHON, OUTPUT = ("", "sh", "bash", "console"), "python", "text"
DATA = ("csv", "json", "yaml")
NOT_RUN, NEAR, BEFORE = "not run", "near", "before"
BLOCK = re.compile(r"((?:^<!-- .*?-->\n)*)^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(rf"<!-- ({NOT_RUN}|{NEAR}|{BEFORE}): ?(.*?) ?-->", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
# What differs from run to run: stamps of names, times of day, durations, and where folders of tests lie.
VARYING = (
    (re.compile(r"-\d{8}-\d{6}-[0-9a-f]{6}"), "-STAMP"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"\b\d+ min(?: \d+ s)?|\b\d+(?:\.\d+)? s\b"), "DURATION"),
    (re.compile(r"/tmp/\S+"), "PATH"),
)
# Near: by so much of the number, and so much beside it.
SHARE, BESIDE = 0.1, 0.6


@dataclass(frozen=True)
class Snippet:
    """One block of a page.

    Args:
        line: of the page, where the block begins.
        language: as the page says it.
        text: of the block.
        marks: what comments before it say, by their kind.
    """

    line: int
    language: str
    text: str
    marks: dict[str, str]

    @property
    def before(self) -> str:
        """What runs first."""
        return self.marks.get(BEFORE, "")


def snippets(page: str) -> Iterator[Snippet]:
    """The blocks of a page, in their order.

    Raises:
        ValueError: a language that says nothing of what a block is, or a mark without a reason.
    """
    for found in BLOCK.finditer(page):
        comments, language, text = found.groups()
        line = page[: found.start(2)].count("\n") + 1
        marks = {kind: said.strip("\n") for kind, said in COMMENT.findall(comments)}
        if language not in (*COMMANDS, PYTHON, OUTPUT, *DATA):
            raise ValueError(f"line {line}: is a block of '{language}' commands, output or data?")
        if any(len(marks[kind].split()) < 3 for kind in (NOT_RUN, NEAR) if kind in marks):
            raise ValueError(f"line {line}: a mark says why, in words")
        yield Snippet(line, language, text, marks)


def differs(shown: str, said: str, near: bool) -> str | None:
    """The first line of what a page shows that was not said, in this order; None where all were.

    Args:
        shown: by the page.
        said: by the commands.
        near: whether numbers need only be near; texts around them are the same.
    """
    lines = iter(said.splitlines())
    for line in filter(str.strip, shown.splitlines()):
        if not any(_same(line, other, near) for other in lines):
            return line
    return None


def _same(shown: str, said: str, near: bool) -> bool:
    shown, said = _settled(shown), _settled(said)
    if not near:
        return shown == said
    if NUMBER.sub("#", shown) != NUMBER.sub("#", said):
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(said), strict=True)
    return all(_is_near(*(float(number.replace(",", "")) for number in pair)) for pair in pairs)


def _is_near(shown: float, said: float) -> bool:
    return abs(shown - said) <= SHARE * abs(shown) + BESIDE


def _settled(line: str) -> str:
    for pattern, word in VARYING:
        line = pattern.sub(word, line)
    return " ".join(line.split())


def checked(program: str) -> str:
    """A program whose comments are asserted: ``f(1)  # 7.21`` and ``print(x)  # [0]`` say what the value is.

    A comment behind an expression that begins with a number, a list or a text in quotes is its value, a number to the
    digits that are shown; other comments are words.
    """
    tree = ast.parse(program)
    lines = program.splitlines()
    for statement in reversed(tree.body):
        end = statement.end_lineno or statement.lineno
        comment = lines[end - 1][statement.end_col_offset :].partition("#")[2].strip()
        shown = re.match(r"-?\d+(?:\.\d+)?|\[.*?\]|'.*?'|\".*?\"|\{.*?\}", comment)
        if isinstance(statement, ast.Expr) and shown is not None:
            source = ast.get_source_segment(program, statement)
            lines[statement.lineno - 1 : end] = [f"_shows({source}, {shown[0]!r})"]
    return ASSERTING + "\n".join(lines) + "\n"


ASSERTING = """
def _shows(value, shown):
    import ast
    expected = ast.literal_eval(shown)
    value = value.tolist() if hasattr(value, "tolist") else value
    digits = len(shown.partition(".")[2]) if isinstance(expected, float) else None
    found = round(value, digits) if digits is not None else value
    assert found == expected, f"the page shows {shown}, and it is {value!r}"

"""
