"""What several logging policies did, as tables: the figures of each, and the shares of its actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from launcher.cli.output import Column, table

LOGGERS = (
    Column("logger", "LOGGER"),
    Column("episodes", "EPISODES", right=True),
    Column("transitions", "TRANSITIONS", right=True),
    Column("mean_propensity", "MEAN PROPENSITY", right=True),
    Column("mean_return", "MEAN RETURN", right=True),
    Column("standard_error", "S.E.", right=True),
)
# Of more loggers the shares of actions are in the JSON alone.
MOST_SHOWN = 6


def logger_tables(loggers: Sequence[Mapping[str, Any]], width: int) -> Iterator[str]:
    """Lines, an empty one before each table; none where no column names the loggers.

    Args:
        loggers: as ``batchrl.data.loggers.LoggerFigures`` in JSON's types.
        width: of the terminal.
    """
    if not loggers:
        return
    yield ""
    yield from table(loggers, LOGGERS, width)
    shown = sorted(loggers, key=lambda each: -each["episodes"])[:MOST_SHOWN]
    titles = [Column(f"share {number}", f"SHARE BY {each['logger']}", right=True) for number, each in enumerate(shown)]
    rows = [
        {"action": action, **{f"share {number}": each["shares"][action] for number, each in enumerate(shown)}}
        for action in shown[0]["shares"]
    ]
    yield ""
    yield from table(rows, (Column("action", "ACTION"), *titles), width)
    if hidden := len(loggers) - len(shown):
        yield f"Shares of {hidden} more loggers, of fewer episodes: --json"
