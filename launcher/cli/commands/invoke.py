"""``batchrl invoke``: ask an endpoint what to do in some states."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

import click

from batchrl.contract import jsontext
from batchrl.contract.errors import InputError
from launcher.cli.finding import session_for
from launcher.cli.groups import make_command
from launcher.cli.options import aws_option, complete_jobs, output_options
from launcher.cli.output import Form, Output, echo

STDIN = "-"
CSV_SUFFIX = ".csv"


@make_command(
    "invoke",
    examples=(
        'batchrl invoke my-endpoint "[0.1, 0.2, 0.3, 0.4]"',
        "batchrl invoke my-endpoint --file states.jsonl",
        "batchrl invoke my-endpoint < states.jsonl",
        "batchrl invoke my-endpoint -q --file states.csv",
    ),
    # A feature may be negative: what looks like an option is told apart below.
    context_settings={"ignore_unknown_options": True},
)
@click.argument("endpoint", shell_complete=complete_jobs)
@click.argument("states", nargs=-1, metavar="[STATE]...")
@click.option("--file", "file", metavar="FILE", help="States: a list a line, or CSV without a header; - is stdin.")
@aws_option
@output_options
def command(endpoint: str, states: tuple[str, ...], file: str | None, aws: bool, out: Output) -> int | None:
    """Print what a policy does in some states: a line of JSON for each, in their order.

    A state is a list of features in JSON; without STATE and --file they are read from stdin, one a line. A state
    that the policy cannot take gets a line with its error, and the exit code is 2. --quiet prints actions alone.
    """
    from launcher.serving.predictor import Predictor

    if states and file is not None:
        raise click.UsageError("give states as arguments or in --file, not both.")
    _check(states)
    lines = [_line(state) for state in states] or list(_read(file or STDIN))
    if not lines:
        raise InputError("there are no states to ask about.", 'Give some: batchrl invoke ENDPOINT "[0.1, 0.2]"')
    answers = Predictor(endpoint, session_for(aws)).predict_lines(lines)
    if out.form is Form.JSON:
        out.json(answers)
    else:
        for answer in answers:
            echo(_short(answer) if out.form is Form.QUIET else json.dumps(answer))
    wrong = [answer["error"] for answer in answers if "error" in answer]
    if wrong:
        echo(f"Error: {len(wrong)} of {len(answers)} states were not taken; {wrong[0]}", err=True)
        return InputError.exit_code
    return None


def _short(answer: dict[str, Any]) -> str:
    return "" if "error" in answer else str(answer.get("action"))


def _check(states: Sequence[str]) -> None:
    """Refuse an unknown option, and a state that is written as several arguments.

    Raises:
        NoSuchOption: an argument looks like an option and is no number.
        InputError: the arguments are numbers.
    """
    for state in states:
        if state.startswith("-") and not _is_number(state):
            raise click.NoSuchOption(state, ctx=click.get_current_context())
    if len(states) > 1 and all(map(_is_number, states)):
        raise InputError(
            "the features of a state are one argument.", f'Write them as a list in quotes: "[{", ".join(states)}]"'
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _line(state: str) -> bytes:
    """A state of the command line as a line of JSON.

    Raises:
        InputError: it is none.
    """
    try:
        value = jsontext.parsed(state)
    except ValueError:
        value = None
    if not isinstance(value, list | dict):
        raise InputError(f"'{state}' is no state.", 'Write a list of features, as "[0.1, 0.2, 0.3, 0.4]".')
    if isinstance(value, list) and any(isinstance(feature, list) for feature in value):
        raise InputError(
            f"'{state}' is a list of lists.", "Write one state an argument, or a file with one a line: --file FILE"
        )
    return json.dumps(value, separators=(",", ":")).encode()


def _read(file: str) -> Iterator[bytes]:
    """States of a file, as lines of JSON.

    Raises:
        InputError: it cannot be read, or a line is empty.
    """
    if file == STDIN:
        yield from _json_lines(sys.stdin, "stdin")
        return
    try:
        with open(file, encoding="utf-8", newline="") as source:  # noqa: PTH123  # `-` is no path
            yield from _csv_lines(source, file) if file.lower().endswith(CSV_SUFFIX) else _json_lines(source, file)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text: {error.reason}.") from error


def _json_lines(source: TextIO, name: str) -> Iterator[bytes]:
    yield from _without_gaps((line.strip() for line in source), name)


def _csv_lines(source: TextIO, name: str) -> Iterator[bytes]:
    for number, row in enumerate(csv.reader(source), 1):
        yield json.dumps(_numbers(row, name, number), separators=(",", ":")).encode()


def _numbers(row: Sequence[str], name: str, number: int) -> list[float]:
    try:
        return [float(cell) for cell in row]
    except ValueError as error:
        raise InputError(f"{name}, line {number}: {error}.", "Write numbers alone, without a header.") from error


def _without_gaps(lines: Iterable[str], name: str) -> Iterator[bytes]:
    """Lines whose count is that of the file; empty ones are fine at the end alone."""
    gap = None
    for number, line in enumerate(lines, 1):
        if not line:
            gap = gap or number
            continue
        if gap is not None:
            raise InputError(f"{name}, line {gap} is empty.", "Write a state on each line.")
        yield line.encode()
