"""``batchrl collect``: the product's script ``collect.py``, with its own options.

The script runs in a process of its own: it needs torch and gymnasium, which this side never imports.
"""

from __future__ import annotations

import sys

import click

from batchrl.contract.errors import InputError
from launcher.base.product import COLLECT_SCRIPT
from launcher.cli.groups import make_command
from launcher.library.scripts import run_script, script_path


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
    try:
        script = script_path(COLLECT_SCRIPT)
    except InputError as error:
        if not show_help:
            raise
        click.echo(f"{error.message}\n{error.hint}")
        return 0
    return run_script(script, options)
