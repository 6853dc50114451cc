"""CPU time until the command and the package are there."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence

from figures import Figure, beside_python, show, warm_cloud

REPEATS = 9


def cpu_seconds(command: Sequence[str], environ: Mapping[str, str] | None = None) -> float:
    """The median user and system time of a command, in seconds, once its files are in the page cache."""
    seconds = []
    for _ in range(REPEATS + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **(environ or {})})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(seconds[1:])


def main() -> None:
    batchrl = beside_python("batchrl")
    show(Figure("batchrl --help, CPU time", cpu_seconds([batchrl, "--help"]), "s", 0.2))
    show(Figure("import launcher, CPU time", cpu_seconds([sys.executable, "-c", "import launcher"]), "s", 0.3))
    with warm_cloud() as session:
        home = {"BATCHRL_HOME": str(session.home)}
        show(Figure("batchrl ps, warm local cloud, CPU time", cpu_seconds([batchrl, "ps"], home), "s", 0.6))


if __name__ == "__main__":
    main()
