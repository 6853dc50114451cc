"""``batchrl package``: what would travel with a job, what would not, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.base.units import size
from launcher.cli.groups import make_command
from launcher.cli.options import complete_presets, output_options
from launcher.cli.output import Column, Output, stdout_width, table

if TYPE_CHECKING:
    from launcher.staging.package import Package
    from launcher.staging.source import Listing

FILES = (Column("name", "FILE"), Column("size", "SIZE", right=True))
EXCLUDED = (Column("name", "LEFT OUT"), Column("size", "SIZE", right=True), Column("rule", "WHY"))


@make_command(
    "package",
    examples=(
        "batchrl package",
        "batchrl package --source-dir src --entry-point my.py",
        "batchrl package --all --json",
    ),
)
@click.option("--source-dir", type=click.Path(path_type=Path), help="Folder of your code that travels whole.")
@click.option("--entry-point", default="train.py", show_default=True, help="The script that the job runs.")
@click.option(
    "--dependency",
    "dependencies",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A further file or folder beside the script; may be repeated.",
)
@click.option("--preset", shell_complete=complete_presets, help="A preset; a file of your own travels as well.")
@click.option("--all", "whole", is_flag=True, help="List batchrl's own files one by one, too.")
@output_options
def command(
    source_dir: Path | None,
    entry_point: str,
    dependencies: tuple[Path, ...],
    preset: str | None,
    whole: bool,
    out: Output,
) -> None:
    """List the files that would travel with a job, their sizes, and what stays behind and why.

    Nothing is sent. The archive is named by its content: an unchanged tree is sent once.
    """
    import presets
    from launcher.staging.package import build
    from launcher.staging.source import Source

    own = (Path(preset),) if preset is not None and presets.is_path(preset) else ()
    package = build(Source(entry_point, source_dir, dependencies, own))
    if out.for_people:
        for line in _report(package, whole, stdout_width()):
            out.text(line)
    else:
        out.record(_as_record(package), "sha256")
    for warning in package.warnings:
        out.note(f"Warning: {warning}")


def _as_record(package: Package) -> dict[str, Any]:
    listing = package.listing
    return {
        "sha256": package.sha256,
        "archive": package.archive,
        "archive_bytes": package.size,
        "program": listing.program,
        "files": [{"name": file.name, "bytes": file.size, "path": file.path} for file in listing.files],
        "excluded": [{"name": left.name, "bytes": left.size, "rule": left.rule} for left in listing.excluded],
    }


def _report(package: Package, whole: bool, width: int) -> Iterator[str]:
    listing = package.listing
    yield from table(list(_files(listing, whole)), FILES, width)
    if listing.excluded:
        yield ""
        rows = [{"name": left.name, "size": size(left.size), "rule": left.rule} for left in listing.excluded]
        yield from table(rows, EXCLUDED, width)
    yield ""
    yield f"{len(listing.files)} files, {size(listing.size)}; packed {size(package.size)}; runs {listing.program}"
    yield f"sha256 {package.sha256[:16]}…  (whole with --json)"


def _files(listing: Listing, whole: bool) -> Iterator[dict[str, str]]:
    """A row a file; batchrl's own libraries are a row each unless ``whole``."""
    from launcher.staging.source import PRODUCT_LIBRARIES

    libraries: dict[str, list[int]] = {}
    for file in listing.files:
        top = file.name.partition("/")[0]
        if not whole and top in PRODUCT_LIBRARIES:
            libraries.setdefault(top, []).append(file.size)
        else:
            yield {"name": file.name, "size": size(file.size)}
    for name, sizes in libraries.items():
        yield {"name": f"{name}/ ({len(sizes)} files)", "size": size(sum(sizes))}
