"""The embedded store, started in a data folder of its own as the local cloud starts it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from batchrl.contract.store import Client, s3_client
from launcher.local.host.address import Identity
from launcher.local.host.home import HomePaths
from launcher.local.host.store import EmbeddedStore

T = TypeVar("T")
DEADLINE = 30.0


def eventually(attempt: Callable[[], T], deadline: float = DEADLINE) -> T:
    """The first result that is not false and no error."""
    end = time.monotonic() + deadline
    while True:
        try:
            if found := attempt():
                return found
        except Exception:
            if time.monotonic() > end:
                raise
        assert time.monotonic() < end, f"not within {deadline:.0f} s"
        time.sleep(0.01)


class Embedded:
    """One embedded store; it may be stopped, killed and started again on the same port.

    Args:
        home: its data folder.
    """

    def __init__(self, home: Path) -> None:
        self.paths = HomePaths.of(home)
        self.paths.create()
        self.identity = Identity.create()
        self.identity.write(self.paths.cloud_file)
        self._process = EmbeddedStore(self.paths, self.identity)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.identity.store_port}"

    @property
    def pid(self) -> int:
        process = self._process.process()
        assert process is not None
        return process.pid

    def client(self, **settings: str) -> Client:
        keys = {"aws_access_key_id": self.identity.access_key, "aws_secret_access_key": self.identity.secret_key}
        return s3_client(None, self.url, **{"region_name": "us-east-1", **keys, **settings})

    def start(self) -> None:
        self._process.start()
        self._process.wait()
        eventually(lambda: self.client().list_buckets()["Buckets"])

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        process = self._process.process()
        if process is not None:
            process.end(0)

    def memory_kib(self, name: str = "VmHWM") -> int:
        """High-water mark of its memory."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name))
