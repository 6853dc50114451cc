"""What real jobs leave on disk, on its way to S3: links, odd names, full disks."""

from __future__ import annotations

import pytest
from disks import fill

CHECKPOINTS = {"S3Uri": "s3://shim-tests/checkpoints/{name}"}
REPLACE = """
import os, pathlib, shutil
root = pathlib.Path(os.environ["SM_MODEL_DIR"]).parent
(root / "model" / "weights").write_text("w")
(root / "output" / "data" / "result").write_text("r")
(root / "checkpoints" / "epoch.pt").write_text("e")
place = root / "PLACE"
if place.is_dir():
    shutil.rmtree(place)
place.symlink_to("TARGET")
raise SystemExit(CODE)
"""


def job_of(cloud, script, **fields):
    job = cloud.job(script, **fields)
    return job.start()


def checkpoint_config(name):
    return {"S3Uri": f"s3://shim-tests/checkpoints/{name}"}


@pytest.mark.parametrize(
    ("place", "others"),
    [
        ("model", {"output.tar.gz", "epoch.pt"}),
        ("output/data", {"model.tar.gz", "epoch.pt"}),
        ("checkpoints", {"model.tar.gz", "output.tar.gz"}),
        ("output", {"model.tar.gz", "epoch.pt"}),
    ],
)
def test_a_folder_that_became_a_link_fails_the_job_by_name_and_leaks_nothing(cloud, tmp_path, place, others):
    secret = tmp_path / "secret"
    (secret / "data").mkdir(parents=True)
    for folder in (secret, secret / "data"):
        (folder / "passwords").write_text("hunter2")
    name = f"link-{place.replace('/', '-')}"
    script = REPLACE.replace("PLACE", place).replace("TARGET", str(secret)).replace("CODE", "0")
    job = job_of(cloud, script, CheckpointConfig=checkpoint_config(name))
    record = job.wait()
    assert record.status == "Failed"
    last = place.rpartition("/")[2]
    assert f"'{last}' is a link to {secret}, which is not followed." in record.failure_reason
    keys = cloud.store.keys(f"{job.prefix}/") + cloud.store.keys(f"checkpoints/{name}/")
    assert {key.rpartition("/")[2] for key in keys} >= others
    assert not [key for key in keys if b"hunter2" in cloud.store.get(key) or "passwords" in key]
    for key in keys:
        if key.endswith(".tar.gz"):
            assert b"hunter2" not in cloud.store.members(key).values()


def test_a_failure_file_that_became_a_link_is_not_read(cloud, tmp_path):
    (tmp_path / "secret").write_text("hunter2")
    script = REPLACE.replace("PLACE", "output/failure").replace("TARGET", str(tmp_path / "secret")).replace("CODE", "3")
    record = job_of(cloud, script, CheckpointConfig=checkpoint_config("failure")).wait()
    assert "a link that leaves its folder" in record.failure_reason and "hunter2" not in record.failure_reason


def test_links_between_checkpoints_are_uploaded_and_what_is_left_out_is_told_in_the_log(cloud):
    script = """
import os, pathlib
folder = pathlib.Path(os.environ["SM_CHECKPOINT_DIR"])
(folder / "epoch3.ckpt").write_text("three")
(folder / "last.ckpt").symlink_to(folder / "epoch3.ckpt")
(folder / "hosts").symlink_to("/etc/hosts")
model = pathlib.Path(os.environ["SM_MODEL_DIR"])
(model / "weights").write_text("w")
(model / "users").symlink_to("/etc/passwd")
"""
    job = job_of(cloud, script, CheckpointConfig=checkpoint_config("linked"))
    assert job.wait().status == "Completed"
    assert cloud.store.keys("checkpoints/linked/") == ["checkpoints/linked/epoch3.ckpt", "checkpoints/linked/last.ckpt"]
    assert cloud.store.get("checkpoints/linked/last.ckpt") == b"three"
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"weights": b"w"}
    assert job.lines == [
        "batchrl: left out of the checkpoints: 'hosts', a link that leaves its folder",
        "batchrl: left out of model.tar.gz: 'users', a link that leaves its folder",
    ]


