"""The product's scripts as processes whose output is read, and whose questions are answered."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

from batchrl.contract.asking import PROBABILITIES, STATES, Frame, receive, send
from batchrl.contract.errors import BatchRLError, DamagedContent, InputError
from launcher.library import bound

LAST_CHARACTERS = 2000


class Answers(Protocol):
    """Who answers for a policy."""

    def action_probabilities(self, states: Sequence[Sequence[float]]) -> Sequence[Sequence[float]]:
        """A row of probabilities for each row of numbers."""
        ...


def run(script: Path, options: Sequence[str], answers: Answers | None = None) -> str:
    """Run a script to its end and return what it printed; it does not outlive this process.

    Args:
        script: its path.
        options: its command line.
        answers: who answers for its policy, which its option ``--policy`` then names.

    Raises:
        InputError: the script says that its input is wrong.
        BatchRLError: it failed otherwise; or whatever ``answers`` raised.
    """
    program = [sys.executable, str(script), *options]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        if answers is None:
            process = subprocess.Popen(bound.command(program), stdout=out, stderr=err)
            with _ended_with_us(process):
                process.wait()
        else:
            ours, theirs = socket.socketpair()
            with ours:
                with theirs:
                    asking = ["--policy", f"ask:{theirs.fileno()}"]
                    process = subprocess.Popen(
                        bound.command([*program, *asking]),
                        stdout=out,
                        stderr=err,
                        pass_fds=(theirs.fileno(),),
                    )
                with _ended_with_us(process):
                    fault = _answer(ours, answers)
                    ours.close()
                    process.wait()
            if fault is not None:
                raise fault
        if process.returncode:
            raise _failure(script.name, process.returncode, _read(err))
        return _read(out)


def _answer(connection: socket.socket, answers: Answers) -> BatchRLError | None:
    """Answer until the other side has no more questions; returns what went wrong, which ends its run."""
    while True:
        try:
            question = receive(connection)
        except (OSError, DamagedContent):
            return None  # the script has ended, and says why
        if question is None:
            return None
        fault: BatchRLError | None = None
        if question.kind != STATES:
            fault = BatchRLError(f"a simulator asked with a frame of kind {question.kind!r}.")
        else:
            try:
                rows = answers.action_probabilities(question.to_rows())
                reply = Frame.of_rows(PROBABILITIES, rows)
            except BatchRLError as error:
                fault = error
        with contextlib.suppress(OSError):
            send(connection, Frame.of_refusal(fault.message) if fault is not None else reply)
        if fault is not None:
            return fault


@contextlib.contextmanager
def _ended_with_us(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A block that a process must not outlive, where it is left by an exception."""
    try:
        yield
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _failure(name: str, code: int, text: str) -> BatchRLError:
    """The script's own words, with its exit code."""
    told = text.strip()
    if told.startswith("Error: "):
        message, _, hint = told.removeprefix("Error: ").partition("\n")
        fault = InputError(message, hint or None) if code == InputError.exit_code else BatchRLError(message, hint)
    else:
        fault = BatchRLError(f"{name} ended with exit code {code}: {told[-LAST_CHARACTERS:] or 'it said nothing'}")
    if code > 0:
        fault.exit_code = code
    return fault


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
