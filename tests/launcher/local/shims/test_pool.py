"""Jobs find a shim, and a job whose shim is gone does not stay InProgress for ever."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from api_servers import eventually, job_request

from launcher.api.constants import TRAINING, TUNING
from launcher.local.events.eventfile import read
from launcher.local.events.kinds import ServerBegan, ShimLost
from launcher.local.host.home import HomePaths
from launcher.local.host.processes import ProcessId
from launcher.local.records.records import JobRecord, Records
from launcher.local.shims.pool import MOST_SUCCESSORS, ShimPool

FAKE_SHIM = Path(__file__).with_name("fake_shim.py")


class Rig:
    """A data folder with records, and pools that come and go like API servers."""

    def __init__(self, root: Path) -> None:
        self.paths = HomePaths.of(root)
        self.paths.create()
        self.records = Records(self.paths.records)
        self.pools: list[ShimPool] = []

    def pool(self) -> ShimPool:
        command = (sys.executable, str(FAKE_SHIM), str(self.paths.root))
        self.pools.append(ShimPool(self.paths, self.records, command))
        return self.pools[-1]

    def add(self, name: str, do: str, kind: str = TRAINING) -> JobRecord:
        request = job_request(name, HyperParameters={"do": do})
        record = JobRecord.new(name, kind, f"arn:{name}", request, 1000.0, "Starting")
        self.records.create(record)
        return record

    def status(self, name: str) -> str:
        return self.records.get(name).status

    def handed(self) -> list[str]:
        try:
            return (self.paths.root / "handed.txt").read_text().split()
        except FileNotFoundError:
            return []


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "home")
    yield rig
    for pool in rig.pools:
        pool.close()
    for record in rig.records.list():
        process = ProcessId(record.shim_pid or 0, record.shim_started_at or 0)
        if process.alive:
            process.end(0.1)
    rig.paths.runtime.rmdir()


def _until(check: Callable[[], bool], pool: ShimPool) -> None:
    def step() -> bool:
        pool.reconcile()
        pool.keep()
        return check()

    eventually(step)


def test_jobs_run_one_after_the_other_in_shims_of_one_forkserver(rig: Rig) -> None:
    pool = rig.pool()
    pool.keep()
    forkserver = pool.forkserver_pid
    for name in "abc":
        rig.add(name, "finish")
        pool.assign(name)
        eventually(lambda name=name: rig.status(name) == "Completed")
    assert pool.forkserver_pid == forkserver
    assert len({rig.records.get(name).shim_pid for name in "abc"}) == 3


def test_a_job_runs_without_a_forkserver(rig: Rig) -> None:
    rig.add("a", "finish")
    rig.pool().assign("a")
    eventually(lambda: rig.status("a") == "Completed")


def test_a_forkserver_that_died_is_replaced_and_told_again(rig: Rig) -> None:
    pool = rig.pool()
    pool.keep()
    pid = pool.forkserver_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    rig.add("a", "finish")
    pool.assign("a")
    os.kill(pid, signal.SIGKILL)
    _until(lambda: rig.status("a") == "Completed", pool)
    assert rig.handed() == ["a"]


def test_a_job_is_assigned_once(rig: Rig) -> None:
    pool = rig.pool()
    rig.add("a", "hang")
    for _ in range(3):
        pool.assign("a")
        pool.reconcile()
    eventually(rig.handed)
    assert rig.handed() == ["a"]


def test_a_job_that_no_shim_ever_saw_is_assigned_by_the_next_server(rig: Rig) -> None:
    rig.add("a", "finish")
    pool = rig.pool()
    _until(lambda: rig.status("a") == "Completed", pool)


def test_a_job_outlives_its_server(rig: Rig) -> None:
    rig.add("a", "hang")
    first = rig.pool()
    first.assign("a")
    first.close()
    rig.pool().reconcile()
    assert rig.status("a") == "InProgress"


@pytest.mark.parametrize("do", ["hang", "crash"])
def test_A82_a_job_whose_shim_is_gone_has_failed_and_says_why(rig: Rig, do: str) -> None:
    pool = rig.pool()
    rig.add("a", do)
    pool.assign("a")
    eventually(lambda: rig.handed() and rig.records.get("a").shim_pid)
    if do == "hang":
        os.kill(rig.records.get("a").shim_pid or 0, signal.SIGKILL)
    _until(lambda: rig.status("a") == "Failed", pool)
    reason = rig.records.get("a").failure_reason or ""
    assert reason.startswith("InternalServerError: ")
    assert "shim.log" in reason
    told = [one.event for one in read(rig.paths.job("a").events)]
    assert ShimLost(rig.records.get("a").shim_pid or 0) in told and told[-1].kind == "status"


def test_a_tuning_job_whose_shim_is_gone_gets_another(rig: Rig) -> None:
    pool = rig.pool()
    rig.add("a", "hang", TUNING)
    pool.assign("a", TUNING)
    for count in (1, 2, 3):
        eventually(lambda count=count: len(rig.handed()) == count and rig.records.get("a", TUNING).shim_pid)
        os.kill(rig.records.get("a", TUNING).shim_pid or 0, signal.SIGKILL)
        _until(lambda count=count: len(rig.handed()) > count, pool)
    assert rig.records.get("a", TUNING).status == "InProgress"


def test_a_tuning_job_whose_shims_all_end_at_once_fails(rig: Rig) -> None:
    pool = rig.pool()
    rig.add("a", "crash", TUNING)
    _until(lambda: rig.records.get("a", TUNING).status == "Failed", pool)
    assert len(rig.handed()) == MOST_SUCCESSORS + 1


@pytest.mark.parametrize("published", [True, False])
def test_of_a_job_whose_shim_is_gone_only_what_is_published_is_removed(rig: Rig, published: bool) -> None:
    tree = rig.paths.job("a").ml
    (tree / "model").mkdir(parents=True)
    rig.add("a", "hang")
    rig.records.claim("a", 2**22 + 1, 1)
    rig.records.transition("a", "Training")
    if published:
        rig.records.update("a", published_at=1.0)
    rig.pool().reconcile()
    assert rig.status("a") == "Failed"
    assert tree.exists() is not published


def test_a_new_api_server_is_told_to_the_jobs_that_it_finds(rig: Rig) -> None:
    pool = rig.pool()
    rig.add("a", "hang")
    rig.add("b", "hang")
    pool.assign("a")
    eventually(lambda: rig.handed() and rig.records.get("a").shim_pid)
    rig.pool().tell("9.9")
    assert [one.event for one in read(rig.paths.job("a").events)] == [ServerBegan(os.getpid(), "9.9")]
    assert not rig.paths.job("b").events.exists()


def test_a_pid_that_was_used_again_is_no_shim(rig: Rig) -> None:
    rig.add("a", "hang")
    own = ProcessId.of(os.getpid())
    assert own is not None
    rig.records.claim("a", own.pid, own.started_at - 1)
    rig.pool().reconcile()
    assert rig.status("a") == "Failed"


def test_what_a_new_job_of_the_same_name_runs_is_left_alone(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API server looked at a record whose shim was gone; before it acted, the job had ended."""
    reaped: list[str] = []
    monkeypatch.setattr("launcher.local.executors.reap.reap", lambda paths, record: reaped.append(record.name))
    rig.add("a", "hang")
    rig.records.claim("a", 2**22 + 1, 1)
    seen = rig.records.running()
    rig.records.transition("a", "Failed", failure_reason="its own")
    monkeypatch.setattr(rig.records, "running", lambda: seen)
    rig.pool().reconcile()
    assert (reaped, rig.records.get("a").failure_reason) == ([], "its own")


def test_a_forkserver_ends_with_its_server_and_its_shims_do_not(rig: Rig) -> None:
    pool = rig.pool()
    rig.add("a", "hang")
    pool.assign("a")
    eventually(lambda: rig.records.get("a").shim_pid)
    pid = pool.forkserver_pid
    assert pid is not None
    pool.close()
    eventually(lambda: ProcessId.of(pid) is None)
    record = rig.records.get("a")
    assert ProcessId(record.shim_pid or 0, record.shim_started_at or 0).alive