def test_a_name_that_is_no_utf8_costs_only_itself_and_is_told_at_once(cloud):
    script = """
import os, pathlib
for variable in ("SM_CHECKPOINT_DIR", "SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR"):
    for name in (b"good", b"bad\\xff"):
        with open(os.path.join(os.environ[variable].encode(), name), "w") as file:
            file.write("x")
"""
    job = job_of(cloud, script, CheckpointConfig=checkpoint_config("names"))
    record = job.wait(30)
    assert record.status == "Failed"
    assert record.failure_reason.startswith(
        "ClientError: 1 checkpoint files did not reach s3://shim-tests/checkpoints/"
    )
    assert "bad\\xff" in record.failure_reason and "not UTF-8" in record.failure_reason
    assert cloud.store.keys("checkpoints/names/") == ["checkpoints/names/good"]
    assert sorted(cloud.store.members(f"{job.prefix}/output/model.tar.gz")) == ["bad\udcff", "good"]
    assert sorted(cloud.store.members(f"{job.prefix}/output/output.tar.gz")) == ["bad\udcff", "good"]


@pytest.mark.small_disk
def test_a_disk_that_is_full_for_a_while_costs_a_finished_job_nothing(make_cloud, session_store, small_disk):
    """The script prints more than a pipe holds while nothing can be written, and goes on; its model is published."""
    cloud, disk = make_cloud(small_disk / "home", session_store), small_disk
    script = """
import os, pathlib, time
go = pathlib.Path(os.environ["SM_MODEL_DIR"]).parents[2] / "full"
(go.parent / "ready").touch()
while not go.exists():
    time.sleep(0.01)
for number in range(3000):
    print("line", number, "x" * 100)
print("all is printed", flush=True)
(go.parent / "ready").unlink()
while go.exists():
    time.sleep(0.01)
pathlib.Path(os.environ["SM_MODEL_DIR"], "weights").write_text("w")
print("the end")
"""
    job = cloud.job(script).start()
    cloud.wait_until((disk / "home" / "jobs" / "ready").exists, "the script is up")
    (disk / "home" / "jobs" / "full").touch()
    filler = fill(disk)
    cloud.wait_until(lambda: not (disk / "home" / "jobs" / "ready").exists(), "the script printed all of it")
    filler.unlink()
    (disk / "home" / "jobs" / "full").unlink()
    record = job.wait()
    assert (record.status, record.failure_reason) == ("Completed", None)
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"weights": b"w"}
    assert any("lines of the log are missing here" in line for line in job.lines)
    assert job.lines[-1] == "the end"


@pytest.mark.small_disk
def test_a_script_that_dies_of_a_full_disk_is_told_of_by_its_output(make_cloud, session_store, small_disk):
    """Neither its failure file nor its log can be written."""
    cloud = make_cloud(small_disk / "home", session_store)
    script = """
import os, pathlib, sys, time
jobs = pathlib.Path(os.environ["SM_MODEL_DIR"]).parents[2]
failure = pathlib.Path(os.environ["SM_MODEL_DIR"]).parent / "output" / "failure"
failure.touch()
(jobs / "ready").touch()
while (jobs / "room").exists():
    time.sleep(0.01)
print("error: the disk is full while writing epoch_0003.pt.", file=sys.stderr, flush=True)
try:
    failure.write_text("error")
except OSError:
    (jobs / "ready").unlink()
sys.exit(2)
"""
    jobs = small_disk / "home" / "jobs"
    (jobs / "room").touch()
    job = cloud.job(script).start()
    cloud.wait_until((jobs / "ready").exists, "the script is up")
    filler = fill(small_disk)
    (jobs / "room").unlink()
    cloud.wait_until(lambda: not (jobs / "ready").exists(), "the script could not write")
    filler.unlink()
    record = job.wait()
    assert record.failure_reason == (
        "AlgorithmError: error: the disk is full while writing epoch_0003.pt., exit code: 2"
    )
