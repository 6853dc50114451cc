"""What a document holds: sections of blocks, each of them plain text and numbers.

Nothing here knows how it will be shown: texts are as they came, also those of logs and jobs, and each renderer makes
them harmless for its own format. Figures are data, so that every format has the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# What a sentence is for its reader: nothing special, good news, a reason to doubt, bad news.
Tone = Literal["plain", "good", "doubt", "bad"]


@dataclass(frozen=True)
class Paragraph:
    """A sentence or a few."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Fact:
    """A label with what it names, and what has to be known beside it."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Facts:
    """A list of facts."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and whether it holds numbers."""

    title: str
    right: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under headings.

    Args:
        title: what it shows.
        columns: its headings.
        rows: as many cells as there are columns.
        note: what its reader has to know.
        marked: positions of rows that stand out.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    marked: tuple[int, ...] = ()


@dataclass(frozen=True)
class Bar:
    """One figure with its interval.

    Args:
        label: what it is of.
        shown: the figure and its interval as people read them.
        value: None where it is undefined.
        lower, upper: ends of the interval; None where there is none on that side.
        reliable: whether nothing speaks against it.
        note: what does.
    """

    label: str
    shown: str
    value: float | None
    lower: float | None
    upper: float | None
    reliable: bool = True
    note: str = ""


@dataclass(frozen=True)
class Intervals:
    """Figures with their intervals on one axis.

    Args:
        title: what they are.
        axis: what the axis measures.
        bars: one below the other.
        reference: the value that they are compared with; None for none.
        reference_label: what that is.
    """

    title: str
    axis: str
    bars: tuple[Bar, ...]
    reference: float | None = None
    reference_label: str = ""


@dataclass(frozen=True)
class Point:
    """One point of a curve; ``faint`` where its value is not to be relied on, a value of None leaves a gap."""

    x: float
    value: float | None
    lower: float | None = None
    upper: float | None = None
    faint: bool = False


@dataclass(frozen=True)
class Curve:
    """A figure along whole numbers, such as epochs, with its intervals.

    Args:
        title: what it is.
        axis, x_axis: what the axes measure.
        points: in order.
        marked: the x that is pointed out; None for none.
        marked_label: what it is.
        reference: a value drawn as a line across; None for none.
        note: what the reader has to know.
    """

    title: str
    axis: str
    x_axis: str
    points: tuple[Point, ...]
    marked: float | None = None
    marked_label: str = ""
    reference: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Share:
    """One part of a whole: from 0 to 1."""

    label: str
    share: float
    shown: str


@dataclass(frozen=True)
class Shares:
    """Parts of a whole."""

    title: str
    shares: tuple[Share, ...]
    note: str = ""


@dataclass(frozen=True)
class Command:
    """Lines for a shell."""

    text: str


@dataclass(frozen=True)
class Picture:
    """A picture that was drawn elsewhere.

    Args:
        title: what it shows; it stands in for it where it cannot be seen.
        media_type: such as ``image/png``.
        content: in base64.
    """

    title: str
    media_type: str
    content: str


Block = Paragraph | Facts | Table | Intervals | Curve | Shares | Command | Picture


@dataclass(frozen=True)
class Section:
    """One question and what is known of it.

    Args:
        name: a word that addresses it: letters and hyphens alone.
        title: for people.
        blocks: what it says, in order.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A whole document.

    Args:
        title: what it is about.
        subtitle: what that is, in a line.
        verdict: what it comes to.
        figures: the few that matter most.
        sections: the rest, in order.
        card: fields of a model card as Hugging Face's metadata has them; empty where no model is described.
    """

    title: str
    subtitle: str
    verdict: Paragraph
    figures: tuple[Fact, ...]
    sections: tuple[Section, ...]
    card: Mapping[str, Any] = field(default_factory=dict)
