"""Every file of a data folder removed, emptied or spoilt while a cloud runs, and while none does."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from api_servers import eventually, of_cloud

from batchrl.contract.errors import BatchRLError, InputError, Unreachable
from launcher.base import lock
from launcher.local import apiserver, cloud
from launcher.local.host.address import Identity
from launcher.local.host.home import HomePaths
from launcher.local.host.processes import ProcessId
from launcher.local.records.records import Records
from launcher.local.server.upkeep import Upkeep
from launcher.session.session import Session

GARBAGE = b"\x00\xff{no such thing" * 50


def _remove(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _spoil(path: Path) -> None:
    path.write_bytes(GARBAGE)


def _of_an_older_version(path: Path) -> None:
    path.write_text('{"version": 1}')


DAMAGES = [_remove, _empty, _spoil, _of_an_older_version]


def _pids(home: Path) -> tuple[int, int | None]:
    found = cloud.status(home)
    assert found is not None
    return found.server_pid, found.store_pid


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["door.json", "store.json", "cloud.json", "door.lock", "s3.lock", "cloud.lock"])
def test_a_running_cloud_goes_on_and_is_found(home: Path, name: str, damage: Callable[[Path], None]) -> None:
    address = cloud.ensure_up(home)
    before = _pids(home)
    damage(home / name)
    assert cloud.ensure_up(home) == address
    assert _pids(home) == before
    of_cloud("s3", address).put_object(Bucket=address.bucket, Key="k", Body=b"x")
    report = cloud.down(home)
    assert (report.server_stopped, report.store_stopped) == (True, True)
    assert [ProcessId.of(pid or 0) for pid in before] == [None, None]


@pytest.mark.parametrize("name", ["door.json", "store.json", "door.lock"])
def test_the_files_of_a_running_cloud_come_back(home: Path, name: str) -> None:
    cloud.ensure_up(home)
    (home / name).unlink()
    cloud.status(home)
    eventually((home / name).exists)


def test_a_cloud_whose_files_are_all_gone_can_be_taken_down(home: Path) -> None:
    cloud.ensure_up(home)
    before = _pids(home)
    for name in ("door.json", "store.json", "cloud.json"):
        (home / name).unlink()
    report = cloud.down(home)
    assert (report.server_stopped, report.store_stopped) == (True, True)
    assert [ProcessId.of(pid or 0) for pid in before] == [None, None]


def test_a_store_whose_server_was_killed_is_found_without_its_file(home: Path) -> None:
    address = cloud.ensure_up(home)
    server, store = _pids(home)
    os.kill(server, signal.SIGKILL)
    eventually(lambda: ProcessId.of(server) is None)
    (home / "store.json").unlink()
    (home / "door.json").unlink()
    assert cloud.ensure_up(home) == address
    assert _pids(home)[1] == store


@pytest.mark.parametrize("damage", [_empty, _spoil, _of_an_older_version])
def test_a_damaged_cloud_file_is_put_aside_when_nobody_knows_its_content(
    home: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    address = cloud.ensure_up(home)
    of_cloud("s3", address).put_object(Bucket=address.bucket, Key="k", Body=b"kept")
    server, store = _pids(home)
    os.kill(server, signal.SIGKILL)
    eventually(lambda: ProcessId.of(server) is None)
    damage(home / "cloud.json")
    again = cloud.ensure_up(home)
    assert again.access_key != address.access_key
    assert of_cloud("s3", again).get_object(Bucket=again.bucket, Key="k")["Body"].read() == b"kept"
    assert (home / "cloud.json.damaged").exists()
    assert ProcessId.of(store or 0) is None
    assert "new ports and credentials" in capsys.readouterr().err


@pytest.mark.parametrize("damage", [_empty, _spoil, _of_an_older_version])
def test_damaged_settings_are_told_in_a_line_and_down_works(home: Path, damage: Callable[[Path], None]) -> None:
    cloud.ensure_up(home)
    (home / "settings.json").touch()
    damage(home / "settings.json")
    with pytest.raises(InputError, match=r"settings\.json.* is damaged"):
        cloud.ensure_up(home)
    assert cloud.down(home).server_stopped
    cloud.set_store(None, home)
    cloud.ensure_up(home)


@pytest.mark.parametrize("damage", [_remove, _empty])
def test_records_that_are_gone_begin_anew(home: Path, damage: Callable[[Path], None]) -> None:
    cloud.ensure_up(home)
    before = _pids(home)
    damage(home / "records.sqlite")
    eventually(lambda: ProcessId.of(before[0]) is None)
    address = cloud.ensure_up(home)
    assert of_cloud("sagemaker", address).list_training_jobs()["TrainingJobSummaries"] == []


def test_records_that_are_none_are_told_in_a_line(home: Path) -> None:
    cloud.ensure_up(home)
    before = _pids(home)
    _spoil(home / "records.sqlite")
    for name in ("records.sqlite-wal", "records.sqlite-shm"):
        (home / name).unlink(missing_ok=True)
    eventually(lambda: ProcessId.of(before[0]) is None)
    with pytest.raises(InputError, match=r"records.sqlite cannot be used .*\nMove it away"):
        cloud.ensure_up(home)
    (home / "records.sqlite").unlink()
    cloud.ensure_up(home)


def test_a_server_whose_folder_is_gone_leaves_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "gone"
    cloud.ensure_up(home)
    before = _pids(home)
    runtime = HomePaths.of(home).runtime

    def removed() -> bool:  # what serves it may write in between
        shutil.rmtree(home, ignore_errors=True)
        return not home.exists()

    eventually(removed)
    eventually(lambda: [ProcessId.of(pid or 0) for pid in before] == [None, None])
    assert not home.exists()
    assert not runtime.exists()


def test_a_server_whose_folder_is_gone_does_not_make_it_again(home: Path) -> None:
    """The folder may go between two looks at it, and another may take its place: that one is not the server's."""
    paths = HomePaths.of(home)
    paths.create()
    Records(paths.records).close()
    identity = Identity.create()
    identity.write(paths.cloud_file)
    tenure = paths.server.take()
    assert tenure is not None
    upkeep = Upkeep(paths, identity, tenure)
    assert upkeep.keep()
    home.rename(home.with_name("moved"))
    assert not upkeep.keep()
    with pytest.raises(FileNotFoundError):
        paths.create_inside()
    assert not home.exists()
    home.mkdir()
    assert not upkeep.keep()
    assert list(home.iterdir()) == []


