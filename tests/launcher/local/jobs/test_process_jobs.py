"""Jobs from their record to their end, as processes."""

from __future__ import annotations

import json
import os
import signal
import stat

import pytest

from launcher.local.events.eventfile import read

WRITE_ALL = """
import os, pathlib
pathlib.Path(os.environ["SM_MODEL_DIR"], "weights").write_text("w")
folder = pathlib.Path(os.environ["SM_OUTPUT_DATA_DIR"], "deep")
folder.mkdir()
(folder / "x").write_text("x")
"""
HANDLE_TERM = """
import os, pathlib, signal, sys, time
def save(*arguments):
    pathlib.Path(os.environ["SM_MODEL_DIR"], "weights").write_text("saved")
    print("saved")
    sys.exit(CODE)
signal.signal(signal.SIGTERM, save)
print("up")
while True:
    time.sleep(0.1)
"""


def test_A67_A68_A79_A99_a_script_that_ends_well_is_completed_with_its_results(cloud):
    """Nothing else is kept, and keys and members are the cloud's (contract 26, 77, 78, 218, 219)."""
    job = cloud.job("import os\nprint('hello', os.environ['TRAINING_JOB_NAME'])\n" + WRITE_ALL).start()
    record = job.wait()
    assert record.failure_reason is None
    assert job.statuses == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert job.lines == [f"hello {job.name}"]
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"weights": b"w"}
    assert cloud.store.members(f"{job.prefix}/output/output.tar.gz") == {"deep/x": b"x"}
    assert record.model_artifacts == f"s3://shim-tests/{job.prefix}/output/model.tar.gz"
    assert record.size_bytes > 0
    assert record.executor == "process"
    assert not job.ml.exists()


def test_A12_A13_A15_A18_the_environment_of_a_job(cloud):
    variables = {"LINES": "a\nb", "TRAINING_JOB_NAME": "other"}
    cloud.environ |= {"AWS_PROFILE": "caller", "AWS_SESSION_TOKEN": "caller", "SM_OLD": "x"}
    job = cloud.job(
        "import json, os; print(json.dumps(dict(os.environ)))",
        Environment=variables,
    ).start()
    record = job.wait()
    environ = json.loads(job.lines[0])
    assert environ["LINES"] == "a\nb"
    assert environ["TRAINING_JOB_NAME"] == job.name
    assert environ["TRAINING_JOB_ARN"] == record.arn
    assert environ["AWS_REGION"] == environ["AWS_DEFAULT_REGION"] == "us-east-1"
    assert environ["AWS_ACCESS_KEY_ID"].startswith("BATCHRLJOB")
    assert cloud.store.identity.secret_key not in job.lines[0]
    assert environ["AWS_ENDPOINT_URL"] == cloud.address.api_url
    assert environ["AWS_ENDPOINT_URL_S3"] == cloud.address.s3_url
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "SM_OLD", "BATCHRL_HOME"} & environ.keys()


def test_A16_a_job_without_a_network_gets_no_credentials(cloud):
    job = cloud.job(
        "import os; print(sorted(k for k in os.environ if 'AWS' in k))", EnableNetworkIsolation=True
    ).start()
    job.wait()
    assert job.lines == ["['AWS_DEFAULT_REGION', 'AWS_REGION']"]


def test_A2_A4_an_entrypoint_of_the_requests_own_gets_its_arguments_alone(cloud):
    algorithm = {"ContainerEntrypoint": ["/bin/sh", "-c"], "ContainerArguments": ["echo $0 $1", "one", "two"]}
    job = cloud.job(None, AlgorithmSpecification=algorithm, HyperParameters={"a": "1"}).start()
    assert job.wait().status == "Completed"
    assert job.lines == ["one two"]


def test_A5_a_program_that_does_not_exist_fails_the_job(cloud):
    job = cloud.job(None, AlgorithmSpecification={"ContainerEntrypoint": ["/no/such/program"]}).start()
    record = job.wait()
    assert record.status == "Failed"
    assert record.failure_reason.startswith("AlgorithmError: /no/such/program cannot be started: No such file")
    assert record.failure_reason.endswith("exit code: 127")


def test_A74_A79_A81_A87_a_failed_script_is_told_in_its_own_words_and_its_results_are_kept(cloud):
    job = cloud.job(WRITE_ALL + "raise ValueError('bad things')").start()
    record = job.wait()
    assert record.status == "Failed"
    assert record.failure_reason.startswith("AlgorithmError: ValueError: bad things\n")
    assert record.failure_reason.endswith(", exit code: 1")
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"weights": b"w"}
    assert "ValueError: bad things" in job.lines
    assert not job.ml.exists()


