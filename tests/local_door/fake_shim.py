"""A shim for tests: reads a job's name, notes it, and then does what the job's hyperparameter ``do`` says.

``finish``: takes the job to its end. ``hang``: stays until it is killed. ``crash``: ends at once.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from launcher.local import states
from launcher.local.home import HomePaths
from launcher.local.records import Records


def main() -> None:
    paths = HomePaths.of(Path(sys.argv[1]))
    name = sys.stdin.readline().strip()
    if not name:
        return
    records = Records(paths.records)
    with (paths.root / "handed.txt").open("a") as file:
        file.write(f"{name}\n")
    do = records.get(name).request["HyperParameters"]["do"]
    if do == "hang":
        time.sleep(600)
    if do == "finish":
        for status in (states.TRAINING, states.UPLOADING, states.COMPLETED):
            records.transition(name, status)


main()
