"""What messages advise can be done: the options and commands that they name exist."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pages import commands

ROOT = Path(__file__).resolve().parents[1]
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]+")
# A command up to where a sentence goes on.
COMMAND = re.compile(r"(: |`|^)batchrl ([a-z]+)([^`,;.()]*)")
# Other programs' options, and a word of a usage line that stands for any.
OTHERS = {"--pid", "--key", "--version", "--agent", "--endpoint-url"}
# What the product does itself, in a sentence of its own after a colon.
DOES = {"writes"}


def messages(source: str) -> Iterator[str]:
    """The sentences of a module: its texts with a space in them, but for docstrings. Values within are an X."""
    tree = ast.parse(source)
    left_out = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            left_out |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
            yield node.value


def options_of(command: click.Command) -> set[str]:
    """All spellings of its options."""
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


def unknown(message: str, known: dict[str, click.Command], scripts: set[str]) -> list[str]:
    """What a message names that there is not: an option of no command and no script, or an unknown command."""
    options = set().union(*map(options_of, known.values())) | scripts | OTHERS
    passed_on = script_options("collect.py") if "batchrl collect " in message else set()
    wrong = [option for option in OPTION.findall(message) if option not in options | passed_on]
    for before, name, rest in COMMAND.findall(message):
        if name not in known:
            wrong += (
                [f"batchrl {name}"] if before and name not in DOES else []
            )  # else a sentence that begins with the product's name
            continue
        if known[name].context_settings.get("ignore_unknown_options"):
            continue
        named = [command for words, command in known.items() if words == name or words.startswith(f"{name} ")]
        of_it = set().union(*map(options_of, named))
        wrong += [
            f"{name} {option}" for option in OPTION.findall(rest.partition(" batchrl ")[0]) if option not in of_it
        ]
    return wrong


@functools.cache
def script_options(names: str = "*.py") -> set[str]:
    """The options of the scripts that run in jobs, which take them beside the keys of a preset."""
    found: set[str] = set()
    for path in (ROOT / "entrypoints").rglob(names):
        found |= set(re.findall(r"""["'](--[a-z][\w-]+)["']""", path.read_text()))
    return found


@pytest.mark.parametrize("folder", ["launcher", "presets", "entrypoints"])
def test_options_and_commands_that_messages_name_exist(folder: str) -> None:
    known = commands()
    scripts = script_options() if folder == "entrypoints" else set()
    wrong = [
        f"{path.relative_to(ROOT)}: {word} in {message!r}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for message in messages(path.read_text())
        if " " in message
        for word in unknown(message, known, scripts)
    ]
    assert wrong == []


def test_bad_advice_is_found() -> None:
    known = commands()
    source = '"""Doc --gone."""\nx = f"Leave {y} out: batchrl rm {y} --forse, or batchrl stop {y}"\n'
    assert [unknown(message, known, set()) for message in messages(source)] == [["--forse", "rm --forse"]]
    assert unknown("Try `batchrl dance`", known, set()) == ["batchrl dance"]
    assert unknown("Say it: batchrl pull X --force", known, set()) == ["pull --force"]
    assert unknown("batchrl learns from logs", known, set()) == []