def test_A80_a_long_failure_is_cut_and_keeps_its_exit_code(cloud):
    job = cloud.job("raise ValueError('x' * 5000)").start()
    reason = job.wait().failure_reason
    assert len(reason) == 1024
    assert reason.startswith("AlgorithmError: ValueError: xxx") and reason.endswith(", exit code: 1")


def test_A79_a_failure_file_with_exit_code_0_does_not_fail_a_job(cloud):
    job = cloud.job("import os, pathlib; pathlib.Path(os.environ['SM_OUTPUT_DIR'], 'failure').write_text('x')").start()
    assert job.wait().status == "Completed"


def test_A71_A72_a_job_without_results_is_completed_and_its_model_is_named(cloud):
    job = cloud.job("print('nothing')").start()
    record = job.wait()
    assert record.status == "Completed"
    assert record.model_artifacts.endswith("/output/model.tar.gz")
    assert cloud.store.keys(f"{job.prefix}/") == []


def test_A69_an_uncompressed_model_is_plain_objects(cloud):
    job = cloud.job(WRITE_ALL, OutputDataConfig={"CompressionType": "NONE"}).start()
    record = job.wait()
    assert record.model_artifacts == f"s3://shim-tests/{job.prefix}/output/model"
    assert cloud.store.get(f"{job.prefix}/output/model/weights") == b"w"
    assert f"{job.prefix}/output/model.tar.gz" not in cloud.store.keys(f"{job.prefix}/")


@pytest.mark.parametrize("code", [0, 5])
def test_A88_A89_A75_a_stopped_job_saves_its_model_and_is_stopped_whatever_its_exit_code(cloud, code):
    job = cloud.job(HANDLE_TERM.replace("CODE", str(code))).start()
    job.wait_for_line("up")
    cloud.records.request_stop(job.name)
    record = job.wait()
    assert (record.status, record.secondary_status, record.failure_reason) == ("Stopped", "Stopped", None)
    assert job.statuses[-4:] == ["Training", "Stopping", "Uploading", "Stopped"]
    assert job.lines == ["up", "saved"]
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"weights": b"saved"}


def test_A88_a_script_that_ignores_the_stop_is_killed_after_the_grace(cloud):
    cloud.environ["BATCHRL_STOP_GRACE_SECONDS"] = "1"
    job = cloud.job(
        WRITE_ALL + "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up')\ntime.sleep(100)\n"
    ).start()
    job.wait_for_line("up")
    cloud.records.request_stop(job.name)
    record = job.wait(20)
    assert record.status == "Stopped"
    stopping, uploading = record.transitions[-3:-1]
    assert 1 <= uploading.started_at - stopping.started_at < 5
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"weights": b"w"}


def test_a_job_that_is_stopped_before_it_starts_never_runs(cloud):
    job = cloud.job("print('ran')")
    cloud.records.request_stop(job.name)
    record = job.start().wait()
    assert (record.status, job.lines) == ("Stopped", [])
    assert not job.ml.exists()


def test_A90_A113_an_expression_without_end_keeps_no_job_from_its_time_limit(cloud):
    expression = r"(a+)+$"
    job = cloud.job(
        f"import time\nprint('loss=2 {'a' * 40}!')\ntime.sleep(600)",
        StoppingCondition={"MaxRuntimeInSeconds": 8},
        AlgorithmSpecification={
            "MetricDefinitions": [{"Name": "trap", "Regex": expression}, {"Name": "loss", "Regex": "loss=([0-9]+)"}]
        },
    ).start()
    record = job.wait()
    assert (record.status, record.secondary_status) == ("Stopped", "MaxRuntimeExceeded")
    assert [(metric.name, metric.value) for metric in record.metrics] == [("loss", 2.0)]
    assert any("metric 'trap'" in line and expression in line for line in job.lines)


def test_A90_a_job_past_its_time_is_stopped_as_MaxRuntimeExceeded(cloud):
    job = cloud.job(HANDLE_TERM.replace("CODE", "0"), StoppingCondition={"MaxRuntimeInSeconds": 1}).start()
    record = job.wait()
    assert (record.status, record.secondary_status) == ("Stopped", "MaxRuntimeExceeded")
    assert record.failure_reason is None
    assert job.lines == ["up", "saved"]


