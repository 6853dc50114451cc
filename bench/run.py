"""``make bench``: every figure of docs/speed.md, each part with the command that repeats it alone.

The parts run one after the other, each in a process of its own, so that none warms another's caches.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

BENCH = Path(__file__).resolve().parent
PARTS = {
    "collection": "collection against the seed's loop of one environment at a time",
    "startup": "CPU time until the command and the package are there",
    "cold_start": "local cloud from nothing",
    "first_line": "a job's first line, in a container",
    "row_latency": "OPE rows on their way to S3",
    "store": "the embedded object store beside rclone, in turns",
    "demo": "the whole workflow",
    "updates": "updates a second, beside d3rlpy's and beside the matrix products alone",
    "ope": "off-policy estimates of many episodes",
    "knn": "the exact nearest neighbour mask, beside the matrix products alone",
    "data": "logged data from files to tensors, and 20 million transitions in mapped files",
    "raw": "categories beside plain numbers: raw records served, and a log with texts read",
    "transform": "batch transform: a small job, a million lines, one record a request",
    "serving": "the model server beside the forward pass alone, and 200 clients at once",
    "transfers": "copies to and from an S3 store, beside s5cmd's",
}
# Trainings or jobs by the dozen: only by name, or with --all.
LONG = {
    "load": "the local cloud under load: many jobs, records, lines, large checkpoints (a quarter of an hour)",
    "problems": "returns by agent on narrow logs, Acrobot and the mail campaign (half an hour)",
    "gate_errors": "how often a loop's gate promotes a policy that is no better (five minutes)",
    "choice": "policies of a mail campaign ranked from the log alone, against exact values (twenty minutes)",
    "logs": "returns on 20 logs, beside d3rlpy's (an hour at first; what was measured is kept in .bench)",
}
EVERY = PARTS | LONG


def run_part(name: str) -> bool:
    """Run one part; whether it came to its end."""
    command = [sys.executable, str(BENCH / f"{name}.py")]
    shown = shlex.join(os.path.relpath(word) if Path(word).is_absolute() else word for word in command)
    print(f"\n{EVERY[name]}\n  repeat: {shown}", flush=True)
    started = time.perf_counter()
    ended = subprocess.run(command)
    print(f"  ({time.perf_counter() - started:.0f} s)", flush=True)
    if ended.returncode != 0:
        print(f"  {name} ended with exit code {ended.returncode}", flush=True)
    return ended.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=f"some of {', '.join(EVERY)}")
    parser.add_argument("--all", action="store_true", help=f"also {' and '.join(LONG)}, which take long")
    arguments = parser.parse_args()
    chosen = arguments.parts or list(EVERY if arguments.all else PARTS)
    unknown = [name for name in chosen if name not in EVERY]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(EVERY)}")
    print(f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}")
    whole = [run_part(name) for name in chosen]
    return 0 if all(whole) else 1


if __name__ == "__main__":
    sys.exit(main())
