"""``batchrl collect``: the product's script ``collect.py``, with its own options.

The script runs in a process of its own: it needs torch and gymnasium, which this side never imports.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from batchrl.contract.errors import EXIT_INTERRUPTED, InputError
from launcher.cli.groups import make_command
from launcher.source import product_scripts

SCRIPT = "collect.py"
SIGNALLED = 128


def script_path() -> Path:
    """Where the script lies in this installation.

    Raises:
        InputError: this installation has no such script.
    """
    scripts = product_scripts()
    if SCRIPT not in scripts:
        raise InputError(f"this installation has no script {SCRIPT}.", "Install batchrl from its repository.")
    return scripts[SCRIPT]


@make_command(
    "collect",
    examples=(
        "batchrl collect --env CartPole-v0 --num-envs 100 \\",
        "    --episodes 5 --output cartpole.csv",
    ),
    options_metavar="OPTIONS",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
@click.option("-h", "--help", "show_help", is_flag=True, help="Show this message and exit.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="")
@click.pass_context
def command(ctx: click.Context, options: tuple[str, ...], show_help: bool) -> int:
    """Play episodes in vectorised environments and log them as a data set.

    Every option goes to the script that does it; they are listed below.
    """
    if show_help:
        click.echo(ctx.get_help())
        click.echo("\nOptions of the script:\n")
        sys.stdout.flush()
        options = ("--help",)
    return run_script(options)


def run_script(options: tuple[str, ...], stdout: int | None = None) -> int:
    """Run the script on this terminal and return its exit code; a signal that ended it counts 128 more, as in shells.

    Args:
        options: its command line.
        stdout: file descriptor that takes what it prints, by default our own.
    """
    process = subprocess.Popen([sys.executable, str(script_path()), *options], stdout=stdout)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        # The terminal interrupts both of us; the script ends its file properly, we only wait for that.
        process.wait()
        return EXIT_INTERRUPTED
    return code if code >= 0 else SIGNALLED - code
