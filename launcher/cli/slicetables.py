"""Support of actions in slices of the state, as a table and a warning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from launcher.cli.output import Column, table

THIN = (
    Column("slice", "SLICE"),
    Column("action", "ACTION"),
    Column("rows", "ROWS", right=True),
    Column("episodes", "EPISODES", right=True),
    Column("taken", "TAKEN", right=True),
    Column("share", "SHARE", right=True),
    Column("share_of_all", "SHARE OF ALL", right=True),
)
OF_SLICE = (
    Column("action", "ACTION"),
    Column("taken", "TAKEN", right=True),
    Column("share", "SHARE", right=True),
    Column("share_of_all", "SHARE OF ALL", right=True),
    Column("smallest_taken", "SMALLEST OF THE TAKEN", right=True),
    Column("effective", "EFFECTIVE", right=True),
    Column("thin", "THIN"),
)
# More thin ones are counted, and all are in the JSON.
MOST_SHOWN = 20
NAMED = 3


def slice_tables(slices: Mapping[str, Any], with_all: bool, width: int) -> Iterator[str]:
    """Lines, an empty one before each table; none where no action is thin in any slice and not all are wanted.

    Args:
        slices: as ``batchrl.data.slices.Slices`` in JSON's types.
        with_all: whether to show every action in every slice, and not those alone that are thin there.
        width: of the terminal.
    """
    if with_all:
        for part in slices["found"]:
            yield ""
            yield f"{_name(part)}: {part['rows']} rows of {part['episodes']} episodes"
            yield from (f"  {line}" for line in table(part["support"], OF_SLICE, width - 2))
        return
    rows = _thin(slices)
    if not rows:
        return
    yield ""
    yield from table(rows[:MOST_SHOWN], THIN, width)
    if hidden := len(rows[MOST_SHOWN:]):
        yield f"{hidden} more: --slices shows all"


def slice_warning(slices: Mapping[str, Any]) -> str | None:
    """What is thin, in words; None where nothing is.

    Args:
        slices: as ``slice_tables`` has them.
    """
    thin = _thin(slices)
    if not thin:
        return None
    places = [f"{row['action']} {row['thin']} where {row['slice']}" for row in thin[:NAMED]]
    rest = f" and {len(thin) - NAMED} more" if len(thin) > NAMED else ""
    return (
        f"actions that are taken elsewhere are missing in slices of the state: {', '.join(places)}{rest}. "
        "Values of an action there rest on extrapolation. Where it cannot be taken there, say so by a column of "
        "eligible actions (data.columns.eligible)."
    )


def _thin(slices: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Actions that are thin, each with its slice."""
    return [
        {"slice": _name(part), "rows": part["rows"], "episodes": part["episodes"], **action}
        for part in slices["found"]
        for action in part["support"]
        if action["thin"]
    ]


def _name(part: Mapping[str, Any]) -> str:
    return f"{part['column']} = {part['values']}"
