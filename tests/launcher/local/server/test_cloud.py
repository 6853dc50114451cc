"""The life of a cloud, in real processes."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from api_servers import eventually, job_request, of_cloud

from batchrl.contract.errors import InputError, Unreachable
from launcher.api.constants import TRAINING
from launcher.local import apiserver, cleanup, cloud
from launcher.local.host import shell
from launcher.local.host.address import HOST, Identity
from launcher.local.host.home import HomePaths
from launcher.local.host.processes import ProcessId
from launcher.local.records.records import SCHEMA_VERSION, JobRecord, Records
from launcher.local.server import probe


def _server_pid(home: Path) -> int:
    status = cloud.status(home)
    assert status is not None
    return status.server_pid


def _add_job(home: Path, name: str) -> None:
    """A job that runs in this very process, as far as the records know."""
    records = Records(HomePaths.of(home).records)
    records.create(JobRecord.new(name, TRAINING, f"arn:{name}", job_request(name), 1000.0, "Starting"))
    own = ProcessId.of(os.getpid())
    assert own is not None
    records.claim(name, own.pid, own.started_at)
    records.close()


def _end_job(home: Path, name: str) -> None:
    records = Records(HomePaths.of(home).records)
    records.transition(name, "Failed")
    records.close()


def test_it_comes_up_answers_and_goes_down(home: Path) -> None:
    assert cloud.status(home) is None
    address = cloud.ensure_up(home)
    assert address.api_url.startswith("http://127.0.0.1:")
    assert of_cloud("sagemaker", address).list_training_jobs()["TrainingJobSummaries"] == []
    buckets = of_cloud("s3", address, endpoint_url=address.store.endpoint_url).list_buckets()["Buckets"]
    assert [bucket["Name"] for bucket in buckets] == ["batchrl-local"]
    status = cloud.status(home)
    assert status is not None
    assert (status.address, status.running_jobs, status.stale) == (address, (), False)
    report = cloud.down(home)
    assert (report.server_stopped, report.store_stopped) == (True, True)
    assert cloud.status(home) is None
    assert ProcessId.of(status.server_pid) is None
    assert cloud.down(home) == cloud.DownReport(False, False, (), ())


def test_it_comes_back_with_the_same_address_and_objects(home: Path) -> None:
    first = cloud.ensure_up(home)
    of_cloud("s3", first).put_object(Bucket=first.bucket, Key="a/b", Body=b"kept")
    cloud.down(home)
    assert cloud.ensure_up(home) == first
    assert of_cloud("s3", first).get_object(Bucket=first.bucket, Key="a/b")["Body"].read() == b"kept"


def _up(home: Path) -> None:
    cloud.ensure_up(home)


def test_two_at_once_start_one_server(home: Path) -> None:
    context = multiprocessing.get_context("spawn")
    starters = [context.Process(target=_up, args=(home,)) for _ in range(4)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join(60)
    assert [starter.exitcode for starter in starters] == [0] * 4
    started = HomePaths.of(home).server_log.read_text().count("listens at")
    assert started == 1


def test_a_killed_server_comes_back_and_finds_the_store_as_it_was(home: Path) -> None:
    address = cloud.ensure_up(home)
    before = cloud.status(home)
    assert before is not None
    os.kill(before.server_pid, signal.SIGKILL)
    eventually(lambda: ProcessId.of(before.server_pid) is None)
    s3 = of_cloud("s3", address, endpoint_url=address.store.endpoint_url)
    s3.put_object(Bucket=address.bucket, Key="meanwhile", Body=b"x")
    assert cloud.ensure_up(home) == address
    after = cloud.status(home)
    assert after is not None
    assert after.server_pid != before.server_pid
    assert after.store_pid == before.store_pid


def test_a_killed_store_is_started_again_at_its_place(home: Path) -> None:
    address = cloud.ensure_up(home)
    s3 = of_cloud("s3", address, endpoint_url=address.store.endpoint_url)
    s3.put_object(Bucket=address.bucket, Key="k", Body=b"kept")
    before = cloud.status(home)
    assert before is not None
    assert before.store_pid is not None
    os.kill(before.store_pid, signal.SIGKILL)

    def replaced() -> bool:
        now = cloud.status(home)
        return now is not None and now.store_pid not in (None, before.store_pid)

    eventually(replaced)
    again = of_cloud("s3", address, endpoint_url=address.store.endpoint_url)
    assert again.get_object(Bucket=address.bucket, Key="k")["Body"].read() == b"kept"


def test_a_server_of_other_code_is_replaced_and_its_jobs_go_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = cloud.ensure_up(home)
    old = _server_pid(home)
    _add_job(home, "going-on")
    fingerprint = apiserver.fingerprint()
    answers = iter(["of-another-version", "of-another-version"])
    monkeypatch.setattr(apiserver, "fingerprint", lambda: next(answers, fingerprint))
    assert cloud.ensure_up(home) == address
    assert _server_pid(home) != old
    records = Records(HomePaths.of(home).records)
    assert records.get("going-on").status == "InProgress"
    records.close()
    _end_job(home, "going-on")


def test_records_of_a_newer_version_are_refused(home: Path) -> None:
    cloud.ensure_up(home)
    cloud.down(home)
    with sqlite3.connect(HomePaths.of(home).records) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(InputError, match="newer batchrl"):
        cloud.ensure_up(home)
    with sqlite3.connect(HomePaths.of(home).records) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.close()


def test_a_port_that_somebody_took_is_given_up(home: Path) -> None:
    first = cloud.ensure_up(home)
    cloud.down(home)
    identity = Identity.read(HomePaths.of(home).cloud_file)
    assert identity is not None
    with socket.create_server((HOST, identity.api_port)), socket.create_server((HOST, identity.store_port)):
        second = cloud.ensure_up(home)
        assert second.api_url != first.api_url
        assert second.store.endpoint_url != first.store.endpoint_url
        assert of_cloud("sagemaker", second).list_training_jobs()["TrainingJobSummaries"] == []
        of_cloud("s3", second, endpoint_url=second.store.endpoint_url).list_buckets()
    assert cloud.ensure_up(home) == second


def test_somebody_else_at_our_port_is_not_taken_for_the_server(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as server:
        identity = Identity(server.getsockname()[1], 1, "key", "secret")
        assert probe.ask(identity, timeout=0.2) is None


def test_an_impostor_without_the_credentials_cannot_prove_itself(home: Path) -> None:
    cloud.ensure_up(home)
    identity = Identity.read(HomePaths.of(home).cloud_file)
    assert identity is not None
    assert probe.ask(identity) is not None
    stranger = Identity(identity.api_port, identity.store_port, identity.access_key, "guessed")
    assert probe.ask(stranger) is None


def test_down_keeps_running_jobs_and_the_store_they_need(home: Path) -> None:
    cloud.ensure_up(home)
    before = cloud.status(home)
    assert before is not None
    _add_job(home, "working")
    report = cloud.down(home)
    assert report == cloud.DownReport(True, False, (), ("working",))
    assert ProcessId.of(before.store_pid or 0) is not None
    _end_job(home, "working")
    assert cloud.down(home).store_stopped


def test_stopping_does_not_wait_for_a_job_that_nobody_runs(home: Path) -> None:
    cloud.ensure_up(home)
    os.kill(_server_pid(home), signal.SIGKILL)
    records = Records(HomePaths.of(home).records)
    records.create(JobRecord.new("lost", TRAINING, "arn:lost", job_request("lost"), 1000.0, "Starting"))
    assert cloud.down(home, stop_jobs=True).running_jobs == ("lost",)
    records.transition("lost", "Failed")
    records.close()


def test_a_cloud_that_cannot_start_says_why(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apiserver.sys, "executable", "/bin/false")
    with pytest.raises(Unreachable, match="does not start"):
        cloud.ensure_up(home)


def test_the_folder_of_the_socket_must_be_ours(tmp_path: Path) -> None:
    paths = HomePaths.of(tmp_path / "home")
    paths.runtime.symlink_to(tmp_path)
    try:
        with pytest.raises(InputError, match="is no folder"):
            cloud.ensure_up(tmp_path / "home")
    finally:
        paths.runtime.unlink()


def test_a_shell_gets_all_it_needs_and_loses_what_would_interfere(home: Path, tmp_path: Path) -> None:
    address = cloud.ensure_up(home)
    script = tmp_path / "exports.sh"
    program = (
        "import boto3; print(boto3.client('sagemaker').list_training_jobs()['TrainingJobSummaries'], "
        "boto3.client('s3').list_buckets()['Buckets'][0]['Name'])"
    )
    script.write_text("\n".join([*shell.shell_exports(address), f"{sys.executable} -c {shlex.quote(program)}"]))
    environ = os.environ | {"AWS_PROFILE": "of-work", "AWS_SESSION_TOKEN": "of-work"}
    answer = subprocess.run(["bash", str(script)], env=environ, capture_output=True, text=True, timeout=60)
    assert answer.stdout == "[] batchrl-local\n", answer.stderr
    config = HomePaths.of(home).sdk_config.read_text()
    assert "TelemetryOptOut: true" in config
    assert "DefaultS3Bucket: batchrl-local" in config


def test_gc_removes_what_is_of_no_use_and_says_so(home: Path) -> None:
    cloud.ensure_up(home)
    paths = HomePaths.of(home)
    for name in ("ended", "running"):
        _add_job(home, name)
        paths.job(name).ml.mkdir(parents=True)
        (paths.job(name).ml / "data").write_bytes(b"x" * 10_000)
        paths.job(name).logs.mkdir()
    _end_job(home, "ended")
    (paths.jobs / "orphan").mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(paths.socket("stale")))
    collected = cleanup.gc(home)
    removed = collected.removed
    assert not collected.kept
    assert [item.path.relative_to(paths.jobs) for item in removed if item.path.is_relative_to(paths.jobs)] == [
        Path("ended/ml"),
        Path("orphan"),
    ]
    assert removed[0].size_bytes >= 10_000
    assert paths.socket("stale") in [item.path for item in removed]
    assert paths.job("ended").logs.exists()
    assert paths.job("running").ml.exists()
    assert of_cloud("sagemaker", cloud.ensure_up(home)).list_training_jobs()["TrainingJobSummaries"] != []
    _end_job(home, "running")


def test_no_process_list_shows_a_secret(home: Path) -> None:
    address = cloud.ensure_up(home)
    status = cloud.status(home)
    assert status is not None
    for pid in (status.server_pid, status.store_pid):
        assert address.secret_key.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_it_listens_on_loopback_only(home: Path) -> None:
    address = cloud.ensure_up(home)
    identity = Identity.read(HomePaths.of(home).cloud_file)
    assert identity is not None
    assert address.api_url == f"http://127.0.0.1:{identity.api_port}"
    ports = {f"{identity.api_port:04X}", f"{identity.store_port:04X}"}
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if " 0A " in line]
    ours = [entry for entry in listening if entry.split(":")[1] in ports]
    assert len(ours) == 2
    assert {entry.split(":")[0] for entry in ours} == {"0100007F"}


def test_boto3_from_the_environment_alone_works(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = cloud.ensure_up(home)
    for line in shell.shell_exports(address)[1:]:
        name, _, value = line.removeprefix("export ").partition("=")
        monkeypatch.setenv(name, shlex.split(value)[0])
    session = boto3.Session()
    assert session.client("sts").get_caller_identity()["Account"] == address.account_id
    session.client("s3").put_object(Bucket=address.bucket, Key="x", Body=b"1")
    assert session.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []
