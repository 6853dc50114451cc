"""What ``batchrl doctor JOB`` says of real small jobs that were driven into a fault."""

from __future__ import annotations

import os
import signal
import time

import pytest

from launcher.diagnosis.local import facts_of
from launcher.diagnosis.report import diagnose
from launcher.local.events.eventfile import read
from launcher.local.events.kinds import StoreFailed
from launcher.local.events.processes import command_of, processes_of
from launcher.local.host.jobrules import JobRules

SLEEP = "import time\nprint('up')\ntime.sleep(100)\n"


def report(cloud, record, **changes):
    return diagnose(facts_of(record, cloud.home.root, **changes))


def verdict(job):
    return report(job.cloud, job.record).verdict


def processes(job, text):
    """Processes of a job whose command line holds a text."""
    return [one.pid for one in processes_of(job.record.container) if text in command_of(one.pid)]


def test_a_script_that_raises(cloud):
    job = cloud.job("print('epoch 7')\nraise ValueError('bad things')").start()
    job.wait()
    found = verdict(job)
    assert found.code == "script_failed"
    assert found.said == "The script failed (exit code 1): ValueError: bad things"
    assert "log: ValueError: bad things" in found.evidence and "log: epoch 7" in found.evidence


def test_a_script_that_somebody_kills(cloud):
    job = cloud.job(SLEEP).start()
    job.wait_for_line("up")
    (script,) = processes(job, "script.py")
    os.kill(script, signal.SIGKILL)
    job.wait()
    found = verdict(job)
    assert found.code == "killed"
    assert "SIGKILL, which came from outside" in found.said


def test_the_first_process_of_a_job_that_somebody_kills(cloud):
    job = cloud.job(SLEEP).start()
    job.wait_for_line("up")
    os.kill(int(job.record.container), signal.SIGKILL)
    job.wait()
    assert verdict(job).code == "killed"


def test_a_script_that_reaches_its_time_limit(cloud):
    job = cloud.job(SLEEP, StoppingCondition={"MaxRuntimeInSeconds": 1}).start()
    job.wait()
    found = verdict(job)
    assert found.code == "max_runtime"
    assert "MaxRuntimeInSeconds (1 s) was over" in found.evidence[0]
    assert any("SIGTERM was sent" in line for line in found.evidence)


def test_a_script_that_wants_more_memory_than_it_may_have(cloud):
    script = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2**28, 2**28))\nbytearray(2**29)\n"
    job = cloud.job(script).start()
    job.wait()
    found = verdict(job)
    assert found.code == "out_of_memory" and "AlgorithmError: MemoryError" in found.evidence


@pytest.mark.engine
def test_a_container_that_the_kernel_ends_for_want_of_memory(cloud, image):
    JobRules(memory_bytes=2**28).write(cloud.home.job_rules)
    script = "print('up')\nblocks = []\nwhile True:\n    blocks.append(bytearray(b'x' * 10_000_000))\n"
    job = cloud.job(script, instance_type="local", AlgorithmSpecification={"TrainingImage": image}).start()
    job.wait()
    told = facts_of(job.record, cloud.home.root)
    assert told.memory == 2**28
    found = diagnose(told).verdict
    assert found.code == "out_of_memory"
    assert "the kernel ended" in " ".join(found.evidence)


@pytest.mark.engine
def test_a_container_that_hangs_is_seen_from_outside(cloud, image):
    job = cloud.job(SLEEP, instance_type="local", AlgorithmSpecification={"TrainingImage": image}).start()
    job.wait_for_line("up")
    assert verdict(job).code == "healthy"
    later = report(cloud, job.record, clock=lambda: time.time() + 400).verdict
    assert later.code == "hung"
    assert any("waits in" in line and "script.py" in line for line in later.evidence)


def test_a_script_that_fills_the_disk(cloud):
    job = cloud.job("with open('/dev/full', 'w') as file:\n    file.write('x' * 100_000)\n").start()
    job.wait()
    found = verdict(job)
    assert found.code == "disk_full" and "No space left on device" in " ".join(found.evidence)


