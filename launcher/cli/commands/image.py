"""``batchrl image build``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from launcher.base.units import duration, size
from launcher.cli.groups import make_group
from launcher.cli.options import output_options
from launcher.cli.output import Output


@make_group("image", examples=("batchrl image build",))
def command() -> None:
    """The container image that jobs run in."""


@command.command(
    "build",
    examples=(
        "batchrl image build",
        "batchrl image build --base-image batchrl-base:bookworm \\",
        "    --wheelhouse docker/wheelhouse",
    ),
)
@click.option("--base-image", help="What the image stands on; by default the slim Python image.")
@click.option(
    "--wheelhouse", type=click.Path(path_type=Path), help="Folder of wheels to install from, without an index."
)
@click.option("--tag", help="Name of the image; by default the one that jobs look for.")
@output_options
def build(base_image: str | None, wheelhouse: Path | None, tag: str | None, out: Output) -> None:
    """Build the image that jobs run in, with this computer's engine.

    Its steps are printed to stderr as they go.
    """
    from launcher.local.engine import image

    built = image.build(base_image, wheelhouse, tag, on_line=out.note)
    if out.for_people:
        out.text(f"Built {built.tag} ({size(built.size_bytes)}) in {duration(built.seconds)}.")
    else:
        out.record(asdict(built), "tag")
