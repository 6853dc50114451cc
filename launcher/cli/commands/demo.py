"""``batchrl demo``: the whole workflow, then a report."""

from __future__ import annotations

from pathlib import Path

import click

from launcher.cli.groups import make_command
from launcher.cli.options import output_options
from launcher.cli.output import Output

EXECUTORS = ("auto", "docker", "process")
# The agent that learns most of a log of random play.
DEFAULT_PRESET = "generic-discrete"


@make_command("demo", examples=("batchrl demo", "batchrl demo --preset cartpole-ddqn-bcq", "batchrl demo --epochs 5"))
@click.option("--preset", default=DEFAULT_PRESET, show_default=True, help="Of the training: a name or a YAML file.")
@click.option(
    "--executor",
    type=click.Choice(EXECUTORS),
    default="auto",
    show_default=True,
    help="Run jobs in containers or as processes.",
)
@click.option("--epochs", type=click.IntRange(1), help="Epochs of the training; by default the preset's.")
@click.option(
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("batchrl-demo"),
    show_default=True,
    help="Folder for its files.",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Of everything random.")
@output_options
def command(preset: str, executor: str, epochs: int | None, folder: Path, seed: int, out: Output) -> None:
    """Run the whole workflow on CartPole: collect, train, plot, evaluate, report.

    500 random episodes are logged, a policy is trained from them as a job, its off-policy estimates are
    read from S3 while it trains, and the checkpoint that they choose is evaluated by a second job.
    Containers are used when an engine answers and has the image, processes when not.
    """
    from launcher.cli.demo.story import Demo

    report = Demo(executor, preset, epochs, folder, seed, say=out.text if out.for_people else out.note).run()
    if out.for_people:
        for line in report.lines():
            out.text(line)
    else:
        out.record(vars(report), "training_job")
