"""The failure file: the script's own words, first things first."""

from __future__ import annotations

import pytest

from batchrl.boot.failure import describe
from batchrl.boot.supervise import Ending
from batchrl.contract.paths import MAX_FAILURE_CHARACTERS


def test_A80_A85_the_failure_file_begins_with_the_scripts_exception(machine):
    machine.script("def inner():\n    raise ValueError('bad things: 3')\nprint('before')\ninner()\n")
    code, output = machine.run()
    assert code == 1
    assert machine.failure.splitlines()[0] == "ValueError: bad things: 3"
    assert "in inner" in machine.failure
    assert "Traceback" in output and "ValueError: bad things: 3" in output


def test_A85_a_failure_file_of_the_scripts_own_stands(machine):
    machine.script(
        "import os, pathlib, sys\n"
        "pathlib.Path(os.environ['SM_OUTPUT_DIR'], 'failure').write_text('mine')\nsys.exit(4)\n"
    )
    assert machine.run()[0] == 4
    assert machine.failure == "mine"


def test_A79_a_script_that_ends_well_leaves_no_failure_file(machine):
    machine.script("import sys; print('Traceback (most recent call last):', file=sys.stderr)")
    assert machine.run()[0] == 0
    assert machine.failure is None


def test_the_last_exception_of_a_chain_counts(machine):
    machine.script("try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise KeyError('outer') from error\n")
    machine.run()
    assert machine.failure.splitlines()[0] == "KeyError: 'outer'"


def test_a_message_of_several_lines_stays_whole(machine):
    machine.script("raise RuntimeError('one\\ntwo')")
    machine.run()
    assert machine.failure.startswith("RuntimeError: one\ntwo\n")


def test_a_usage_error_is_told_by_the_last_lines(machine):
    machine.script("import argparse; argparse.ArgumentParser(prog='p').parse_args(['--no'])")
    code, _ = machine.run()
    assert code == 2
    assert machine.failure.endswith("p: error: unrecognized arguments: --no")


def test_A80_at_most_1024_characters(machine):
    machine.script("raise ValueError('x' * 5000)")
    machine.run()
    assert len(machine.failure) == MAX_FAILURE_CHARACTERS
    assert machine.failure.startswith("ValueError: xxx")


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (b"", "The script ended with exit code 5 and wrote nothing."),
        (b"\xff\xfe no text\n", "\ufffd\ufffd no text"),
        (b"cut in the middle of a traceback\n  File 'x'\nValueError: y\n", "cut in the middle"),
    ],
)
def test_whatever_was_written_gives_a_text(tail, expected):
    assert describe(Ending(5, None, tail)).startswith(expected)


def test_a_traceback_that_was_handled_long_before_is_not_the_reason():
    handled = b"Traceback (most recent call last):\n  File 'a'\nValueError: handled\n"
    text = describe(Ending(3, None, handled + b"step\n" * 100 + b"gave up\n"))
    assert "handled" not in text and text.endswith("gave up")
