"""From no local cloud at all to its first answered request, in data folders that did not exist."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from figures import Figure, show

import launcher  # noqa: F401  (its import is a figure of its own)
from launcher.local import cloud
from launcher.session.session import Session

REPEATS = 5


def cold_start_seconds() -> float:
    """One cold start, in seconds."""
    with tempfile.TemporaryDirectory(prefix="batchrl-bench-") as folder:
        started = time.perf_counter()
        try:
            Session.local(folder).sagemaker.list_training_jobs(MaxResults=1)
            return time.perf_counter() - started
        finally:
            cloud.down(Path(folder))


def main() -> None:
    seconds = [cold_start_seconds() for _ in range(REPEATS)]
    show(
        Figure(f"local cloud, cold start to first answer, median of {REPEATS}", statistics.median(seconds), "s", 2.0),
        Figure(f"local cloud, cold start to first answer, worst of {REPEATS}", max(seconds), "s", 2.0),
    )


if __name__ == "__main__":
    main()
