"""What the library of jobs says about logged data, asked in a process of its own.

The client itself loads neither numpy nor the library: data is looked at by the very code that a training job reads
it with. Data in S3 is fetched into a temporary folder first.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from batchrl.contract.errors import BatchRLError, InputError

MODULE = "batchrl.commandline.data"


class CouldNotAsk(BatchRLError):
    """The process ended as it never should."""


def ask(part: str, *arguments: str, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The answer of ``python -m batchrl.commandline.data``.

    Args:
        part: ``check``, ``describe`` or ``convert``.
        arguments: its command line.
        settings: a preset's ``data`` and ``seed``, for those parts that read them.

    Raises:
        InputError: the data is wrong, naming file, row and column.
        CouldNotAsk: the process failed.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", MODULE, part, *arguments],
        input=json.dumps(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == InputError.exit_code and done.stdout:
        found = json.loads(done.stdout)
        raise InputError(found["message"], found["hint"])
    if done.returncode != 0:
        raise CouldNotAsk(f"reading the data ended with exit code {done.returncode}: {done.stderr.strip()[-200:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
