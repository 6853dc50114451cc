"""Help pages, their examples, and what a mistyped name gets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module

import click
import pytest
from command_line import Ended, Run

from launcher.cli.entry import root
from launcher.cli.groups import SUMMARIES, BatchRLCommand, BatchRLGroup

NARROW = 60


def every_command() -> Iterator[tuple[str, ...]]:
    """Command lines of all commands and subcommands."""
    for name in SUMMARIES:
        command = import_module(f"launcher.cli.commands.{name}").command
        yield (name,)
        if isinstance(command, click.Group):
            yield from ((name, part) for part in command.commands)


def command_of(path: tuple[str, ...]) -> BatchRLCommand | BatchRLGroup:
    command: click.Command | None = root
    for name in path:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    assert isinstance(command, BatchRLCommand | BatchRLGroup)
    return command


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_every_command_has_examples_that_name_it_and_fit_a_narrow_terminal(path: tuple[str, ...]) -> None:
    examples = command_of(path).examples

    assert examples
    assert any(f"batchrl {' '.join(path)}" in line for line in examples)
    assert max(map(len, examples)) <= NARROW - 2


@pytest.mark.parametrize("path", [path for path in every_command() if path != ("collect",)], ids=" ".join)
def test_help_ends_well_and_fits_a_narrow_terminal(
    path: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(NARROW))

    ended = run(*path, "--help")

    assert ended.code == 0
    assert "Examples:" in ended.out
    assert max(map(len, ended.out.splitlines())) <= NARROW


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_every_option_has_a_help_text(path: tuple[str, ...]) -> None:
    for parameter in command_of(path).params:
        assert not isinstance(parameter, click.Option) or parameter.help, parameter.name


def test_every_option_in_an_example_exists() -> None:
    for path in every_command():
        command = command_of(path)
        if path == ("collect",):
            continue
        known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
        if isinstance(command, click.Group):
            continue
        own = " ".join(example for example in command.examples if example.startswith("batchrl "))
        used = set(re.findall(r"(?<=\s)--?[a-z][\w-]*", own))
        assert used <= known, path


def test_the_overview_lists_every_command_and_imports_none(in_shell: Run) -> None:
    ended = in_shell("--help")

    assert ended.code == 0
    for name, summary in SUMMARIES.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", ended.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("trian",), "'train'"),
        (("preset",), "'presets'"),
        (("presets", "shwo"), "'show'"),
        (("presets", "list", "--jsn"), "'--json'"),
        (("--versoin",), "'--version'"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_nearest(arguments: tuple[str, ...], said: str, run: Run) -> None:
    ended = run(*arguments)

    assert ended.code == 2
    assert "Did you mean" in ended.err
    assert said in ended.err
    assert "--help" in ended.err
    assert not ended.out


def test_no_command_at_all_shows_the_help_and_is_wrong_input(run: Run) -> None:
    ended = run()

    assert ended.code == 2
    assert "Usage: batchrl" in ended.err


def test_the_version_is_printed(run: Run) -> None:
    from importlib.metadata import version

    assert run("--version") == Ended(0, f"batchrl {version('batchrl')}\n", "")
