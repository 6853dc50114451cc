"""``run``: a program of the request's own as a child of PID 1, with the way to the cloud and with signals passed on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from batchrl.boot import forward
from batchrl.boot.intermediate import say
from batchrl.boot.signals import StopSignals
from batchrl.boot.supervise import Script
from batchrl.contract.errors import InputError

COMMAND_NOT_FOUND = 127


def main(words: Sequence[str], stops: StopSignals) -> int:
    """Run the program to its end.

    Args:
        words: its command line.
        stops: the signals that were installed first.

    Returns:
        Its own exit code, 128 + n for signal n; 2 where the cloud cannot be reached, 127 where it cannot be started.
    """
    try:
        forward.start(os.environ)
    except InputError as error:
        say(str(error))
        return InputError.exit_code
    try:
        script = Script(words, Path.cwd(), os.environ, stops)
    except OSError as error:
        say(f"{words[0]} cannot be started: {error.strerror}.")
        return COMMAND_NOT_FOUND
    return script.wait().exit_code