def test_A83_a_script_that_is_killed_fails_with_137(cloud):
    job = cloud.job("import os; print(os.getpid()); import time; time.sleep(100)").start()
    job.wait_for_line("")
    os.kill(int(job.lines[0]), signal.SIGKILL)
    record = job.wait()
    assert record.status == "Failed"
    assert "SIGKILL" in record.failure_reason and record.failure_reason.endswith("exit code: 137")


def test_what_a_job_left_running_ends_with_it(cloud):
    job = cloud.job(
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'], start_new_session=True)\n"
    ).start()
    assert job.wait(20).status == "Completed"
    from launcher.local.executors.process import job_processes

    assert job_processes(job.ml) == []


def test_a_forkserver_without_jobs_ends_quietly(cloud):
    forkserver = cloud.warm_shim().forkserver
    forkserver.stdin.close()
    assert forkserver.wait(timeout=30) == 0


def test_a_job_has_one_shim(cloud):
    job = cloud.job("import time; print('up'); time.sleep(1)").start()
    job.wait_for_line("up")
    first = job.record.shim_pid
    cloud.warm_shim().take("training", job.name)
    shim_log = cloud.home.job(job.name).shim_log
    cloud.wait_until(lambda: f"has a shim already: process {first}" in shim_log.read_text(), "the second one ends")
    assert job.record.shim_pid == first
    assert job.wait().status == "Completed"
    assert job.lines == ["up"]


def test_what_a_dead_shim_left_is_reaped(cloud):
    from launcher.local.executors.process import job_processes
    from launcher.local.executors.reap import reap

    job = cloud.job("import time; print('up'); time.sleep(100)").start()
    job.wait_for_line("up")
    job.shim.kill()
    assert job_processes(job.ml) != []
    reap(cloud.home, job.record)
    assert job_processes(job.ml) == []


def test_the_files_of_a_job_are_its_owners_alone(cloud):
    job = cloud.job("print('up')").start()
    job.wait()
    folder = cloud.home.job(job.name).folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "shim.log").stat().st_mode) == 0o600


def test_the_event_file_tells_the_life_of_a_job(cloud):
    cloud.store.put("ck/events/old", b"1")
    cloud.store.put("data/events/a.csv", b"12345")
    script = "import os, pathlib; print('up'); pathlib.Path('/'.join([os.environ['CK'], 'new'])).write_text('2')"
    job = cloud.job(
        "import os, pathlib\nos.environ['CK'] = os.environ['SM_MODEL_DIR'] + '/../checkpoints'\n" + script,
        channels={"training": "s3://shim-tests/data/events/"},
        CheckpointConfig={"S3Uri": "s3://shim-tests/ck/events"},
    ).start()
    record = job.wait()
    assert record.status == "Completed"
    events = [one.event for one in read(cloud.home.job(job.name).events)]
    by_kind = {}
    for event in events:
        by_kind.setdefault(event.kind, []).append(event)
    assert [event.status for event in by_kind["status"]] == job.statuses[1:]
    downloaded = {event.channel: event for event in by_kind["input_downloaded"]}
    assert (downloaded["training"].files, downloaded["training"].size_bytes) == (1, 5)
    assert by_kind["checkpoints_restored"][0].files == 1
    assert by_kind["program_started"][0].handle == record.container
    assert by_kind["first_output"] and by_kind["program_ended"][0].exit_code == 0
    assert by_kind["checkpoint_uploaded"][0].key == "ck/events/new"
    assert by_kind["checkpoints_finished"][0].error is None
    assert [(one.folder, one.error) for one in by_kind["folder_published"]] == [("model", None), ("output data", None)]
    assert by_kind["store_used"][0].upload_bytes >= 1
    assert by_kind["shim_began"][0].pid == record.shim_pid
    assert stat.S_IMODE(cloud.home.job(job.name).events.stat().st_mode) == 0o600


def test_a_stop_and_its_signals_are_in_the_event_file(cloud):
    cloud.environ["BATCHRL_STOP_GRACE_SECONDS"] = "1"
    job = cloud.job("import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('up')\ntime.sleep(100)\n").start()
    job.wait_for_line("up")
    cloud.records.request_stop(job.name)
    job.wait(20)
    told = [
        one.event for one in read(cloud.home.job(job.name).events) if one.event.kind in ("cut_short", "signal_sent")
    ]
    assert [getattr(event, "why", None) or event.signal for event in told] == ["stop", "SIGTERM", "SIGKILL"]
