"""``python -m badinput``: see ``make badinput``."""

from __future__ import annotations

import argparse
import logging
import sys
import time

from badinput import report, runner
from badinput.case import KINDS

FULL_RUN = 5000


def main() -> int:
    """Run the cases that the command line asks for; 1 where one came to a bad end."""
    parser = argparse.ArgumentParser(prog="make badinput ARGS=...", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="chooses the cases")
    parser.add_argument("--count", type=int, default=FULL_RUN, help="how many cases")
    parser.add_argument("--only", metavar="TEXT", help="only kinds whose name holds this text")
    parser.add_argument("--number", type=int, help="the one case of this number, with --only")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if options.number is not None:
        (name,) = (name for name in KINDS if options.only in name)
        print(*runner.run_one(name, options.number), sep="\n")
        return 0
    began = time.monotonic()
    result = runner.run(options.seed, options.count, options.only)
    print("\n".join(report.table(result, options.seed)))
    print(f"\n{time.monotonic() - began:.0f} s.")
    for one in result.found:
        print(one)
    return int(bool(result.found))


if __name__ == "__main__":
    sys.exit(main())
