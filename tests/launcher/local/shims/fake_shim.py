"""A forkserver for tests, whose shims note the names of their jobs and do what the jobs' hyperparameter ``do`` says.

``finish``: takes the job to its end. ``hang``: stays until it is killed. ``crash``: ends at once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from launcher.local.host.home import HomePaths
from launcher.local.host.processes import ProcessId
from launcher.local.records import states
from launcher.local.records.records import Records


def main() -> None:
    paths = HomePaths.of(Path(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while line := sys.stdin.readline():
        kind, _, name = line.strip().partition(" ")
        if (pid := os.fork()) == 0:
            os.setsid()
            shim(paths, kind, name)
            os._exit(0)
        child = ProcessId.of(pid) or ProcessId(pid, 0)
        Records(paths.records).claim(name, child.pid, child.started_at, kind)


def shim(paths: HomePaths, kind: str, name: str) -> None:
    records = Records(paths.records)
    with (paths.root / "handed.txt").open("a") as file:
        file.write(f"{name}\n")
    do = records.get(name, kind).request["HyperParameters"]["do"]
    if do == "hang":
        time.sleep(600)
    if do == "finish":
        for status in (states.TRAINING, states.UPLOADING, states.COMPLETED):
            records.transition(name, status)


main()
