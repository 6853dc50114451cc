"""``batchrl completion``: commands, options, jobs, presets and settings at a Tab, in bash, zsh and fish."""

from __future__ import annotations

import os
from pathlib import Path

import click

from batchrl.contract.errors import InputError
from batchrl.contract.files import write_atomically
from launcher.cli.groups import make_command
from launcher.cli.output import echo

SHELLS = ("bash", "zsh", "fish")
# Which of them a terminal runs.
SHELL_VARIABLE = "SHELL"
# A script of ours names the variable by which the shell asks.
MARK = "_BATCHRL_COMPLETE"


@make_command(
    "completion",
    examples=("batchrl completion --install", 'eval "$(batchrl completion bash)"', "batchrl completion zsh --install"),
)
@click.argument("shell", type=click.Choice(SHELLS), metavar="[bash|zsh|fish]", required=False)
@click.option("--install", is_flag=True, help="Write the script to where the shell looks for it.")
def command(shell: str | None, install: bool) -> None:
    """Print the script by which your shell completes batchrl's commands, or install it for new shells.

    At a Tab it offers commands, options, names of jobs and endpoints, presets, instance types, and keys of --set.
    """
    shell = shell or _running()
    script = _script(shell)
    if not install:
        echo(script)
        return
    path = _place(shell)
    try:
        if path.exists() and MARK not in path.read_text(errors="replace"):
            raise InputError(f"{path} is there, and is not batchrl's.", "Move it away, or print the script instead.")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, script, shared=True)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}.", f'Or: eval "$(batchrl completion {shell})"'
        ) from error
    echo(f"Wrote {path}. {_next(shell, path)}")


def _running() -> str:
    """The shell of this terminal."""
    name = Path(os.environ.get(SHELL_VARIABLE, "")).name
    if name in SHELLS:
        return name
    raise InputError(
        f"${SHELL_VARIABLE} is '{name}', and completion is for {', '.join(SHELLS)}.",
        "Say which of them: batchrl completion bash",
    )


def _script(shell: str) -> str:
    from click.shell_completion import get_completion_class

    from launcher.cli.entry import COMPLETION_VARIABLE, PROGRAM, root

    found = get_completion_class(shell)
    assert found is not None, "click has all of these"
    return found(root, {}, PROGRAM, COMPLETION_VARIABLE).source()


def _place(shell: str) -> Path:
    """Where a user's own completions of a shell lie."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    if shell == "fish":
        config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        return config / "fish" / "completions" / "batchrl.fish"
    if shell == "zsh":
        return data / "zsh" / "site-functions" / "_batchrl"
    bash = Path(os.environ.get("BASH_COMPLETION_USER_DIR") or data / "bash-completion")
    return bash / "completions" / "batchrl"


def _next(shell: str, path: Path) -> str:
    """What the user does for it to work."""
    if shell == "zsh":
        return f"Put this line before compinit in ~/.zshrc, once: fpath=({path.parent} $fpath)"
    if shell == "bash":
        return f"New shells complete, with the package bash-completion; without it: echo '. {path}' >> ~/.bashrc"
    return "New shells complete."