def test_who_asks_a_cloud_that_its_records_ended_is_told_of_them(home: Path) -> None:
    session = Session.local(home)
    client = session.sagemaker
    os.kill(_pids(home)[0], signal.SIGKILL)
    eventually(lambda: cloud.status(home) is None)
    with pytest.raises(Unreachable, match="does not answer"), session.reported("listing jobs", client):
        client.list_training_jobs()
    _spoil(home / "records.sqlite")
    for name in ("records.sqlite-wal", "records.sqlite-shm"):
        (home / name).unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"records.sqlite cannot be used"), session.reported("listing jobs", client):
        client.list_training_jobs()


def test_a_session_outlives_a_cloud_that_left(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a notebook that is gone on with after lunch: the API server had left, for nobody had needed it."""
    monkeypatch.setattr("launcher.session.session.LOOK_SECONDS", 0.0)
    session = Session.local(home)
    assert session.sagemaker.list_training_jobs()["TrainingJobSummaries"] == []
    cloud.down(home)
    assert not cloud.is_up(home)
    assert session.sagemaker.list_training_jobs()["TrainingJobSummaries"] == []
    session.s3.put_object(Bucket=session.default_bucket, Key="k", Body=b"x")


def test_two_servers_of_one_folder_do_not_stay(home: Path) -> None:
    """The lock is removed, and at that moment another server takes it: the first leaves."""
    cloud.ensure_up(home)
    first = _pids(home)[0]
    paths = HomePaths.of(home)
    paths.server_lock.unlink()
    held = lock.take(paths.server_lock)
    assert held is not None
    with held:
        eventually(lambda: ProcessId.of(first) is None)


SLOW = """
import runpy, sys, time
end = time.monotonic() + 8
while time.monotonic() < end:
    sum(range(10000))
sys.argv = ["process", *sys.argv[3:]]
runpy.run_module("launcher.local.server.process", run_name="__main__")
"""


def test_a_slow_start_is_waited_for(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    (tmp_path / "slow.py").write_text(SLOW)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path / "slow.py"} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(apiserver, "STILL_SECONDS", 4.0)
    monkeypatch.setattr(apiserver, "SILENT_SECONDS", 0.1)
    monkeypatch.setattr(apiserver.sys, "executable", str(program))
    cloud.ensure_up(home)


def test_a_start_that_does_nothing_is_ended_and_told(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setattr(apiserver, "STILL_SECONDS", 1.0)
    monkeypatch.setattr(apiserver.sys, "executable", str(program))
    with pytest.raises(Unreachable, match="did nothing for 1 s"):
        cloud.ensure_up(home)


def test_a_server_that_stands_still_is_replaced(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = cloud.ensure_up(home)
    server = _pids(home)[0]
    monkeypatch.setattr(apiserver, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(apiserver, "SERVER_STOP_SECONDS", 0.1)
    monkeypatch.setattr(apiserver.probe, "TIMEOUT", 0.5)
    os.kill(server, signal.SIGSTOP)
    try:
        again = cloud.ensure_up(home)
    finally:
        if ProcessId.of(server):
            os.kill(server, signal.SIGCONT)
    assert again.access_key == address.access_key
    assert _pids(home)[0] != server


def test_whoever_holds_the_lock_and_stands_still_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = HomePaths.of(home)
    paths.create()
    program = (
        "import sys; from pathlib import Path; from launcher.base import lock; "
        "held = lock.take(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    monkeypatch.setattr(apiserver, "STILL_SECONDS", 0.5)
    with subprocess.Popen(
        [sys.executable, "-c", program, paths.lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(Unreachable, match=f"process {holder.pid} starts or stops"):
            cloud.ensure_up(home)
        holder.kill()


def test_a_refusal_is_a_sentence_and_what_to_do_and_down_works(home: Path) -> None:
    cloud.ensure_up(home)
    cloud.down(home)
    for name in ("records.sqlite", "settings.json"):
        _spoil(home / name)
        with pytest.raises(BatchRLError) as caught:
            cloud.ensure_up(home)
        assert len(str(caught.value).splitlines()) == 2
        cloud.down(home)
        (home / name).unlink()


def test_records_are_still_refused_in_words_when_another_program_wrote_them(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE jobs (other TEXT)")
    connection.close()
    with pytest.raises(InputError, match="cannot be used"):
        Records(path)
