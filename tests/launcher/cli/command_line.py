"""How a command line ended, and running one as a user's shell would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ended:
    """How a command line ended: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ended]


def shell(*arguments: str, environ: Mapping[str, str] | None = None, timeout_s: float = 60) -> Ended:
    """Run one command line as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "launcher.cli", *arguments],
        env=os.environ | dict(environ or {}),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
