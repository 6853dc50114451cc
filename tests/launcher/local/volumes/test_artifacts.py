"""Archives and uploads, without a job around them."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import tarfile
from pathlib import Path

import botocore.exceptions
import pytest

from batchrl.contract.archive import extract, pack
from batchrl.contract.errors import InputError, Unreachable
from batchrl.contract.layout import JobLayout, S3Url
from batchrl.contract.nofollow import JobFolder
from batchrl.contract.paths import JobPaths
from batchrl.contract.published import load_manifest
from launcher.local.host.faults import algorithm_reason, storage_fault
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
    assert pack(JobFolder(folder), tmp_path / "a.tar.gz").members
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
        pack(JobFolder(folder), tmp_path / f"{name}.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_A71_nothing_is_made_of_an_empty_folder(tmp_path):
    (tmp_path / "model").mkdir()
    assert not pack(JobFolder(tmp_path, "model"), tmp_path / "a.tar.gz").members
    assert not pack(JobFolder(tmp_path, "absent"), tmp_path / "a.tar.gz").members
    assert not (tmp_path / "a.tar.gz").exists()


def test_A76_a_full_disk_is_a_ClientError_about_the_upload(tmp_path, session_store, monkeypatch):
    model = tmp_path / "ml" / "model"
    model.mkdir(parents=True)
    (model / "w").write_bytes(os.urandom(1_000_000))
    monkeypatch.setattr(artifacts, "pack", lambda folder, file: pack(folder, Path("/dev/full")))
    monkeypatch.setattr(artifacts, "retry", functools.partial(retry, patience=0))
    layout = JobLayout(S3Url("shim-tests", "full"), "job")
    done = artifacts.publish(session_store.client, layout, *folders(tmp_path), tmp_path, compressed=True)
    assert [fault.reason for fault in done.faults] == [
        "ClientError: upload of the job's model: the disk is full (No space left on device)."
    ]


def folders(top):
    return JobFolder(top, "ml/model"), JobFolder(top, "ml/output/data")


def test_what_was_published_is_listed_with_its_digest_and_leaves_nothing_behind(tmp_path, session_store):
    paths = JobPaths(tmp_path / "ml")
    for folder in (paths.model, paths.output_data):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    layout = JobLayout(S3Url("shim-tests", "published"), "job")
    published = artifacts.publish(session_store.client, layout, *folders(tmp_path), tmp_path, compressed=True)
    assert not published.faults
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
    assert algorithm_reason(3, JobFolder(tmp_path), False) == "AlgorithmError: , exit code: 3"
    assert "out of memory" in algorithm_reason(137, JobFolder(tmp_path), True)
    assert algorithm_reason(3, JobFolder(tmp_path), False, "no space") == "AlgorithmError: no space, exit code: 3"


def test_A80_a_failure_file_that_is_no_text_is_told_all_the_same(tmp_path):
    (tmp_path / "failure").write_bytes(b"\xff" * 5000)
    reason = algorithm_reason(1, JobFolder(tmp_path), False)
    assert len(reason) == 1024 and reason.endswith(", exit code: 1")


def test_a_failure_file_that_is_a_link_out_is_not_read(tmp_path):
    (tmp_path / "secret").write_text("top secret")
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "failure").symlink_to(tmp_path / "secret")
    reason = algorithm_reason(1, JobFolder(tmp_path, "output"), False)
    assert "a link that leaves its folder" in reason and "top secret" not in reason


def test_what_is_wrong_with_the_model_does_not_keep_the_output_from_its_bucket(tmp_path, session_store):
    (tmp_path / "ml" / "output" / "data").mkdir(parents=True)
    (tmp_path / "ml" / "output" / "data" / "x").write_text("x")
    (tmp_path / "ml" / "model").symlink_to("/etc")
    layout = JobLayout(S3Url("shim-tests", "apart"), "job")
    done = artifacts.publish(session_store.client, layout, *folders(tmp_path), tmp_path, compressed=True)
    (fault,) = done.faults
    assert fault.reason.startswith("ClientError: upload of the job's model: ")
    assert "/ml/model: 'model' is a link to /etc, which is not followed." in fault.reason
    assert load_manifest(session_store.client, layout.output).files.keys() == {"output.tar.gz"}


def test_a_full_disk_is_waited_for_at_the_end_of_a_job_alone(session_store):
    for waits, expected in ((True, 3), (False, 1)):
        time, calls = Time(), []

        def action(calls=calls):
            calls.append(1)
            if len(calls) < 3:
                raise OSError(errno.ENOSPC, "full")

        with contextlib.suppress(OSError):
            retry(
                "packing",
                session_store.client,
                action,
                waits_for_room=waits,
                clock=lambda time=time: time.now,
                sleep=time.sleep,
            )
        assert len(calls) == expected


def test_a_name_that_is_no_utf8_is_kept_in_an_archive_and_comes_out_of_it(tmp_path):
    name = os.fsdecode(b"weights\xff.bin")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / name).write_bytes(b"w")
    pack(JobFolder(tmp_path, "model"), tmp_path / "a.tar.gz")
    extract(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out" / name).read_bytes() == b"w"


def test_links_that_leave_are_left_out_of_an_archive_and_named(tmp_path):
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "weights").write_text("w")
    (folder / "inside").symlink_to(folder / "weights")  # spelled from the root, as scripts do
    (folder / "deep" / "up").symlink_to("../weights")
    (folder / "out").symlink_to("/etc/passwd")
    (folder / "by-way-of").symlink_to("deep/../../model/weights")
    (folder / "gone").symlink_to("nothing")
    os.link(folder / "weights", folder / "same")
    packed = pack(JobFolder(tmp_path, "model"), tmp_path / "a.tar.gz")
    assert packed.left_out == {
        "out": "a link that leaves its folder",
        "by-way-of": "a link that leaves its folder",
        "gone": "a link that leads nowhere",
    }
    extract(tmp_path / "a.tar.gz", tmp_path / "out")
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")) == [
        "deep",
        "deep/up",
        "inside",
        "same",
        "weights",
    ]
    assert {(tmp_path / "out" / name).read_text() for name in ("inside", "deep/up", "same")} == {"w"}
