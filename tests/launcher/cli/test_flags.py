"""The options of commands that are made from the fields of a dataclass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from launcher.api.joboptions import JobOptions
from launcher.api.options import Flag, flags, option
from launcher.cli.flags import flag_options
from launcher.cli.modeloptions import ServingOptions

DESCRIBED_BY: dict[str, type[Any]] = {
    **dict.fromkeys(("train", "plan", "evaluate", "iterate"), JobOptions),
    **dict.fromkeys(("transform", "deploy"), ServingOptions),
}
WITHOUT = {"evaluate": {"entry_point"}, "iterate": {"entry_point"}}
SHOWN = [
    (command, name, flag)
    for command, kind in DESCRIBED_BY.items()
    for name, flag in flags(kind).items()
    if name not in WITHOUT.get(command, set())
]


def command_of(name: str) -> click.Command:
    command: click.Command = import_module(f"launcher.cli.commands.{name}").command
    return command


@pytest.mark.parametrize(("command", "name", "flag"), SHOWN, ids=[f"{each[0]} {each[2].name}" for each in SHOWN])
def test_an_option_with_a_flag_is_on_the_command_line_with_its_help(command: str, name: str, flag: Flag) -> None:
    (found,) = [each for each in command_of(command).params if each.name == name]
    assert isinstance(found, click.Option)
    assert (found.opts, found.help, found.metavar, found.multiple) == ([flag.name], flag.help, flag.metavar, flag.many)
    assert found.is_flag == (flag.kind is bool)


@pytest.mark.parametrize("command", WITHOUT)
def test_a_command_whose_script_is_fixed_does_not_ask_for_it(command: str) -> None:
    assert "entry_point" not in {each.name for each in command_of(command).params}


@dataclass(frozen=True, kw_only=True)
class Tea(JobOptions):
    """Options with one more."""

    sugar: int = field(default=2, metadata=option("lumps", Flag("--sugar", "Lumps.", kind=int, minimum=0)))


def received(*arguments: str, leave_out: tuple[str, ...] = ()) -> tuple[int, str, list[Tea]]:
    """What a command with these options receives: its exit code, its output and the options."""
    found: list[Tea] = []

    def remember(tea: Tea) -> None:
        found.append(tea)

    decorate: Callable[[Callable[..., Any]], Callable[..., Any]] = flag_options(Tea, "tea", leave_out)
    ended = CliRunner().invoke(click.command()(decorate(remember)), arguments, terminal_width=200)
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended.exit_code, ended.output, found


def test_a_new_field_is_on_the_command_line() -> None:
    assert received() == (0, "", [Tea()])
    assert received("--sugar", "3")[2] == [Tea(sugar=3)]
    code, said, _ = received("--help")
    assert code == 0 and "--sugar INTEGER RANGE" in said and "Lumps." in said
    assert received("--sugar", "-1")[0] == 2
    assert received("--sugar", "3", leave_out=("sugar",))[0] == 2


def test_what_is_typed_becomes_the_fields_values() -> None:
    texts = ["--set", "agent.discount=0.98", "--env", "A=b", "--dependency", "a.py", "--dependency", "b", "--spot"]
    _, _, (options,) = received(*texts, "--source-dir", "src", "--image", "x:1", "--max-wait", "90000")
    assert options == Tea(
        hyperparameters={"agent.discount": "0.98"},
        environment={"A": "b"},
        dependencies=(Path("a.py"), Path("b")),
        use_spot_instances=True,
        source_dir=Path("src"),
        image_uri="x:1",
        max_wait=90000,
    )


def test_names_of_presets_are_offered() -> None:
    (preset,) = [each for each in command_of("train").params if each.name == "preset"]
    offered = [item.value for item in preset.shell_complete(click.Context(command_of("train")), "cartpole-ddqn")]
    assert "cartpole-ddqn-bcq" in offered
