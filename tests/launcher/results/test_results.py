"""Results: pulled whole although the store damages them, read as a table, drawn, waited for."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from serving_cloud import Body, FakeSession

from batchrl.contract import columns
from batchrl.contract.errors import DamagedContent, InputError, JobFailed
from batchrl.contract.layout import JobLayout, S3Url
from batchrl.contract.manifest import Manifest, sha256_of
from launcher.jobs.objects import wait_for_s3_object
from launcher.jobs.training import Job
from launcher.reports.policies import fetch_policy
from launcher.results.metrics import Metrics
from launcher.results.plot import plot
from launcher.results.pull import ATTEMPTS

JOB = "prefix/job"
INTERMEDIATE = f"{JOB}/output/intermediate"


class Bucket:
    """An S3 in memory, whose answers can be damaged on their way."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.gets: list[str] = []
        self.damage: Callable[[str, int, bytes], bytes] = lambda key, nth, body: body
        self.meta = type("Meta", (), {"endpoint_url": "http://127.0.0.1:1"})()
        self._lock = threading.Lock()

    def put(self, key: str, body: bytes, etag: str | None = None) -> None:
        self.objects[key] = body
        self.etags[key] = etag or f'"{hashlib.md5(body).hexdigest()}"'

    def put_synced(self, name: str, body: bytes) -> None:
        """A file that a job published, with its manifest."""
        self.put(f"{INTERMEDIATE}/{name}", body)
        key = f"{INTERMEDIATE}/batchrl-manifest.json"
        manifest = Manifest.from_bytes(self.objects[key]) if key in self.objects else Manifest()
        manifest.publish(name, len(body), sha256_of(body))
        self.put(key, manifest.to_bytes())

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        if Key not in self.objects:
            raise botocore.exceptions.ClientError({"Error": {"Code": "404"}}, "HeadObject")
        return {"ContentLength": len(self.objects[Key])}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        if Key not in self.objects:
            raise botocore.exceptions.ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        with self._lock:
            self.gets.append(Key)
            nth = self.gets.count(Key)
        body = self.damage(Key, nth, self.objects[Key])
        return {"Body": Body(body), "ContentLength": len(body), "ETag": self.etags[Key]}

    def get_paginator(self, operation: str) -> Bucket:
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803
        return [
            {"Contents": [{"Key": key, "Size": len(body), "ETag": self.etags[key]}]}
            for key, body in sorted(self.objects.items())
            if key.startswith(Prefix)
        ]


class ResultsSession(FakeSession):
    def __init__(self, bucket: Bucket) -> None:
        super().__init__(bucket)
        self.job_status = "InProgress"

    def _make_client(self, service: str) -> Any:
        return self.cloud if service == "s3" else self

    meta = type("Meta", (), {"endpoint_url": "http://127.0.0.1:1"})()

    def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:  # noqa: N803
        return {
            "TrainingJobStatus": self.job_status,
            "FailureReason": "AlgorithmError: x",
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/prefix"},
        }

    def revive(self) -> None:
        raise AssertionError


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def session(bucket: Bucket) -> ResultsSession:
    return ResultsSession(bucket)


@pytest.fixture
def job(session: ResultsSession) -> Job:
    return Job("job", session)


def archive(name: str, content: bytes) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as packed:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        packed.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def fill(bucket: Bucket) -> None:
    bucket.put(f"{JOB}/output/model.tar.gz", archive("model.json", b"{}"))
    bucket.put(f"{JOB}/output/output.tar.gz", archive("evaluation.json", b"[]"))
    bucket.put(f"{JOB}/checkpoints/epoch_0001.pt", b"weights" * 100)
    bucket.put(f"{JOB}/checkpoints-of-another/x.pt", b"other")
    bucket.put_synced(columns.INTERMEDIATE_CSV, b"Epoch\n1\n")
    bucket.put_synced("gifs/episode.gif", b"GIF")