def test_a_store_that_goes_away_for_a_while(cloud):
    script = (
        "import os, pathlib, time\nfolder = pathlib.Path(os.environ['SM_MODEL_DIR'], '..', 'checkpoints')\n"
        "print('up')\nwhile not os.path.exists(GO):\n    time.sleep(0.05)\n"
        "(folder / 'a').write_text('1')\ntime.sleep(2)\n"
    )
    go = cloud.home.root.parent / "go"
    job = cloud.job(script.replace("GO", repr(str(go))), CheckpointConfig={"S3Uri": "s3://shim-tests/ck/away"}).start()
    job.wait_for_line("up")
    cloud.store.stop()
    go.touch()
    events = cloud.home.job(job.name).events
    cloud.wait_until(
        lambda: any(isinstance(one.event, StoreFailed) for one in read(events)), "the failing store is told"
    )
    assert verdict(job).code == "store_away"
    cloud.store.start()
    assert job.wait().status == "Completed"
    told = report(cloud, job.record)
    assert told.verdict.code == "completed"
    assert "store_outages" in [note.code for note in told.notes]


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0, "was not found"),
        ("no program\n", 0o755, "no program for this machine"),
        ("#!/bin/sh\n", 0o644, "chmod"),
    ],
)
def test_an_entry_point_that_cannot_be_started(cloud, tmp_path, content, mode, said):
    program = tmp_path / "program"
    if content is not None:
        program.write_text(content)
        program.chmod(mode)
    job = cloud.job(None, AlgorithmSpecification={"ContainerEntrypoint": [str(program)]}).start()
    job.wait()
    found = verdict(job)
    assert found.code == "not_startable" and said in found.said


def test_a_script_that_is_not_in_the_code(cloud):
    code = f"s3://shim-tests/code/{cloud.job('print()').name}/"
    job = cloud.job(None, channels={"code": code}, hyperparameters={"sagemaker_program": "other.py"}).start()
    job.wait()
    found = verdict(job)
    assert found.code == "entry_point_missing" and "other.py" in " ".join(found.evidence)


def test_requirements_that_cannot_be_had(cloud):
    job = cloud.job("print()", files={"requirements.txt": "/no/such/wheel-1.0-py3-none-any.whl\n"}).start()
    job.wait()
    found = verdict(job)
    assert found.code == "requirements_failed" and "/no/such" in " ".join(found.evidence)


def test_an_input_that_is_not_there(cloud):
    job = cloud.job("print()", channels={"training": "s3://shim-tests/nothing-here/"}).start()
    job.wait()
    found = verdict(job)
    assert found.code == "input_missing" and "s3://shim-tests/nothing-here/" in " ".join(found.evidence)


@pytest.mark.engine
def test_an_image_that_is_not_there(cloud):
    algorithm = {"TrainingImage": "no/such:image"}
    job = cloud.job("print()", instance_type="local", AlgorithmSpecification=algorithm).start()
    job.wait()
    found = verdict(job)
    assert found.code == "image_missing" and "no/such:image" in found.said


def test_a_job_that_runs_hangs_is_suspended_or_loses_its_shim(cloud):
    job = cloud.job(SLEEP).start()
    job.wait_for_line("up")
    assert verdict(job).code == "healthy"
    later = report(cloud, job.record, clock=lambda: time.time() + 400).verdict
    assert later.code == "hung"
    assert any("waits in" in line and "script.py" in line for line in later.evidence)
    held = [one.pid for one in processes_of(job.record.container)]
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    assert verdict(job).code == "suspended"
    for pid in held:
        os.kill(pid, signal.SIGCONT)
    job.shim.kill()
    assert verdict(job).code == "shim_died_now"


def test_a_script_that_computes_in_silence(cloud):
    job = cloud.job("print('up')\nwhile True:\n    pass\n").start()
    job.wait_for_line("up")
    assert report(cloud, job.record, clock=lambda: time.time() + 400).verdict.code == "busy_silent"


@pytest.mark.parametrize("executor", ["local_process"])
def test_a_transform_job_whose_server_does_not_come_up(serving, executor):
    job = serving.transform({"a.jsonl": b"{}\n"}, executor, files={"code/serve.py": "raise SystemExit('no weights')"})
    record = job.run()
    found = report(job.cloud, record).verdict
    assert found.code == "server_unwell" and "no weights" in " ".join(found.evidence)


@pytest.mark.parametrize("executor", ["local_process"])
def test_an_endpoint_that_serves(serving, executor):
    endpoint = serving.endpoint(executor).start()
    endpoint.wait_for("InService")
    assert report(endpoint.cloud, endpoint.record).verdict.code == "healthy"


def test_a_metric_definition_that_takes_too_long_is_a_note(cloud):
    line = "a" * 40 + "b"
    definitions = [{"Name": "slow", "Regex": "(a+)+c"}]
    job = cloud.job(f"print('{line}')", AlgorithmSpecification={"MetricDefinitions": definitions}).start()
    job.wait()
    told = report(cloud, job.record)
    assert told.verdict.code == "completed"
    (note,) = [note for note in told.notes if note.code == "metrics_dropped"]
    assert "metric 'slow'" in note.evidence[0]
