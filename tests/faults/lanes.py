"""What faults that run side by side share, and what each row of them has for itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import services
from jobs import run_command

from faults.clouds import Cloud, OtherStore
from faults.content import Outcome
from faults.findings import Findings
from faults.loops import loop_content, run_loop
from faults.proxy import FaultProxy
from faults.serving import Served, Transform, write_states
from faults.training import Run, check_status
from launcher.local.host.address import StoreAddress

# Where the clouds find the keys of the store behind the proxies.
KEYS = ("FAULTS_STORE_KEY", "FAULTS_STORE_SECRET")


Made = TypeVar("Made")


def once(make: Callable[[References], Made]) -> Made:
    """A property that is made by whoever asks for it first, while others who ask for it wait."""

    def read(self: References) -> Made:
        name = make.__name__
        with self.lock:
            lock = self.locks.setdefault(name, threading.RLock())
        with lock:
            if name not in self.made:
                self.made[name] = make(self)
            return self.made[name]

    read.__doc__ = make.__doc__
    return property(read)  # type: ignore[return-value]


class References:
    """What undisturbed runs leave.

    Args:
        folder: where the references' own cloud lies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lock = threading.Lock()
        self.locks: dict[str, threading.RLock] = {}
        self.made: dict[str, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)

    @once
    def cloud(self) -> Cloud:
        """The cloud that the references run on."""
        return Cloud(self._folder / "cloud")

    @once
    def dataset(self) -> Path:
        """40 random episodes of CartPole."""
        file = self._folder / "cartpole.csv"
        run_command(
            self._folder / "cloud",
            *("collect", "--env", "CartPole-v0", "--num-envs", "20", "--episodes", "2"),
            *("--seed", "7", "--output", str(file)),
        )
        return file

    @once
    def trained(self) -> Run:
        """An undisturbed training."""
        run = Run(self.cloud, Findings(), self.dataset)
        run.start()
        check_status(run, ("Completed",))
        assert not run.findings.found, run.findings.found
        return run

    @once
    def training(self) -> Outcome:
        """What it left."""
        return self.trained.outcome()

    @once
    def model(self) -> Path:
        """Its archive."""
        folder = self._folder / "model"
        assert self.trained.job is not None
        self.trained.job.pull(folder, "model")
        return next(folder.rglob("model.tar.gz"))

    @once
    def states(self) -> Path:
        """Files of states."""
        return write_states(self._folder / "states")

    @once
    def outputs(self) -> dict[str, bytes]:
        """What a transform of them answers."""
        job = Transform(self.cloud, Findings(), self.model, self.states)
        job.start()
        assert job.ended().status == "Completed", job.record().failure_reason
        return job.outputs()

    @once
    def actions(self) -> list[int]:
        """What an endpoint answers."""
        served = Served(self.cloud, Findings(), self.model)
        served.start()
        assert served.settled() and served.status() == "InService", served.record()
        found = served.actions()
        served.check(found)
        assert not served.findings.found, served.findings.found
        return found

    @once
    def timed_loop(self) -> tuple[float, dict[str, bytes]]:
        """How long an undisturbed loop took, and what it left."""
        folder, began = self._folder / "loop", time.monotonic()
        done = run_loop(self.cloud, folder)
        assert done.returncode == 0, done.stderr
        return time.monotonic() - began, loop_content(folder)

    @property
    def loop(self) -> dict[str, bytes]:
        """What an undisturbed loop left."""
        return self.timed_loop[1]

    @property
    def loop_seconds(self) -> float:
        """How long it took."""
        return self.timed_loop[0]

    @once
    def store(self) -> StoreAddress:
        """The real store behind every proxy: Ceph, where there is one, else the references' own."""
        if services.lack_of("rgw") is None:
            rgw = services.rgw_store()
            return StoreAddress(rgw.endpoint_url, rgw.region, rgw.access_key, rgw.secret_key, embedded=False)
        return self.cloud.session.address.store

    def prepare(self) -> None:
        """Make what every lane needs."""
        assert self.training

    def close(self) -> None:
        """End the cloud."""
        if "cloud" in self.made:
            self.cloud.remove()


class Lane:
    """One row of faults, one after the other; its clouds are used again while they are in order.

    Args:
        folder: where they lie.
        references: shared by all lanes.
    """

    def __init__(self, folder: Path, references: References) -> None:
        self._folder = folder
        self._number = 0
        self._cloud: Cloud | None = None
        self._proxied: Cloud | None = None
        self._proxy: FaultProxy | None = None
        self.findings = Findings()
        self.references = references

    def place(self) -> Path:
        """A folder that does not exist yet, for something of a fault's own."""
        self._number += 1
        return self._folder / str(self._number)

    @property
    def cloud(self) -> Cloud:
        """A cloud in order."""
        if self._cloud is None:
            self._cloud = Cloud(self.place())
        return self._cloud

    @property
    def proxy(self) -> FaultProxy:
        """What stands between the proxied cloud and its store."""
        if self._proxy is None:
            self._proxy = FaultProxy(self.references.store.endpoint_url)
        return self._proxy

    @property
    def proxied(self) -> Cloud:
        """A cloud in order, whose store is behind the proxy."""
        if self._proxied is None:
            address = self.references.store
            os.environ.update(zip(KEYS, (address.access_key, address.secret_key), strict=True))
            self._proxied = Cloud(self.place(), OtherStore(self.proxy.url, KEYS, address))
        return self._proxied

    @contextlib.contextmanager
    def extra(self, folder: Path) -> Iterator[Cloud]:
        """A cloud for one fault alone, which may be spoilt by it; looked at and removed when the fault is over."""
        cloud = Cloud(folder)
        try:
            yield cloud
            cloud.check_clean(self.findings)
        finally:
            if self.findings.found:
                cloud.end()
                kept = self._folder / f"kept-{folder.parent.name}-{folder.name}"
                shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("store", "*.sock"), dirs_exist_ok=True)
            cloud.remove()

    def clouds(self) -> list[Cloud]:
        """The clouds that are up."""
        return [one for one in (self._cloud, self._proxied) if one]

    def abandon(self) -> list[Path]:
        """End its clouds and keep their folders; the next fault gets new ones."""
        kept = [one.folder for one in self.clouds()]
        for one in self.clouds():
            one.end()
        self._cloud = self._proxied = None
        return kept

    def close(self) -> None:
        """End its clouds and remove them."""
        for one in self.clouds():
            one.remove()
        self._cloud = self._proxied = None