def test_all_results_arrive_as_they_lie_in_the_bucket(job: Job, bucket: Bucket, tmp_path: Path) -> None:
    fill(bucket)
    report = job.pull(tmp_path / "new" / "folder", unpack=True)
    assert report.files == (
        "checkpoints/epoch_0001.pt",
        "output/intermediate/gifs/episode.gif",
        f"output/intermediate/{columns.INTERMEDIATE_CSV}",
        "output/model.tar.gz",
        "output/output.tar.gz",
    )
    assert (report.downloaded, report.skipped) == (5, 0)
    assert (report.folder / "output" / "model" / "model.json").read_bytes() == b"{}"
    assert (report.folder / "output" / "data" / "evaluation.json").read_bytes() == b"[]"


def test_what_is_there_and_good_is_not_fetched_again_and_what_is_damaged_is(
    job: Job, bucket: Bucket, tmp_path: Path
) -> None:
    fill(bucket)
    job.pull(tmp_path)
    (tmp_path / "checkpoints" / "epoch_0001.pt").write_bytes(b"WEIGHTS" * 100)
    report = job.pull(tmp_path)
    assert (report.downloaded, report.skipped, report.bytes) == (1, 4, 700)


@pytest.mark.parametrize(
    ("what", "key"),
    [
        ("intermediate", f"{INTERMEDIATE}/{columns.INTERMEDIATE_CSV}"),
        ("checkpoints", f"{JOB}/checkpoints/epoch_0001.pt"),
        ("model", f"{JOB}/output/model.tar.gz"),
    ],
)
@pytest.mark.parametrize("how", [lambda body: body[:-3], lambda body: b"?" + body[1:]], ids=["cut", "changed"])
def test_a_damaged_body_is_fetched_again(
    job: Job, bucket: Bucket, tmp_path: Path, what: str, key: str, how: Callable[[bytes], bytes]
) -> None:
    fill(bucket)
    bucket.damage = lambda asked, nth, body: how(body) if asked == key and nth < 3 else body
    job.pull(tmp_path, what)
    (found,) = [path for path in tmp_path.rglob("*") if path.name == key.rpartition("/")[2]]
    assert found.read_bytes() == bucket.objects[key]
    assert bucket.gets.count(key) == 3


def test_content_that_stays_damaged_is_refused_and_leaves_nothing_behind(
    job: Job, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bucket)
    monkeypatch.setattr("launcher.results.pull.PAUSE_SECONDS", 0)
    key = f"{JOB}/checkpoints/epoch_0001.pt"
    bucket.damage = lambda asked, nth, body: body[::-1] if asked == key else body
    with pytest.raises(DamagedContent, match="epoch_0001"):
        job.pull(tmp_path, "checkpoints")
    assert bucket.gets.count(key) == ATTEMPTS
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def put_archive_with_manifest(bucket: Bucket, name: str, body: bytes) -> str:
    """An archive as a local job publishes it: in several parts, its sha256 beside it."""
    manifest = Manifest()
    manifest.publish(name, len(body), sha256_of(body))
    bucket.put(f"{JOB}/output/{name}", body, etag='"0123456789abcdef0123456789abcdef-3"')
    bucket.put(f"{JOB}/output/batchrl-manifest.json", manifest.to_bytes())
    return f"{JOB}/output/{name}"


