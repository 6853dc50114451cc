"""An epoch's OPE row on disk -> readable in S3, over the epochs of a real training job in process mode."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from botocore.exceptions import ClientError
from figures import Figure, beside_python, show, warm_cloud

from batchrl.contract.columns import INTERMEDIATE_CSV
from batchrl.contract.layout import S3Url
from batchrl.contract.paths import JobPaths
from launcher import RLEstimator
from launcher.jobs.status import TERMINAL
from launcher.local.host.home import HomePaths
from launcher.session.session import LocalSession

PRESET = "cartpole-ddqn-bcq"
DISK_POLL_SECONDS = 0.005
STORE_POLL_SECONDS = 0.02


@dataclass
class Sightings:
    """When each row was first seen: ``first_seen[n]`` for the table with n rows, in seconds since the epoch."""

    first_seen: dict[int, float] = field(default_factory=dict)

    def note(self, table: bytes, moment: float) -> None:
        rows = max(0, table.count(b"\n") - 1)
        for row in range(1, rows + 1):
            self.first_seen.setdefault(row, moment)


def watch_disk(path: Path, sightings: Sightings, over: threading.Event) -> None:
    """Note the rows of the file whenever it is replaced, at the moment its writer finished it."""
    last = 0
    while not over.wait(DISK_POLL_SECONDS):
        try:
            with path.open("rb") as file:
                moment = path.stat().st_mtime_ns
                if moment != last:
                    sightings.note(file.read(), moment / 1e9)
                    last = moment
        except FileNotFoundError:
            continue


def watch_store(read: Callable[[], bytes], sightings: Sightings, over: threading.Event) -> None:
    """Note the rows of the object at the end of each read of it."""
    while not over.wait(STORE_POLL_SECONDS):
        try:
            sightings.note(read(), time.time())
        except ClientError:
            continue


def collect(folder: Path) -> Path:
    """A data set of the demo's size."""
    data = folder / "cartpole.csv"
    command = [
        beside_python("batchrl"),
        "collect",
        "--env",
        "CartPole-v0",
        "--output",
        str(data),
        "--num-envs",
        "100",
        "--episodes",
        "5",
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return data


def latencies(session: LocalSession, data: Path, epochs: int) -> list[float]:
    """Train, and measure each row's way, in seconds."""
    estimator = RLEstimator(
        "train.py",
        preset=PRESET,
        hyperparameters={"epochs": epochs},
        instance_type="local_process",
        session=session,
    )
    job = estimator.fit({"training": str(data)}, wait=False)
    home = HomePaths.of(session.home)
    on_disk, in_store, over = Sightings(), Sightings(), threading.Event()
    table = JobPaths(home.job(job.name).ml).intermediate / INTERMEDIATE_CSV
    url = S3Url.parse(f"{job.intermediate_uri.rstrip('/')}/{INTERMEDIATE_CSV}")

    def read() -> bytes:
        body: bytes = session.s3.get_object(Bucket=url.bucket, Key=url.key)["Body"].read()
        return body

    watchers = [
        threading.Thread(target=watch_disk, args=(table, on_disk, over)),
        threading.Thread(target=watch_store, args=(read, in_store, over)),
    ]
    for watcher in watchers:
        watcher.start()
    try:
        while job.status().status not in TERMINAL:
            time.sleep(0.5)
    finally:
        over.set()
        for watcher in watchers:
            watcher.join()
    job.wait()
    if len(in_store.first_seen) < epochs:
        raise SystemExit(f"{len(in_store.first_seen)} rows arrived in S3 of {epochs}")
    return [in_store.first_seen[row] - on_disk.first_seen[row] for row in sorted(on_disk.first_seen)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=50, help="rows to measure (50)")
    epochs = parser.parse_args().epochs
    with warm_cloud() as session, tempfile.TemporaryDirectory() as folder:
        seconds = latencies(session, collect(Path(folder)), epochs)
    show(
        Figure(f"OPE row on disk -> readable in S3, {epochs} epochs, median", statistics.median(seconds), "s", 1.0),
        Figure(f"OPE row on disk -> readable in S3, {epochs} epochs, worst", max(seconds), "s", 2.0),
    )


if __name__ == "__main__":
    main()
