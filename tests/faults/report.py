"""The table of kinds, counts and findings, as ``docs/faults.md`` holds it; nobody writes it by hand."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from faults.findings import CATEGORIES
from faults.registry import GROUPS, Kind
from faults.runner import Result

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
INTRODUCTION = """\
# Faults

Small real jobs are disturbed at random moments that a seed chose, and judged by what became of them. After each fault:

- the status and its reason say what happened, in the records and in the API, and every job comes to an end;
- the last checkpoint that was announced (`latest.json`, `best.json`) is in the store and has the sha256 named there;
- a job that failed goes on from its checkpoints, no earlier than the last that was announced, and ends with the same
  weights, optimiser, random streams, csv (but for its columns of time) and model as one that nothing disturbed;
- nothing is left behind: no process, container, network, socket, temporary file or folder of a published job.

The tables are made by the harness, not by hand: `{command}`, on {machine}.

A row counts the faults of a kind that were made, those of them that came after the job had ended, and those that found
something:

{categories}
"""


def summary(results: Sequence[Result], seconds: float) -> str:
    """The last lines of a run."""
    made = [result for result in results if not result.lack]
    bad = [result for result in made if result.found]
    late = sum(result.too_late for result in made)
    lines = [
        f"{len(made)} faults in {seconds:.0f} s: {len(made) - len(bad)} held ({late} came too late), "
        f"{len(bad)} found something, {len(results) - len(made)} could not be made here"
    ]
    lines += [f"  {result.planned.kind}: {result.planned.command()}" for result in bad]
    return "\n".join(lines)


def document(results: Sequence[Result], kinds: Mapping[str, Kind], seed: int) -> str:
    """The whole page."""
    made = [result for result in results if not result.lack]
    categories = ";\n".join(f"- *{name}*: {meaning}" for name, meaning in CATEGORIES.items()) + "."
    command = f'make faults ARGS="--seed {seed} --count {len(results)} --report docs/faults.md"'
    parts = [INTRODUCTION.format(command=command, machine=_machine(), categories=categories)]
    parts.append(
        f"In all: {len(made)} faults, {sum(result.too_late for result in made)} too late, "
        f"{sum(bool(result.found) for result in made)} with findings.\n"
    )
    for group, title in GROUPS.items():
        rows = [_row(kind, results) for kind in kinds.values() if kind.group == group]
        if rows:
            head = ("kind", "what is done", "faults", "too late", *CATEGORIES)
            lines = [_line(head), _line(["---"] * 2 + ["--:"] * (len(head) - 2)), *map(_line, rows)]
            parts.append("\n".join([f"## {title}", "", *lines, ""]))
    if bad := [result for result in made if result.found]:
        lines = ["## What was found", ""]
        for result in bad:
            what = ", ".join(sorted({category for category, _ in result.found}))
            lines.append(f"- `{result.planned.kind}` ({what}). Again: `{result.planned.command()}`")
        parts.append("\n".join([*lines, ""]))
    return "\n".join(parts)


def kinds_in(text: str) -> list[str]:
    """Names of the kinds that a page has rows for, in its order."""
    rows = (line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| `"))
    return [name.strip("`") for name in rows]


def _row(kind: Kind, results: Sequence[Result]) -> list[str]:
    own = [result for result in results if result.planned.kind == kind.name]
    made = [result for result in own if not result.lack]
    count = str(len(made)) if made or not own else "none: its service was missing"
    found = [sum(any(category == name for category, _ in result.found) for result in made) for name in CATEGORIES]
    return [f"`{kind.name}`", kind.what, count, str(sum(one.too_late for one in made)), *map(str, found)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _machine() -> str:
    return f"{os.cpu_count()} cores, Linux"
