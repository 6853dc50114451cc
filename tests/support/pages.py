"""What a page shows: the commands that it tells readers to type, and what it quotes of their output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# A block without a language is commands, one of this language is output.
OUTPUT = "text"


def script(text: str) -> str:
    """The commands of a page, in their order, as a script for a shell."""
    return "".join(block for language, block in BLOCK.findall(text) if language == "")


def quoted(text: str) -> list[str]:
    """The lines of output that a page shows, without spaces around them."""
    return [
        line.strip() for language, block in BLOCK.findall(text) if language == OUTPUT for line in block.splitlines()
    ]


def ran(commands: str, folder: Path, home: Path, environ: Mapping[str, str] | None = None) -> str:
    """Run commands of a page in a folder; gives all that they wrote. The local cloud is taken down afterwards.

    Raises:
        AssertionError: a command failed, or showed a traceback.
    """
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BATCHRL_HOME": str(home),
        **(environ or {}),
    }
    try:
        done = subprocess.run(
            ["bash", "-e", "-c", commands],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stdout
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout
    finally:
        subprocess.run(["batchrl", "cloud", "down", "--stop-jobs"], env=environment, capture_output=True, timeout=60)


def commands() -> dict[str, click.Command]:
    """All commands by their words, as ``model show``."""
    from launcher.cli.entry import root

    found: dict[str, click.Command] = {}

    def enter(group: click.Group, words: str) -> None:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            found[f"{words} {name}".strip()] = command
            if isinstance(command, click.Group):
                enter(command, f"{words} {name}".strip())

    enter(root, "")
    return found
