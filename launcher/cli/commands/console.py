"""``batchrl console``: jobs and endpoints in a browser of this computer."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from launcher.cli.finding import session_for
from launcher.cli.groups import make_command
from launcher.cli.options import aws_option, output_options
from launcher.cli.output import Output


@make_command("console", examples=("batchrl console", "batchrl console --port 8642", "batchrl console --aws"))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default="a free one", help="Where it listens, on loopback."
)
@click.option(
    "--loop",
    "folders",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FOLDER",
    help="A loop of `batchrl iterate` that gets a page, too; may be given again.",
)
@click.option(
    "--estimate",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="An estimate that `batchrl ope --json` wrote; it gets a page, too.",
)
@aws_option
@output_options
def command(port: int, folders: tuple[Path, ...], files: tuple[Path, ...], aws: bool, out: Output) -> None:
    """Show jobs and endpoints as pages in a browser of this computer: a list, a page for each with its live curves,
    phases, log and results, and comparisons.

    It prints a link that only its reader can open, and serves until Ctrl-C. Nothing outside of this computer can reach
    it, and its pages load nothing from elsewhere.
    """
    from launcher.base import extras

    extras.require("the console", extras.LOCAL)
    from launcher.console.given import Given
    from launcher.console.server import ConsoleServer
    from launcher.console.watched import WatchedCloud

    session = session_for(aws)
    server = ConsoleServer(WatchedCloud(session), port, _report, Given(folders, files))
    # Starts the local cloud, as every command does that looks at it; on AWS says at once that there is no region.
    _ = session.sagemaker
    if out.for_people:
        out.text(f"The console of {'Amazon SageMaker' if aws else 'this computer'}, until Ctrl-C:")
        out.text(server.access.link)
    else:
        out.record({"url": server.access.link, "port": server.access.port}, "url")
    sys.stdout.flush()
    server.serve()


def _report(error: Exception) -> str:
    """Write the report of a fault of our own; gives where it is."""
    from launcher.cli.faults import write_report

    found = write_report(error, sys.argv[1:])
    return str(found) if found else ""
