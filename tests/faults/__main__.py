"""``python -m faults``: see ``make faults``."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import services

from faults import registry, report, runner
from faults.plan import Planned, plan

FULL_RUN = 300


def main() -> int:
    """Make the faults that the command line asks for; 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="make faults ARGS=...", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="chooses kinds and moments")
    parser.add_argument("--count", type=int, default=FULL_RUN, help="how many faults")
    parser.add_argument("--only", metavar="KIND", action="append", help="faults of this kind alone; may be repeated")
    parser.add_argument("--number", type=int, help="the fault of this number alone, with --only")
    parser.add_argument("--lanes", type=int, default=os.cpu_count() or 2, help="how many run side by side")
    parser.add_argument("--folder", type=Path, help="where clouds lie meanwhile; a temporary folder by default")
    parser.add_argument("--save", type=Path, help="keep results here; faults that it holds are not made again")
    parser.add_argument("--report", type=Path, help="write the table here, as docs/faults.md")
    parser.add_argument(
        "--again", action="store_true", help="make what found something but no loss again; only the second time counts"
    )
    parser.add_argument("--list", action="store_true", help="list the kinds, and do nothing")
    options = parser.parse_args()
    kinds = registry.load()
    if options.list:
        for one in kinds.values():
            print(f"{one.name:28s} {one.what}")
        return 0
    if unknown := set(options.only or ()) - set(kinds):
        parser.error(f"no such kind: {', '.join(sorted(unknown))}; --list lists them")
    faults = plan(options.seed, kinds)
    chosen = (one for one in faults if not options.only or one.kind in options.only)
    if options.number is not None:
        chosen = (one for one in chosen if one.number >= options.number)
    count = 1 if options.number is not None else options.count
    planned = list(itertools.islice(chosen, count))
    print(f"seed {options.seed}, {len(planned)} faults, {options.lanes} at a time:")
    print("  " + ", ".join(f"{one.number} {one.kind}" for one in planned), flush=True)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="batchrl-faults-"))
    known = _known(options.save, planned)
    began = time.monotonic()

    def make(faults: Sequence[Planned], folder: Path, lanes: int, save: Path | None) -> list[runner.Result]:
        return runner.run(
            faults,
            kinds,
            folder,
            lanes,
            services.lack_of,
            lambda text: print(text, flush=True),
            lambda result: _keep(save, result),
        )

    results = make([one for one in planned if one not in known], folder, options.lanes, options.save)
    results = sorted([*results, *known.values()], key=lambda result: result.planned.number)
    print(report.summary(results, time.monotonic() - began))
    if options.report:
        options.report.write_text(report.document(results, kinds, options.seed))
    found = [result for result in results if result.found]
    if options.again and found and not any(result.lost for result in found):
        print(f"{len(found)} of them again, one at a time:", flush=True)
        found = [one for one in make([one.planned for one in found], folder / "again", 1, None) if one.found]
    return 1 if found else 0


def _known(file: Path | None, planned: Sequence[Planned]) -> dict[Planned, runner.Result]:
    """Results of an earlier run that was not ended, by what they are of."""
    if file is None or not file.exists():
        return {}
    results = [runner.Result.from_json(line) for line in file.read_text().splitlines()]
    return {result.planned: result for result in results if result.planned in planned}


def _keep(file: Path | None, result: runner.Result) -> None:
    if file is not None:
        with file.open("a") as kept:
            kept.write(f"{result.to_json()}\n")


if __name__ == "__main__":
    sys.exit(main())
