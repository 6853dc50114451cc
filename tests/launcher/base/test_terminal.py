"""A terminal takes no orders from logs, names, reasons and answers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from launcher.base.notices import say
from launcher.base.terminal import visible, visible_json, visible_line
from launcher.cli import output
from launcher.cli.commands import logs
from launcher.cli.entry import _say
from launcher.cli.output import Column, Form, Output
from launcher.jobs.waiting import _print

# Renames the window, deletes the line before, C1's own CSI, a return that overwrites, a name that reads backwards.
ORDERS = "\x1b]0;owned\x07", "\x1b[1A\x1b[2K", "\x9b2J", "safe\rgone", "exe.\u202etxt", "\x1b[6n", "\x08\x7f"
ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SOURCES = Path(__file__).parents[3] / "launcher" / "cli"


@pytest.mark.parametrize("text", ORDERS)
def test_control_characters_are_shown_and_not_sent(text):
    assert not ACTIVE.search(visible(text)) and not ACTIVE.search(visible_line(text))
    assert visible(text) != text


def test_what_is_only_text_stays_as_it_is():
    for text in ("a\tb\nc", "naïve 文字 🙂 مرحبا", ""):
        assert visible(text) == visible_line(text) == text


def test_a_log_keeps_its_colours_and_they_end_with_the_line():
    assert visible_line("\x1b[1;31mred") == "\x1b[1;31mred\x1b[0m"
    assert visible_line("\x1b[31mred\x1b]0;x\x07") == "\x1b[31mred\\x1b]0;x\\x07\x1b[0m"
    assert visible("\x1b[31mred") == "\\x1b[31mred"


def test_json_is_the_same_json():
    value = {"a\x9b": "\u202e\x7f", "b": "文"}
    text = json.dumps(value, ensure_ascii=False)
    assert json.loads(visible_json(text)) == value and not ACTIVE.search(visible_json(text))


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("text", ORDERS)
def test_no_way_of_writing_results_sends_them(form, text, capsys):
    out = Output(form)
    out.text(text)
    out.note(text)
    out.rows([{"name": text}], [Column("name", "NAME")], "none")
    out.record({"name": text, "more": [text]}, "name")
    out.json({text: text})
    written = capsys.readouterr()
    assert not ACTIVE.search(written.out + written.err)


@pytest.mark.parametrize("text", ORDERS)
def test_errors_notices_and_logs_that_are_followed_do_not_either(text, capsys):
    _say(text)
    say(text)
    _print(text)
    written = capsys.readouterr()
    assert not ACTIVE.search(COLOUR.sub("", written.out + written.err))


def test_the_logs_command_does_not_either(monkeypatch, capsys):
    handle = type("Handle", (), {"logs": lambda self, follow, tail: iter(ORDERS)})()
    monkeypatch.setattr(logs, "find_handle", lambda *_: handle)
    logs.command.main(["job"], standalone_mode=False)
    assert not ACTIVE.search(COLOUR.sub("", capsys.readouterr().out))


def test_commands_print_by_way_of_the_output_alone():
    """``click.echo`` itself is for what is none of others' text: JSON in ASCII, numbers, help, shell exports."""
    allowed = {"output.py", "entry.py", "logs.py", "cloud.py", "metrics.py", "collect.py"}
    assert output.echo
    found = {path.name for path in SOURCES.rglob("*.py") if "click.echo(" in path.read_text()}
    assert found <= allowed, found - allowed