@pytest.mark.parametrize(("what", "name"), [("model", "model.tar.gz"), ("output", "output.tar.gz")])
def test_an_archive_that_changed_in_the_store_is_refused_by_its_manifest(
    job: Job, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, name: str
) -> None:
    monkeypatch.setattr("launcher.results.pull.PAUSE_SECONDS", 0)
    body = archive("content.json", b"{}")
    key = put_archive_with_manifest(bucket, name, body)
    bucket.put(key, body[:20] + b"????" + body[24:])
    with pytest.raises(DamagedContent, match=name):
        job.pull(tmp_path, what, unpack=True)
    assert bucket.gets.count(key) == ATTEMPTS
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_archive_of_several_parts_is_fetched_until_its_manifest_agrees(
    job: Job, bucket: Bucket, tmp_path: Path
) -> None:
    body = archive("model.json", b"{}")
    key = put_archive_with_manifest(bucket, "model.tar.gz", body)
    bucket.put(f"{JOB}/output/model.tar.gz.old", b"of somebody else")
    bucket.damage = lambda asked, nth, body: body[::-1] if asked == key and nth < 3 else body
    report = job.pull(tmp_path, "model", unpack=True)
    assert report.files == ("output/model.tar.gz",)
    assert (tmp_path / "output" / "model.tar.gz").read_bytes() == body
    assert (tmp_path / "output" / "model" / "model.json").read_bytes() == b"{}"
    assert job.pull(tmp_path, "model").skipped == 1


@pytest.mark.parametrize("pointer", ["latest.json", "best.json"])
def test_a_checkpoint_is_what_its_pointer_says(
    job: Job, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pointer: str
) -> None:
    monkeypatch.setattr("launcher.results.pull.PAUSE_SECONDS", 0)
    body, key = b"weights" * 100, f"{JOB}/checkpoints/epoch_0007.pt"
    said = {"checkpoint": "epoch_0007.pt", "epoch": 7, "size": len(body), "sha256": sha256_of(body)}
    bucket.put(f"{JOB}/checkpoints/{pointer}", json.dumps(said).encode())
    bucket.put(key, b"WEIG" + body[4:])
    with pytest.raises(DamagedContent, match="epoch_0007"):
        job.pull(tmp_path, "checkpoints")
    assert not (tmp_path / "checkpoints" / "epoch_0007.pt").exists()
    bucket.put(key, body, etag='"0123456789abcdef0123456789abcdef-3"')
    job.pull(tmp_path, "checkpoints")
    assert (tmp_path / "checkpoints" / "epoch_0007.pt").read_bytes() == body


def test_a_pull_tells_what_is_named_and_not_there(job: Job, bucket: Bucket, tmp_path: Path) -> None:
    bucket.put(f"{JOB}/checkpoints/latest.json", json.dumps({"checkpoint": "epoch_0007.pt"}).encode())
    bucket.put(f"{JOB}/checkpoints/best.json", json.dumps({"checkpoint": "epoch_0003.pt"}).encode())
    bucket.put(f"{JOB}/checkpoints/epoch_0003.pt", b"weights")
    bucket.put_synced("ope.csv", b"x")
    bucket.put_synced("gone.csv", b"x")
    del bucket.objects[f"{INTERMEDIATE}/gone.csv"]
    report = job.pull(tmp_path)
    place = f"s3://bucket/{JOB}"
    assert sorted(report.missing) == [
        f"{place}/checkpoints/latest.json names epoch_0007.pt, which is not there",
        f"{place}/output/intermediate/batchrl-manifest.json names gone.csv, which is not there",
    ]
    bucket.put(f"{JOB}/checkpoints/epoch_0007.pt", b"weights")
    assert job.pull(tmp_path, "checkpoints").missing == ()


@pytest.mark.parametrize("fault", ["missing", "damaged"])
def test_a_policy_whose_pointer_names_nothing_whole_is_the_newest_whole_one(
    job: Job,
    bucket: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: str,
) -> None:
    monkeypatch.setattr("launcher.results.pull.PAUSE_SECONDS", 0)
    said = {"checkpoint": "epoch_0009.pt", "size": 7, "sha256": sha256_of(b"weights")}
    bucket.put(f"{JOB}/checkpoints/best.json", json.dumps(said).encode())
    for epoch in (3, 5):
        bucket.put(f"{JOB}/checkpoints/epoch_000{epoch}.pt", b"%d" % epoch)
    bucket.put(f"{JOB}/checkpoints/folder/epoch_0010.pt", b"of somebody else")
    if fault == "damaged":
        bucket.put(f"{JOB}/checkpoints/epoch_0009.pt", b"WEIGHTS")
    fetched = fetch_policy(job, tmp_path)
    assert fetched.path.read_bytes() == b"5"
    told = capsys.readouterr().err
    assert "epoch_0009.pt" in told and "The newest whole checkpoint is taken instead: epoch_0005.pt." in told
    for epoch in (3, 5):
        del bucket.objects[f"{JOB}/checkpoints/epoch_000{epoch}.pt"]
    with pytest.raises(DamagedContent, match=r"epoch_0009\.pt"):
        fetch_policy(job, tmp_path)


