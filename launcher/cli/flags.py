"""The options of the command line that a dataclass of options describes, made from the flags of its fields."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import click

from launcher.api.options import Flag, default_of, flags, from_flags
from launcher.cli.options import complete_instance_types, complete_presets, complete_settings

_COMPLETIONS: Mapping[str, Callable[[click.Context, click.Parameter, str], list[Any]]] = {
    "presets": complete_presets,
    "settings": complete_settings,
    "instance types": complete_instance_types,
}


def flag_options(
    kind: type[Any], receiver: str, leave_out: tuple[str, ...] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add an option for each flag of a dataclass; the command receives them as one object.

    Args:
        kind: the dataclass.
        receiver: the command's parameter that takes the object.
        leave_out: fields whose flags the command does not have.
    """
    defaults = {each.name: default_of(each) for each in fields(kind)}
    shown = {name: flag for name, flag in flags(kind).items() if name not in leave_out}

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*arguments: Any, **values: Any) -> Any:
            given = {name: values.pop(name) for name in shown}
            return function(*arguments, **{receiver: from_flags(kind, given)}, **values)

        decorated: Callable[..., Any] = wrapped
        for name, flag in reversed(shown.items()):
            decorated = _click_option(name, flag, defaults[name])(decorated)
        return decorated

    return decorate


def _click_option(name: str, flag: Flag, default: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    settings: dict[str, Any] = {"help": flag.help, "metavar": flag.metavar, "show_default": flag.shows_default}
    if flag.kind is bool:
        settings["is_flag"] = True
    elif flag.many:
        settings["multiple"] = True
    elif default is not MISSING:
        settings["default"] = default
    if flag.minimum is not None:
        settings["type"] = click.IntRange(flag.minimum)
    elif flag.kind is Path:
        settings["type"] = click.Path(path_type=Path)
    elif flag.kind is not bool:
        settings["type"] = flag.kind
    if flag.completes is not None:
        settings["shell_complete"] = _COMPLETIONS[flag.completes]
    return click.option(flag.name, name, **settings)
