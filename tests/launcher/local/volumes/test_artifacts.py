"""Archives and uploads, without a job around them."""

from __future__ import annotations

import errno
import os
import tarfile
from pathlib import Path

import botocore.exceptions
import pytest

from batchrl.contract.archive import pack
from batchrl.contract.errors import InputError, Unreachable
from batchrl.contract.layout import JobLayout, S3Url
from batchrl.contract.paths import JobPaths
from batchrl.contract.published import load_manifest
from launcher.local.host.faults import JobFault, algorithm_reason, storage_fault
from launcher.local.host.retry import retry
from launcher.local.volumes import artifacts


def refusal(status):
    answer = {"Error": {"Code": "X", "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.exceptions.ClientError(answer, "PutObject")


class Time:
    """A clock that only moves when somebody waits."""

    def __init__(self):
        self.now = 0.0

    def sleep(self, seconds):
        self.now += seconds


def test_A67_paths_are_relative_and_links_are_kept(tmp_path):
    folder = tmp_path / "model"
    (folder / "deep" / "empty").mkdir(parents=True)
    (folder / "deep" / "file").write_text("x")
    (folder / "link").symlink_to("deep/file")
    (folder / "loop").symlink_to(".")
    os.mkfifo(folder / "pipe")
    assert pack(folder, tmp_path / "a.tar.gz")
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        members = {member.name: member for member in tar.getmembers()}
    assert list(members) == ["deep", "link", "loop", "deep/empty", "deep/file"]
    assert members["link"].linkname == "deep/file"
    assert {(member.uid, member.uname, member.mtime) for member in members.values()} == {(0, "root", 315_532_800)}


def test_equal_contents_are_equal_archives(tmp_path):
    for name, order in (("one", ("a", "b")), ("two", ("b", "a"))):
        folder = tmp_path / name
        folder.mkdir()
        for file in order:
            (folder / file).write_text(file)
        pack(folder, tmp_path / f"{name}.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_A71_nothing_is_made_of_an_empty_folder(tmp_path):
    (tmp_path / "model").mkdir()
    assert not pack(tmp_path / "model", tmp_path / "a.tar.gz")
    assert not pack(tmp_path / "absent", tmp_path / "a.tar.gz")
    assert not (tmp_path / "a.tar.gz").exists()


def test_A76_a_full_disk_is_a_ClientError_about_the_upload(tmp_path, session_store, monkeypatch):
    paths = JobPaths(tmp_path / "ml")
    paths.model.mkdir(parents=True)
    (paths.model / "w").write_bytes(os.urandom(1_000_000))

    def publish_to_a_full_disk(client, folder, url, scratch):
        pack(folder, Path("/dev/full"))

    monkeypatch.setattr(artifacts, "_publish_archive", publish_to_a_full_disk)
    layout = JobLayout(S3Url("shim-tests", "full"), "job")
    with pytest.raises(JobFault, match=r"^ClientError: upload of the job's artifacts: the disk is full"):
        artifacts.publish(session_store.client, layout, paths, tmp_path, compressed=True)


def test_what_was_published_is_listed_with_its_digest_and_leaves_nothing_behind(tmp_path, session_store):
    paths = JobPaths(tmp_path / "ml")
    for folder in (paths.model, paths.output_data):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    layout = JobLayout(S3Url("shim-tests", "published"), "job")
    published = artifacts.publish(session_store.client, layout, paths, tmp_path, compressed=True)
    manifest = load_manifest(session_store.client, layout.output)
    assert manifest.files.keys() == {"model.tar.gz", "output.tar.gz"}
    assert published.size_bytes == sum(entry.size for entry in manifest.files.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ml"]


def test_an_upload_is_repeated_until_the_store_is_back(session_store):
    time, answers = Time(), iter([refusal(503), refusal(500), None])

    def action():
        if error := next(answers):
            raise error

    retry("upload", session_store.client, action, patience=600, clock=lambda: time.now, sleep=time.sleep)
    assert 0 < time.now < 10


def test_an_upload_is_given_up_after_its_time(session_store):
    time = Time()

    def action():
        raise refusal(503)

    with pytest.raises(Unreachable):
        retry("upload", session_store.client, action, patience=600, clock=lambda: time.now, sleep=time.sleep)
    assert 600 <= time.now < 620


def test_an_upload_that_is_refused_is_not_repeated(session_store):
    time = Time()

    def action():
        raise refusal(403)

    with pytest.raises(InputError):
        retry("upload", session_store.client, action, patience=600, clock=lambda: time.now, sleep=time.sleep)
    assert time.now == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x"), "ClientError: upload: the disk is full (/x)."),
        (OSError(errno.EACCES, "Permission denied", "/x"), "InternalServerError: upload: [Errno 13]"),
        (InputError("no such bucket"), "ClientError: upload: no such bucket"),
        (InputError("upload: no such bucket"), "ClientError: upload: no such bucket"),
        (Unreachable("no answer"), "InternalServerError: upload: no answer"),
        (ValueError("what"), "InternalServerError: upload: ValueError: what"),
    ],
)
def test_A82_whose_fault_it_is(error, reason):
    assert storage_fault("upload", error).reason.startswith(reason)


def test_A81_a_job_without_a_failure_file_has_an_empty_text(tmp_path):
    assert algorithm_reason(3, tmp_path / "failure", False) == "AlgorithmError: , exit code: 3"
    assert "out of memory" in algorithm_reason(137, tmp_path / "failure", True)


def test_A80_a_failure_file_that_is_no_text_is_told_all_the_same(tmp_path):
    (tmp_path / "failure").write_bytes(b"\xff" * 5000)
    reason = algorithm_reason(1, tmp_path / "failure", False)
    assert len(reason) == 1024 and reason.endswith(", exit code: 1")
