"""The tree of commands, its help pages, and the nearest name for a mistyped one.

click rather than typer: ``batchrl --help`` has 0.2 s of CPU, and typer takes twice click's import time and, since it
carries a private copy of click, offers no public way to load commands lazily. The one-line helps below stand here, not
in the commands, so that the overview imports none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import click

Function = Callable[..., Any]

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Start here": {
        "demo": "The whole workflow on CartPole, then a report.",
        "doctor": "Check this computer, or explain one job.",
    },
    "Work": {
        "collect": "Play episodes, log them as a data set.",
        "data": "Check, describe and convert logged data.",
        "train": "Train a policy from logged data, as a job.",
        "tune": "Train with many settings; which did best.",
        "evaluate": "Play episodes with a trained policy.",
        "iterate": "Collect, train, gate; again and again.",
        "transform": "Run a policy over many states.",
        "deploy": "Serve a policy at an endpoint.",
        "invoke": "Ask an endpoint about some states.",
        "ope": "Score policies on logged data.",
        "model": "Look at trained models, export them.",
        "compare": "Compare jobs or policies.",
        "report": "A job or loop, told to its owner: HTML, PDF.",
        "plan": "Print a job's exact request; send nothing.",
        "package": "List what would travel with a job.",
        "presets": "List, show and check presets.",
    },
    "Jobs": {
        "ps": "List jobs and endpoints with their state.",
        "console": "Jobs and endpoints in your browser, live.",
        "show": "Everything about one job or endpoint.",
        "logs": "Print or follow a log.",
        "metrics": "Off-policy estimates, epoch by epoch.",
        "plot": "Draw the estimates into a PNG.",
        "pull": "Download what a job wrote.",
        "wait": "Wait until a job ends.",
        "stop": "Ask a job to stop.",
        "recover": "Publish what an ended job left on disk.",
        "rm": "Delete ended jobs, and endpoints.",
    },
    "This computer": {
        "cloud": "Start, stop and inspect the local cloud.",
        "image": "Build the container image.",
        "completion": "Let your shell complete commands and jobs.",
    },
}

SUMMARIES: Mapping[str, str] = {name: text for section in SECTIONS.values() for name, text in section.items()}


class BatchRLCommand(click.Command):
    """A command whose help ends with examples.

    Args:
        examples: command lines, each at most 58 characters so that they fit a narrow terminal.
    """

    def __init__(self, *arguments: Any, examples: tuple[str, ...] = (), **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's examples below its options."""
        write_examples(formatter, self.examples)


class BatchRLGroup(click.Group):
    """A group of commands in one file, with examples under its help."""

    command_class = BatchRLCommand

    def __init__(self, *arguments: Any, examples: tuple[str, ...] = (), **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the group's examples below its options."""
        write_examples(formatter, self.examples)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a name; an unknown one is refused with the nearest names."""
        name = args[0]
        if not name.startswith("-") and name not in self.list_commands(ctx):
            raise click.NoSuchCommand(name, possibilities=self.list_commands(ctx), ctx=ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(BatchRLGroup):
    """The root: knows its commands by name and imports one when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands; none of their modules is imported."""
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command; None for an unknown name."""
        if cmd_name not in SUMMARIES:
            return None
        command: click.Command = import_module(f"launcher.cli.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands section by section, with the summaries that stand in this file."""
        width = max(map(len, SUMMARIES))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in commands.items()])


def write_examples(formatter: click.HelpFormatter, examples: tuple[str, ...]) -> None:
    """Write example lines as they are: click would wrap them, and a wrapped command cannot be copied."""
    if examples:
        with formatter.section("Examples"):
            for line in examples:
                formatter.write(f"{' ' * formatter.current_indent}{line}\n")


def make_command(name: str, examples: tuple[str, ...], **settings: Any) -> Callable[[Function], BatchRLCommand]:
    """Make a function a command; its docstring is the help text, its return value the exit code (None is 0)."""
    return click.command(name, cls=BatchRLCommand, examples=examples, short_help=SUMMARIES[name], **settings)


def make_group(name: str, examples: tuple[str, ...]) -> Callable[[Function], BatchRLGroup]:
    """Make a function a group of commands that live in one file."""
    return click.group(name, cls=BatchRLGroup, examples=examples, short_help=SUMMARIES[name])
