r"""A document as Markdown (GitHub's), with the metadata of a model card before it where it describes a model.

Texts may come from anybody: every character that Markdown or HTML could take for an order is escaped, and a text never
leaves its line. Fields of the metadata are JSON, which is YAML as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from batchrl.contract.interval import UNDEFINED
from launcher.base.terminal import visible
from launcher.documents.model import (
    Block,
    Command,
    Curve,
    Document,
    Facts,
    Intervals,
    Paragraph,
    Picture,
    Shares,
    Table,
    Tone,
)

SIGNS: dict[Tone, str] = {"plain": "", "good": "", "doubt": "**Doubt:** ", "bad": "**Problem:** "}
_ORDERS = re.compile(r"([\\`*_{}\[\]<>#|~&$@])")
# What begins a list, or underlines a heading, where a line begins with it; and addresses that become links.
_BEGINS = re.compile(r"^(\d*)([-+=.)])(?=[-=]*$|\s)")
_LINK = re.compile(r"(?<=[A-Za-z0-9])(:)(?=//)|(?<=www)(\.)", re.IGNORECASE)


def render(document: Document) -> str:
    """The file."""
    return "\n".join(_lines(document)).rstrip("\n") + "\n"


def escaped(text: str) -> str:
    """A text as Markdown that shows just that."""
    line = " ".join(visible(text).split())
    line = _ORDERS.sub(r"\\\1", line)
    line = _LINK.sub(lambda found: f"\\{found[0]}", line)
    return _BEGINS.sub(r"\1\\\2", line)


def _lines(document: Document) -> Iterator[str]:
    if document.card:
        yield "---"
        yield from (f"{name}: {json.dumps(value)}" for name, value in document.card.items())
        yield from ("---", "")
    yield from (f"# {escaped(document.title)}", "", escaped(document.subtitle), "")
    yield from (f"> {SIGNS[document.verdict.tone]}{escaped(document.verdict.text)}", "")
    yield from _facts(Facts(document.figures))
    for section in document.sections:
        yield from (f"## {escaped(section.title)}", "")
        for block in section.blocks:
            yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(text, tone):
            yield from (SIGNS[tone] + escaped(text), "")
        case Facts():
            yield from _facts(block)
        case Table():
            rows = [
                [f"**{escaped(cell)}**" if at in block.marked and cell else escaped(cell) for cell in row]
                for at, row in enumerate(block.rows)
            ]
            yield from _table(block.title, [(one.title, one.right) for one in block.columns], rows, block.note)
        case Intervals():
            rows = [[escaped(one.label), escaped(one.shown), escaped(one.note)] for one in block.bars]
            if block.reference is not None:
                rows.append([escaped(block.reference_label), f"{block.reference:.4g}", ""])
            yield from _table(block.title, [("", False), (block.axis, True), ("Doubt", False)], rows, "")
        case Curve():
            yield from _curve(block)
        case Shares():
            rows = [[escaped(one.label), escaped(one.shown)] for one in block.shares]
            yield from _table(block.title, [("", False), ("Share", True)], rows, block.note)
        case Command(text):
            # A text cannot end its own fence: the fence is longer than any run of its marks.
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            yield from (fence, visible(text), fence, "")
        case Picture():
            yield from (f"*{escaped(block.title)}: see the HTML form.*", "")


def _facts(block: Facts) -> Iterator[str]:
    for fact in block.facts:
        note = f" ({escaped(fact.note)})" if fact.note else ""
        yield f"- {escaped(fact.label)}: **{escaped(fact.value) or UNDEFINED}**{note}"
    yield ""


def _curve(block: Curve) -> Iterator[str]:
    rows = []
    for point in block.points:
        ends = [UNDEFINED if end is None else f"{end:.4g}" for end in (point.value, point.lower, point.upper)]
        marked = escaped(block.marked_label) if point.x == block.marked else ""
        rows.append([f"{point.x:g}", *ends, "yes" if point.faint else "", marked])
    heads = [(block.x_axis, True), (block.axis, True), ("From", True), ("To", True), ("Doubtful", False), ("", False)]
    yield from _table(block.title, heads, rows, block.note)


def _table(title: str, heads: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]], note: str) -> Iterator[str]:
    if title:
        yield from (f"**{escaped(title)}**", "")
    yield f"| {' | '.join(escaped(head) for head, _ in heads)} |"
    yield f"|{'|'.join('---:' if right else '---' for _, right in heads)}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""
    if note:
        yield from (escaped(note), "")
