"""How logged data is described on a command line: the options that train, data, ope and compare share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

DATA_SPEC = click.option(
    "--data-spec",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file that describes DATA; `batchrl data init` proposes one.",
)
MAP = click.option(
    "--map",
    "mapping",
    metavar="NAME=COLUMN,...",
    help="What DATA calls its columns, as episode=user_id,reward=margin; action=action_* where each action has one.",
)
STATE_COLUMNS = click.option("--state-columns", metavar="A,B", help="Columns of the state, in their order.")


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command receives what they say as ``described``, overrides of a preset."""

    @functools.wraps(command)
    def wrapped(
        *arguments: Any, data_spec: Path | None, mapping: str | None, state_columns: str | None, **values: Any
    ) -> Any:
        described: Mapping[str, str] = {}
        if (data_spec, mapping, state_columns) != (None, None, None):
            from presets.dataspec import overrides_of

            described = overrides_of(data_spec, mapping, state_columns)
        return command(*arguments, described=described, **values)

    decorated: Callable[..., Any] = wrapped
    for option in (STATE_COLUMNS, MAP, DATA_SPEC):
        decorated = option(decorated)
    return decorated
