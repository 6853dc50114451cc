"""``batchrl collect``: the product's script ``collect.py``, with its own options.

The script runs in a process of its own: it needs torch and gymnasium, which this side never imports.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import click

from batchrl.contract.errors import EXIT_INTERRUPTED, InputError
from launcher.cli.groups import make_command
from launcher.source import product_scripts

SCRIPT = "collect.py"
SIGNALLED = 128
# So long a script that was interrupted by the terminal has for ending, before it is taken for not interrupted at all.
OWN_INTERRUPT_SECONDS = 2.0


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

    An interrupt or SIGTERM of ours is passed on to the script, and the exit code is 130.

    Args:
        options: its command line.
        stdout: file descriptor that takes what it prints, by default our own.
    """
    process = subprocess.Popen([sys.executable, str(script_path()), *options], stdout=stdout)
    terminated = False

    def terminate(signum: int, frame: FrameType | None) -> None:
        nonlocal terminated
        terminated = True
        process.terminate()

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        _end_interrupted(process)
        return EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    if terminated:
        return EXIT_INTERRUPTED
    return code if code >= 0 else SIGNALLED - code


def _end_interrupted(process: subprocess.Popen[bytes]) -> None:
    """Wait for the script to end its file properly; a terminal interrupts it with us, but `kill` reaches us alone."""
    try:
        process.wait(OWN_INTERRUPT_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait()
