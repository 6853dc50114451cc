"""Spot jobs whose capacity is taken away: they start again from their checkpoints, and from nothing else."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchrl.contract.errors import InputError
from launcher.api.constants import TRAINING
from launcher.local import cloud as clouds
from launcher.local.host.home import JobHome
from launcher.local.host.jobrules import JobRules
from launcher.local.jobs.spot import SpotCapacity
from launcher.local.records.jobrecord import JobRecord
from launcher.local.server.operations.training import _times

if TYPE_CHECKING:
    from conftest import Cloud

# Counts its starts in a checkpoint, leaves a file that no later start may find, and waits unless it is the last.
COUNTING = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
left = pathlib.Path(os.environ["SM_MODEL_DIR"], "left.txt")
kept = left.parents[1] / "checkpoints" / "starts.txt"
assert not left.exists()
starts = len(kept.read_text().split()) if kept.exists() else 0
kept.write_text("start " * (starts + 1))
left.write_text("of start " + str(starts))
print("start", starts, flush=True)
if starts < {last}:
    time.sleep(60)
"""
SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 900},
}


def spot_job(cloud: Cloud, last: int = 2):  # type: ignore[no-untyped-def]
    checkpoints = {"S3Uri": f"s3://batchrl-local/checkpoints-{time.time_ns()}"}
    return cloud.job(COUNTING.replace("{last}", str(last)), CheckpointConfig=checkpoints, **SPOT)


def test_A102_an_interrupted_job_starts_again_from_its_checkpoints(cloud: Cloud) -> None:
    job = spot_job(cloud).start()
    for start in range(2):
        job.wait_for_line(f"start {start}")
        clouds.interrupt(job.name, cloud.home.root)
    record = job.wait()
    assert record.secondary_status == "Completed", record.failure_reason
    assert job.statuses == [
        *("Starting", "Downloading", "Training", "Interrupted") * 2,
        *("Starting", "Downloading", "Training", "Uploading", "Completed"),
    ]
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"left.txt": b"of start 2"}
    streams = [name for name, _ in cloud.home.job(job.name).log_streams()]
    assert len(streams) == 3, "each start has a log stream of its own"
    assert not cloud.home.job(job.name).interruption.exists()


def test_a_stop_of_an_interrupted_job_ends_it(cloud: Cloud) -> None:
    job = spot_job(cloud, last=9).start()
    job.wait_for_line("start 0")
    clouds.interrupt(job.name, cloud.home.root)
    job.wait_for_line("start 1")
    cloud.records.request_stop(job.name)
    assert job.wait().secondary_status == "Stopped"


def test_a_rate_interrupts_without_being_asked(cloud: Cloud) -> None:
    JobRules(interruptions_per_hour=3600 * 4, interruption_seed=1).write(cloud.home.job_rules)
    record = spot_job(cloud, last=1).start().wait()
    assert record.secondary_status == "Completed", record.failure_reason
    assert "Interrupted" in [entry.status for entry in record.transitions]


def test_what_cannot_be_interrupted_is_refused(cloud: Cloud) -> None:
    with pytest.raises(InputError, match="there is no training job 'nobody'"):
        clouds.interrupt("nobody", cloud.home.root)
    plain = cloud.job("import time; time.sleep(60)").start()
    with pytest.raises(InputError, match="runs on no spot capacity"):
        clouds.interrupt(plain.name, cloud.home.root)
    cloud.records.request_stop(plain.name)
    plain.wait()
    with pytest.raises(InputError, match=r"has ended \(Stopped\)"):
        clouds.interrupt(plain.name, cloud.home.root)


def capacity(tmp_path: Path, now: list[float], rules: JobRules | None = None, **request: object) -> SpotCapacity:
    record = JobRecord.new("job", TRAINING, "arn", {**SPOT, **request}, 1000.0, "")
    return SpotCapacity(record, JobHome(tmp_path), rules or JobRules(), lambda: now[0])


def test_A93_waiting_and_running_together_are_limited(tmp_path: Path) -> None:
    now = [1100.0]
    spot = capacity(tmp_path, now)
    spot.begin()
    assert spot.left_to_run(600) == 600
    now[0] = 1500.0
    spot.end()
    spot.begin()
    assert spot.left_to_run(600) == 200, "400 of 600 seconds were run"
    assert not spot.waited_too_long
    now[0] = 1850.0
    assert spot.left_to_run(600) == 50, "900 seconds from the job's creation"
    now[0] = 1900.0
    assert spot.waited_too_long


def test_the_times_of_a_rate_are_those_of_the_seed_and_the_job(tmp_path: Path) -> None:
    def first(rules: JobRules) -> float:
        now = [2000.0]
        spot = capacity(tmp_path, now, rules)
        spot.begin()
        while not spot.is_taken():
            now[0] += 1
        return now[0]

    rules = JobRules(interruptions_per_hour=60, interruption_seed=3)
    assert first(rules) == first(rules) != first(replace(rules, interruption_seed=4))


def test_a_job_without_spot_capacity_is_never_interrupted(tmp_path: Path) -> None:
    spot = capacity(tmp_path, [5000.0], JobRules(interruptions_per_hour=1e9), EnableManagedSpotTraining=False)
    spot.begin()
    JobHome(tmp_path).interruption.write_text("")
    assert not spot.is_taken() and not spot.waited_too_long


def test_time_without_capacity_is_not_billed(cloud: Cloud) -> None:
    job = spot_job(cloud, last=1).start()
    job.wait_for_line("start 0")
    clouds.interrupt(job.name, cloud.home.root)
    record = job.wait()
    times = _times(record)
    assert record.started_at is not None and record.ended_at is not None
    assert 1 <= times["BillableTimeInSeconds"] <= record.ended_at - record.started_at + 1
