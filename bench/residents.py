"""What the processes of a local cloud hold, looked at from outside: memory and open descriptors."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

SERVER = "launcher.local.server.process"
FORKSERVER = "launcher.local.shims.forkserver"
POLL_SECONDS = 0.05
MB = 1e6


@dataclass(frozen=True)
class Held:
    """What one process holds.

    Args:
        memory: resident memory that it shares with no other, in MB.
        descriptors: open ones.
    """

    memory: float
    descriptors: int


def held(pid: int) -> Held | None:
    """What a process holds; None where it has gone."""
    with suppress(OSError, IndexError, ValueError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        own = (sizes["Private_Clean"] + sizes["Private_Dirty"]) * 1024 / MB
        return Held(own, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()))
    return None


def children(pid: int) -> list[int]:
    """The processes that a process started and that live."""
    with suppress(OSError):
        lists = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
        return [int(child) for text in lists for child in text.split()]
    return []


@dataclass(frozen=True)
class Residents:
    """The processes of one local cloud that live as long as it does; by pid.

    Args:
        server: the API server.
        forkserver: which makes a shim for each job.
        store: the object store.
    """

    server: int
    forkserver: int
    store: int

    @classmethod
    def of(cls, home: Path) -> Residents:
        """Those of a data folder whose cloud is up."""
        server = next(pid for pid in _pids() if _arguments(pid)[-3:] == [SERVER, "--home", str(home)])
        below = children(server)
        forkserver = next(pid for pid in below if FORKSERVER in _arguments(pid))
        return cls(server, forkserver, next(pid for pid in below if pid != forkserver))

    def look(self) -> dict[str, Held]:
        """What each holds now."""
        pids = {"API server": self.server, "forkserver": self.forkserver, "store": self.store}
        return {name: found for name, pid in pids.items() if (found := held(pid))}

    def shims(self) -> list[int]:
        """Those that live now."""
        return children(self.forkserver)

    def wait_for_no_shim(self, seconds: float = 20.0) -> int:
        """How many are left when their jobs have ended long since."""
        deadline = time.monotonic() + seconds
        while (left := len(self.shims())) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return left

    @contextmanager
    def peak_of_shims(self) -> Iterator[list[float]]:
        """The most memory, in MB, that one shim held while the block ran."""
        peak, over = [0.0], threading.Event()

        def watch() -> None:
            while not over.wait(POLL_SECONDS):
                peak[0] = max([peak[0], *(found.memory for pid in self.shims() if (found := held(pid)))])

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield peak
        finally:
            over.set()
            watcher.join()


@dataclass
class Course:
    """What the residents held, look by look."""

    looks: list[dict[str, Held]] = field(default_factory=list)

    def growth(self, name: str) -> tuple[float, float]:
        """What the last third of the looks found, against the first third: memory and descriptors of a resident."""
        seen = [look[name] for look in self.looks if name in look]
        return _growth([one.memory for one in seen]), _growth([one.descriptors for one in seen])


def _growth(values: Sequence[float]) -> float:
    third = max(1, len(values) // 3)
    return statistics.mean(values[-third:]) / statistics.mean(values[:third])


def _pids() -> Iterator[int]:
    return (int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit())


def _arguments(pid: int) -> list[str]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")[:-1]
    return []
