"""Results that did not reach S3 stay on disk: ``cloud gc`` keeps them, ``batchrl recover`` publishes them."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from dataclasses import replace

import pytest

from batchrl.contract.errors import InputError, Unreachable
from launcher.api.constants import TRAINING, TRANSFORM
from launcher.local.cleanup import collect
from launcher.local.jobs.evidence import later_writer
from launcher.local.records import states
from launcher.local.records.records import JobRecord
from launcher.local.recovery import LOCK_NAME, recover_from
from launcher.local.shims.pool import ShimPool

WRITES_AND_WAITS = """
import os, pathlib, time
for variable in ("SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR", "SM_CHECKPOINT_DIR"):
    pathlib.Path(os.environ[variable], "result").write_text(variable)
print("written")
while True:
    time.sleep(0.05)
"""


def gc(cloud):
    return collect(cloud.home, lambda: cloud.store.client)


def recover(cloud, name):
    return recover_from(cloud.home, cloud.records, name, lambda: cloud.store.client)


def whose_shim_died(cloud, place, **fields):
    """A job that had written its results when its shim was killed, as the API server finds it."""
    job = cloud.job(
        WRITES_AND_WAITS, CheckpointConfig={"S3Uri": f"s3://shim-tests/recovered/{place}"}, **fields
    ).start()
    job.wait_for_line("written")
    job.shim.kill()
    ShimPool(cloud.home, cloud.records, ("true",)).reconcile()
    return job


@pytest.mark.parametrize("compression", ["GZIP", "NONE"])
def test_what_a_dead_shim_left_is_kept_by_gc_and_published_by_recover(cloud, compression):
    job = whose_shim_died(cloud, f"dead-{compression}", OutputDataConfig={"CompressionType": compression})
    assert job.record.status == "Failed"
    assert job.record.failure_reason.endswith(
        f"(its files are kept in {job.ml}; batchrl recover {job.name} publishes them)"
    )
    collected = gc(cloud)
    assert not collected.removed
    assert [(kept.path, f"batchrl recover {job.name}" in kept.why) for kept in collected.kept] == [(job.ml, True)]
    assert collected.kept[0].size_bytes > 0

    done = recover(cloud, job.name)
    assert (done.status, done.already, done.left_out) == ("Failed", False, ())
    if compression == "GZIP":
        assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"result": b"SM_MODEL_DIR"}
    else:
        assert cloud.store.get(f"{job.prefix}/output/model/result") == b"SM_MODEL_DIR"
    assert cloud.store.members(f"{job.prefix}/output/output.tar.gz") == {"result": b"SM_OUTPUT_DATA_DIR"}
    assert cloud.store.get(f"recovered/dead-{compression}/result") == b"SM_CHECKPOINT_DIR"
    record = job.record
    assert record.status == "Failed" and record.published_at is not None and record.size_bytes > 0
    assert record.failure_reason.endswith(f"(its results were published later, by batchrl recover {job.name})")
    assert "its files are kept" not in record.failure_reason
    assert not job.ml.exists()
    assert recover(cloud, job.name).already
    assert gc(cloud).removed == gc(cloud).kept == ()


def test_a_job_that_ended_well_is_known_to_be_published(cloud):
    job = cloud.job("print('x')").start()
    job.wait()
    assert job.record.published_at is not None
    assert recover(cloud, job.name).already


def test_gc_removes_what_is_in_s3_and_keeps_what_is_not(cloud):
    """A shim that was killed after it had published, before it had removed its tree."""
    job = whose_shim_died(cloud, "verified")
    saved = cloud.home.root / "saved"
    shutil.copytree(job.ml, saved)
    recover(cloud, job.name)

    def left_again():
        shutil.copytree(saved, job.ml)

    for key, named in (
        ("recovered/verified/result", "checkpoints/result"),
        (f"{job.prefix}/output/model.tar.gz", "ml/model"),
        (f"{job.prefix}/output/output.tar.gz", "ml/output/data"),
    ):
        left_again()
        content = cloud.store.get(key)
        for wrong in (None, content + b"longer"):
            cloud.store.client.delete_object(Bucket="shim-tests", Key=key)
            if wrong is not None:
                cloud.store.put(key, wrong)
            (kept,) = gc(cloud).kept
            assert f"{named} is not in S3 as it is here: batchrl recover {job.name}" in kept.why
        cloud.store.put(key, content)
        collected = gc(cloud)
        assert [removed.path for removed in collected.removed] == [job.ml] and not collected.kept
        assert not job.ml.exists()
    left_again()

    def unreachable():
        raise Unreachable("no answer")

    (kept,) = collect(cloud.home, unreachable).kept
    assert kept.why == "the store cannot be asked: no answer"


def test_gc_keeps_work_that_no_record_names(cloud):
    """Records that were lost must not cost the results of every job."""
    job = whose_shim_died(cloud, "orphan")
    cloud.records.delete(job.name)
    (kept,) = gc(cloud).kept
    assert kept.path == job.ml and "no job has this folder" in kept.why


def test_a_fault_that_lasts_is_told_and_the_rest_is_published(cloud):
    job = whose_shim_died(cloud, "partly")
    shutil.rmtree(job.ml / "model")
    (job.ml / "model").symlink_to("/etc")
    with pytest.raises(InputError, match=r"not all of the job .* could be published: .*'model' is a link to /etc"):
        recover(cloud, job.name)
    assert job.record.published_at is None
    assert cloud.store.members(f"{job.prefix}/output/output.tar.gz") == {"result": b"SM_OUTPUT_DATA_DIR"}
    (job.ml / "model").unlink()
    (job.ml / "model").mkdir()
    (job.ml / "model" / "mended").write_text("x")
    assert not recover(cloud, job.name).already
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"mended": b"x"}


def test_what_cannot_be_recovered_is_refused_in_words(cloud):
    running = cloud.job(WRITES_AND_WAITS, CheckpointConfig={"S3Uri": "s3://shim-tests/recovered/running"}).start()
    running.wait_for_line("written")
    with pytest.raises(InputError, match=r"has not ended \(Training\): it publishes its results itself"):
        recover(cloud, running.name)
    cloud.records.request_stop(running.name)
    with pytest.raises(InputError, match="the local cloud knows no training job 'nobody'"):
        recover(cloud, "nobody")
    cloud.records.create(JobRecord.new("scoring", TRANSFORM, "arn:scoring", {}, 1.0, "Starting"))
    with pytest.raises(InputError, match="'scoring' is a transform: only training jobs leave results on disk"):
        recover(cloud, "scoring")
    gone = whose_shim_died(cloud, "gone")
    shutil.rmtree(gone.ml)
    with pytest.raises(InputError, match="is Failed, and nothing of it is left in"):
        recover(cloud, gone.name)


def test_two_recoveries_of_one_job_do_not_meet(cloud):
    job = whose_shim_died(cloud, "two")
    handle = os.open(cloud.home.job(job.name).folder / LOCK_NAME, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(InputError, match="is being recovered by another command"):
        recover(cloud, job.name)
    os.close(handle)
    assert not recover(cloud, job.name).already


def test_recover_leaves_alone_the_checkpoints_of_the_job_that_went_on_from_them(cloud):
    job = whose_shim_died(cloud, "shared")
    later = cloud.job(None, CheckpointConfig={"S3Uri": "s3://shim-tests/recovered/shared/"})
    cloud.store.put("recovered/shared/result", b"of the later job")
    cloud.store.put("recovered/shared/latest.json", b"of the later job")
    (kept,) = gc(cloud).kept
    assert kept.why.endswith(f"but not its checkpoints: the job {later.name} writes to their place since")

    done = recover(cloud, job.name)
    (told,) = done.left_out
    assert f"the job {later.name} writes to s3://shim-tests/recovered/shared since" in told
    assert f"{job.ml / 'checkpoints'}; batchrl rm {job.name} --force" in told
    assert cloud.store.get("recovered/shared/result") == b"of the later job"
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"result": b"SM_MODEL_DIR"}
    assert (job.ml / "checkpoints" / "result").read_text() == "SM_CHECKPOINT_DIR"
    assert job.record.published_at is None and gc(cloud).kept


def test_gc_does_not_ask_for_checkpoints_that_are_another_jobs_by_now(cloud):
    """A shim that was killed after it had published; then its checkpoints were gone on from."""
    job = whose_shim_died(cloud, "gone-on")
    saved = cloud.home.root / "saved"
    shutil.copytree(job.ml, saved)
    recover(cloud, job.name)
    shutil.copytree(saved, job.ml)
    cloud.job(None, CheckpointConfig={"S3Uri": "s3://shim-tests/recovered/gone-on"})
    cloud.store.put("recovered/gone-on/result", b"of the later job")
    collected = gc(cloud)
    assert [removed.path for removed in collected.removed] == [job.ml] and not collected.kept


@pytest.mark.parametrize(
    ("theirs", "shared"),
    [
        ("s3://b/ck", True),
        ("s3://b/ck/", True),
        ("s3://b", True),
        ("s3://b/ck/below", True),
        ("s3://b/ck10", False),
        ("s3://c/ck", False),
        (None, False),
    ],
)
def test_whose_checkpoints_a_place_holds(theirs, shared):
    def of(name, place, at):
        return JobRecord.new(name, TRAINING, name, {"CheckpointConfig": {"S3Uri": place}} if place else {}, at, "")

    job, other = of("job", "s3://b/ck", 2.0), of("other", theirs, 3.0)
    assert later_writer(job, [job, other]) == ("other" if shared else None)
    assert later_writer(job, [job, replace(other, created_at=1.0)]) is None
    assert later_writer(job, [replace(other, status=states.FAILED)]) is None  # it never began


def ended(cloud, name, began=False):
    cloud.records.create(JobRecord.new(name, TRAINING, f"arn:{name}", {}, time.time(), ""))
    if began:
        cloud.records.transition(name, states.TRAINING)
    cloud.records.transition(name, states.FAILED)
    cloud.home.job(name).ml.mkdir(parents=True)
    return cloud.home.job(name).ml


def test_gc_removes_nothing_of_a_job_that_took_the_name_while_others_were_verified(cloud):
    reused, stays, verified = ended(cloud, "a"), ended(cloud, "b"), ended(cloud, "c", began=True)
    orphan = cloud.home.job("orphan").folder
    orphan.mkdir()
    cloud.records.update("c", published_at=1.0)

    def meanwhile():
        cloud.records.delete("a")
        for name in ("a", "orphan"):
            cloud.records.create(JobRecord.new(name, TRAINING, f"arn:{name}", {}, time.time(), ""))
        raise Unreachable("no answer")

    collected = collect(cloud.home, meanwhile)
    assert [removed.path for removed in collected.removed] == [stays]
    assert [kept.path for kept in collected.kept] == [verified]
    assert reused.exists() and orphan.exists()


def test_gc_measures_and_removes_a_tree_deeper_than_python_can_walk(cloud):
    deep = ended(cloud, "deep")
    handle = os.open(deep, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("level", dir_fd=handle)
        below = os.open("level", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    file = os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=handle)
    os.write(file, b"x" * 100_000)
    os.close(file)
    os.close(handle)
    (removed,) = gc(cloud).removed
    assert removed.error is None and removed.size_bytes >= 100_000
    assert not deep.exists()
