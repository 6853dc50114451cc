"""``batchrl presets list|show|check``."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from launcher.base.pairs import parse_settings
from launcher.cli.groups import make_group
from launcher.cli.options import complete_presets, output_options, set_option
from launcher.cli.output import Column, Output

if TYPE_CHECKING:
    from presets import Preset, Setting

COLUMNS = (Column("name", "PRESET"), Column("summary", "WHAT IT IS"))

preset_argument = click.argument("preset", shell_complete=complete_presets)


@make_group("presets", examples=("batchrl presets list", "batchrl presets show cartpole-ddqn-bcq"))
def command() -> None:
    """Settings of training and evaluation, by name.

    Wherever a preset's name stands, the path of a YAML file of your own may stand as well.
    """


@command.command("list", examples=("batchrl presets list --json",))
@output_options
def list_presets(out: Output) -> None:
    """List the presets that come with batchrl."""
    import presets

    aliases: dict[str, list[str]] = {name: [] for name in presets.names()}
    for alias, name in presets.ALIASES.items():
        aliases[name].append(alias)
    rows = [
        {"name": name, "kind": _kind(presets.load(name)), "aliases": known, "summary": presets.summary(name)}
        for name, known in aliases.items()
    ]
    out.rows(rows, COLUMNS, "There are no presets.")
    if out.for_people:
        out.text()
        out.text("Also known:")
        for alias, name in presets.ALIASES.items():
            out.text(f"  {alias} is {name}")


@command.command(
    "show",
    examples=(
        "batchrl presets show cartpole-ddqn-bcq > my.yaml",
        "batchrl presets show cartpole-ddqn-bcq --describe",
        "batchrl presets show my.yaml --set agent.discount=0.98",
    ),
)
@preset_argument
@set_option
@click.option("--describe", is_flag=True, help="Say what each key means, and what it may be.")
@output_options
def show(preset: str, settings: tuple[str, ...], describe: bool, out: Output) -> None:
    """Print a preset with every key that it has, as YAML."""
    import presets

    resolved = presets.resolve(preset, parse_settings(settings))
    values = json.loads(resolved.to_json())
    if describe:
        _describe(presets.describe(resolved), out)
    elif out.for_people:
        out.text(_yaml(values))
    else:
        out.record(values, "name")


def _describe(settings: Sequence[Setting], out: Output) -> None:
    if not out.for_people:
        out.rows([asdict(setting) for setting in settings], (Column("key", "KEY"),), "")
        return
    for setting in settings:
        out.text(f"{setting.key} = {json.dumps(setting.value)}    ({setting.type})")
        out.text(textwrap.fill(setting.description, 56, initial_indent="    ", subsequent_indent="    "))


@command.command("check", examples=("batchrl presets check my.yaml", "batchrl presets check my.yaml --set epochs=10"))
@preset_argument
@set_option
@output_options
def check(preset: str, settings: tuple[str, ...], out: Output) -> None:
    """Say whether a preset, with its overrides, is a right one; exit 2 where it is not."""
    import presets

    resolved = presets.resolve(preset, parse_settings(settings))
    if out.for_people:
        out.text(f"ok: {preset} is a valid preset of kind {_kind(resolved)}.")
    else:
        out.record({"name": resolved.name, "kind": _kind(resolved), "valid": True}, "name")


def _yaml(values: dict[str, Any]) -> str:
    """YAML with a key a line and lists on one, as a person would write a preset."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    Dumper.add_representer(
        list, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
    )
    return yaml.dump(values, Dumper=Dumper, sort_keys=False, default_flow_style=False).rstrip()


def _kind(preset: Preset) -> str:
    return str(json.loads(preset.to_json())["kind"])
