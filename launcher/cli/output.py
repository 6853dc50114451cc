"""What a command says, in three forms: for people, as JSON, or as names alone.

Results go to stdout, progress and remarks to stderr, so that stdout can be piped in every form.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import click

from launcher.base.terminal import visible, visible_json
from launcher.base.units import duration, size

UNLIMITED_WIDTH = 10_000
COLUMN_GAP = "  "
PLAIN_PROGRESS_SECONDS = 5.0
# Stands for a blank at which a line must not be broken; textwrap takes it for a letter.
_HELD = "\x01"


class Form(Enum):
    """How results are written."""

    HUMAN = "human"
    JSON = "json"
    QUIET = "quiet"


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        key: the field of the row that it shows.
        title: its heading.
        right: whether its values are aligned to the right.
    """

    key: str
    title: str
    right: bool = False


class Advance(Protocol):
    """Reports progress: ``advance(done, text)`` with the amount that is done by now, and what is going on."""

    def __call__(self, done: float, text: str = "") -> None: ...


@dataclass(frozen=True)
class Output:
    """Writes results in one form.

    Args:
        form: for people, JSON, or names alone.
    """

    form: Form = Form.HUMAN

    @property
    def for_people(self) -> bool:
        """Whether people read the output: neither JSON nor bare names were asked for."""
        return self.form is Form.HUMAN

    def text(self, line: str = "") -> None:
        """A line for people on stdout; nothing in the other forms."""
        if self.for_people:
            echo(line)

    def note(self, line: str) -> None:
        """A remark on stderr, for people and beside JSON; nothing when quiet."""
        if self.form is not Form.QUIET:
            echo(line, err=True)

    def rows(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], empty: str) -> None:
        """A table; as JSON the whole rows, quiet the first column.

        Args:
            rows: may hold more fields than ``columns`` show.
            columns: what people see; the first one is the row's name.
            empty: what people read instead of an empty table.
        """
        if self.form is Form.JSON:
            self.json(rows)
        elif self.form is Form.QUIET:
            for row in rows:
                echo(shown(row[columns[0].key]))
        elif not rows:
            self.note(empty)
        else:
            for line in table(rows, columns, stdout_width()):
                echo(line)

    def record(self, record: Mapping[str, Any], name: str, lines: Mapping[str, Any] | None = None) -> None:
        """One thing with its fields; as JSON the whole of it, quiet its name.

        Args:
            record: every field.
            name: key of the field that names the thing.
            lines: what people see, label to value; by default the fields themselves.
        """
        if self.form is Form.JSON:
            self.json(record)
        elif self.form is Form.QUIET:
            echo(shown(record[name]))
        else:
            for line in fields(record if lines is None else lines, stdout_width()):
                echo(line)

    def json(self, value: Any) -> None:
        """JSON on stdout, whatever the form."""
        click.echo(visible_json(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)))

    @contextmanager
    def byte_progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """``progress`` for bytes; what it yields takes the size of each part, from any thread."""
        lock = threading.Lock()
        done = 0
        with self.progress(what, total) as advance:

            def on_bytes(count: int) -> None:
                nonlocal done
                with lock:
                    done += count
                    # A part that was sent twice counts twice; the bar ends at its end all the same.
                    advance(min(done, total), size(done))

            yield on_bytes

    @contextmanager
    def progress(self, what: str, total: float) -> Iterator[Advance]:
        """A bar on stderr where that is a terminal, a line every few seconds where not, nothing when quiet."""
        if self.form is Form.QUIET:
            yield lambda done, text="": None
        elif sys.stderr.isatty():
            with _bar(what, total) as advance:
                yield advance
        else:
            yield _plain_progress(what, total)


def echo(text: str = "", err: bool = False) -> None:
    """Print text that may have come from outside: a terminal takes no orders from it."""
    click.echo(visible(text), err=err)


@contextmanager
def _bar(what: str, total: float) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    parts = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TextColumn("{task.percentage:3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*parts, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total, text="")
        yield lambda done, text="": progress.update(task, completed=done, text=text)


def _plain_progress(what: str, total: float) -> Advance:
    last = time.monotonic()  # work that is done before the first line is due says nothing

    def advance(done: float, text: str = "") -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_PROGRESS_SECONDS:
            last = time.monotonic()
            percent = 100 * done / total if total else 100
            click.echo(f"{what}: {percent:.0f}% {text}".rstrip(), err=True)

    return advance


def stdout_width() -> int:
    """Columns of the terminal; without limit where stdout is none, unless ``COLUMNS`` says so."""
    fallback = 80 if sys.stdout.isatty() else UNLIMITED_WIDTH
    return shutil.get_terminal_size((fallback, 24)).columns


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], width: int) -> Iterator[str]:
    """Lines of a table; where it is wider than the terminal, each row becomes a name with an indented line below."""
    cells = [[shown(row.get(column.key)) for column in columns] for row in rows]
    widths = [max(len(column.title), *(len(line[at]) for line in cells)) for at, column in enumerate(columns)]
    if sum(widths) + len(COLUMN_GAP) * (len(widths) - 1) <= width:
        for line in ([column.title for column in columns], *cells):
            padded = (
                cell.rjust(size) if column.right else cell.ljust(size)
                for cell, size, column in zip(line, widths, columns, strict=True)
            )
            yield COLUMN_GAP.join(padded).rstrip()
        return
    for line in cells:
        yield line[0]
        facts = [f"{column.title.lower()} {cell}" for column, cell in zip(columns[1:], line[1:], strict=True) if cell]
        yield from _wrap(", ".join(unbroken(fact) for fact in facts), "  ", width)


def unbroken(text: str) -> str:
    """A text that ``fields`` breaks at none of its blanks."""
    return text.replace(" ", _HELD)


def fields(record: Mapping[str, Any], width: int) -> Iterator[str]:
    """``label  value`` lines; a value that does not fit stands on lines of its own, never cut."""
    label_width = max((len(label) for label in record), default=0)
    for label, value in record.items():
        text = shown(value)
        indent = " " * (label_width + len(COLUMN_GAP))
        head = f"{label.ljust(label_width)}{COLUMN_GAP}"
        if "\n" in text:
            yield label
            yield from (f"  {line}" for line in text.splitlines())
        elif len(head) + len(text) <= width or " " not in text:
            line = f"{head}{text}".rstrip() if len(head) + len(text) <= width else f"{label}\n  {text}"
            yield line.replace(_HELD, " ")
        else:
            first, *rest = _wrap(text, indent, width)
            yield head + first[len(indent) :]
            yield from rest


def _wrap(text: str, indent: str, width: int) -> list[str]:
    room = max(width, len(indent) + 20)
    lines = textwrap.wrap(
        text, room, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace(_HELD, " ") for line in lines] or [indent]


def shown(value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
    if isinstance(value, timedelta):
        return duration(value.total_seconds())
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {shown(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return "\n".join(shown(item) for item in value)
    return str(value)


def plain(value: Any) -> Any:
    """A value as JSON knows it: times in ISO 8601, paths and the like as text, NaN and infinities as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Path | Enum):
        return str(value) if isinstance(value, Path) else plain(value.value)
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)