@pytest.mark.parametrize("content", [b"not json", b"[]", b'{"checkpoint": 1}', b'{"checkpoint": "x.pt", "size": 1}'])
def test_a_file_of_the_users_own_named_like_a_pointer_is_only_a_file(
    job: Job, bucket: Bucket, tmp_path: Path, content: bytes
) -> None:
    bucket.put(f"{JOB}/checkpoints/latest.json", content)
    bucket.put(f"{JOB}/checkpoints/model.tar.gz", b"no archive")
    job.pull(tmp_path, "checkpoints", unpack=True)
    assert (tmp_path / "checkpoints" / "latest.json").read_bytes() == content


def test_an_object_of_several_parts_is_checked_by_its_size(job: Job, bucket: Bucket, tmp_path: Path) -> None:
    bucket.put(f"{JOB}/checkpoints/big.pt", b"x" * 1000, etag='"0123456789abcdef0123456789abcdef-3"')
    bucket.damage = lambda key, nth, body: body[:10] if nth == 1 else body
    job.pull(tmp_path, "checkpoints")
    assert (tmp_path / "checkpoints" / "big.pt").stat().st_size == 1000


def test_A71_a_job_without_results_says_so(job: Job, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results in S3"):
        job.pull(tmp_path)
    with pytest.raises(InputError, match="It may be all, model"):
        job.pull(tmp_path, "modle")


def test_keys_that_lead_out_of_the_folder_are_refused(job: Job, bucket: Bucket, tmp_path: Path) -> None:
    bucket.put(f"{JOB}/checkpoints/../../evil", b"x")
    with pytest.raises(InputError, match="evil"):
        job.pull(tmp_path / "inside")
    assert not (tmp_path / "evil").exists()


def csv(epochs: int, blank: tuple[int, ...] = (), intervals: bool = True) -> bytes:
    names = [columns.EPOCH, *columns.ESTIMATES]
    if intervals:
        names += [bound(name) for name in columns.ESTIMATES for bound in (columns.lower, columns.upper)]
    rows = [",".join(names)]
    for epoch in range(1, epochs + 1):
        cells = [str(epoch)]
        for position, _ in enumerate(names[1:]):
            spread = 0 if position < 5 else (-3 if position % 2 else 3)
            cells.append("" if epoch in blank else f"{20 + epoch * 0.5 + spread}")
        rows.append(",".join(cells))
    return ("\n".join(rows) + "\n").encode()


def test_estimates_come_as_a_table(job: Job, bucket: Bucket) -> None:
    bucket.put_synced(columns.INTERMEDIATE_CSV, csv(5, blank=(2,)))
    frame = job.metrics().frame
    assert list(frame[columns.EPOCH]) == [1, 2, 3, 4, 5]
    assert frame[columns.WIS].isna().tolist() == [False, True, False, False, False]


def test_a_torn_csv_is_never_given(job: Job, bucket: Bucket) -> None:
    bucket.put_synced(columns.INTERMEDIATE_CSV, csv(5))
    bucket.damage = lambda key, nth, body: body[:-20] if key.endswith(".csv") and nth < 4 else body
    assert len(job.metrics().frame) == 5


def test_a_job_without_estimates_says_so(job: Job) -> None:
    with pytest.raises(InputError, match="has published no estimates"):
        job.metrics()


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00"])
def test_a_file_that_is_no_table_of_estimates_is_refused(content: bytes) -> None:
    with pytest.raises(DamagedContent):
        Metrics.parse("job", content)


@pytest.mark.parametrize(
    "content",
    [csv(50), csv(2), csv(1), csv(5, blank=(1, 3)), csv(5, intervals=False)],
    ids=["50", "2", "1", "gaps", "plain"],
)
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_curves_are_drawn(content: bytes, suffix: str, tmp_path: Path) -> None:
    metrics = Metrics.parse("job-name", content)
    path = metrics.plot(tmp_path / "new" / f"ope{suffix}")
    head = path.read_bytes()[:200]
    assert head.startswith(b"\x89PNG") if suffix == ".png" else b"svg" in head
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("content", "name"), [(csv(3, blank=(1, 2, 3)), "x.png"), (csv(3), "x.bmp")])
def test_what_cannot_be_drawn_is_told(content: bytes, name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        plot(Metrics.parse("job", content).frame, "job", tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_waiting_for_an_object_polls_and_downloads_it(
    session: ResultsSession, bucket: Bucket, clock: Any, tmp_path: Path
) -> None:
    key = f"{INTERMEDIATE}/{columns.INTERMEDIATE_CSV}"
    slept = clock.sleep

    def sleep(seconds: float) -> None:
        slept(seconds)
        if clock.now() > 20 and key not in bucket.objects:
            bucket.put_synced(columns.INTERMEDIATE_CSV, csv(3))

    clock.sleep = sleep
    found = wait_for_s3_object(
        "bucket", key, tmp_path / "made", "sub", session=session, training_job_name="job", clock=clock
    )
    assert found == [str(tmp_path / "made" / "sub" / columns.INTERMEDIATE_CSV)]
    assert Path(found[0]).read_bytes() == csv(3)
    assert 20 < clock.now() < 25


def test_waiting_ends_with_the_job_that_failed(session: ResultsSession, clock: Any, tmp_path: Path) -> None:
    session.job_status = "Failed"
    with pytest.raises(JobFailed, match="AlgorithmError: x"):
        wait_for_s3_object("bucket", "nothing", tmp_path, session=session, training_job_name="job", clock=clock)


def test_waiting_ends_at_its_timeout(session: ResultsSession, clock: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="did not appear within 1200 s"):
        wait_for_s3_object("bucket", "nothing", tmp_path, session=session, clock=clock)
    assert clock.now() <= 1201


def test_the_last_ones_of_many_are_downloaded_and_only_what_is_wanted(
    session: ResultsSession, bucket: Bucket, clock: Any, tmp_path: Path
) -> None:
    for n in range(30):
        bucket.put(f"many/{n:02d}.txt", b"x")
        bucket.put(f"many/{n:02d}.gif", b"x")
    found = wait_for_s3_object(
        "bucket", "many/", tmp_path, session=session, fetch_only=lambda item: item.key.endswith(".txt"), clock=clock
    )
    assert [Path(name).name for name in found] == [f"{n:02d}.txt" for n in range(10, 30)]


def test_the_manifest_of_a_synced_folder_is_no_result(
    session: ResultsSession, bucket: Bucket, clock: Any, tmp_path: Path
) -> None:
    bucket.put_synced("a.csv", b"a")
    bucket.put_synced("z.csv", b"z")
    found = wait_for_s3_object("bucket", f"{INTERMEDIATE}/", tmp_path, session=session, limit=2, clock=clock)
    assert [Path(name).name for name in found] == ["a.csv", "z.csv"]
    manifest = f"{INTERMEDIATE}/batchrl-manifest.json"
    assert wait_for_s3_object("bucket", manifest, tmp_path, session=session, clock=clock) == [
        str(tmp_path / "batchrl-manifest.json")
    ]


def test_the_layout_is_the_contracts() -> None:
    assert str(JobLayout(S3Url("bucket", "prefix"), "job").intermediate) == f"s3://bucket/{INTERMEDIATE}"
