"""Jobs as containers of a real engine."""

from __future__ import annotations

import grp
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from launcher.local.engine.image import default_image
from launcher.local.executors.client import Engine, EngineUnusable
from launcher.local.executors.confinement import JOB_UID
from launcher.local.host.jobrules import JobRules

pytestmark = pytest.mark.engine

SLEEP = "import time\nprint('up')\ntime.sleep(100)\n"


@pytest.fixture
def container_job(cloud, image):
    """A job in the image of this tree."""

    def make(script, **fields):
        algorithm = {"TrainingImage": image, **fields.pop("AlgorithmSpecification", {})}
        return cloud.job(script, **{"instance_type": "local", **fields}, AlgorithmSpecification=algorithm)

    return make


def containers(job):
    """Ids of the job's containers, stopped ones too."""
    command = ["docker", "ps", "-aq", "--filter", f"label=org.batchrl.job={job.name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_A1_A6_A7_A11_A121_the_image_runs_as_PID_1_with_train_and_its_results_arrive(cloud, container_job):
    job = container_job(
        "import json, os, pathlib\n"
        "shm = os.statvfs('/dev/shm')\n"
        "print(json.dumps({\n"
        "    'parent': pathlib.Path(f'/proc/{os.getppid()}/cmdline').read_text().split(chr(0)), 'ppid': os.getppid(),\n"
        "    'uid': os.getuid(), 'home': os.access(os.environ['HOME'], os.W_OK), 'tty': os.isatty(1),\n"
        "    'shm': shm.f_blocks * shm.f_frsize, 'name': os.environ['TRAINING_JOB_NAME'],\n"
        "    'root': os.environ['SM_MODEL_DIR']}))\n"
        "pathlib.Path('/opt/ml/model/weights').write_text('w')\n"
    ).start()
    record = job.wait()
    assert record.failure_reason is None, job.lines
    assert record.executor == "docker"
    seen = json.loads(job.lines[0])
    assert seen["ppid"] == 1 and seen["parent"][1:4] == ["-m", "batchrl.boot", "train"]
    assert seen["uid"] == (os.getuid() or JOB_UID) and seen["home"] and not seen["tty"]
    assert seen["shm"] > 1_000_000_000
    assert (seen["name"], seen["root"]) == (job.name, "/opt/ml/model")
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"weights": b"w"}
    assert containers(job) == []
    assert list(cloud.home.runtime.glob("*.sock")) == [cloud.home.store_socket]


def test_server_and_store_are_reached_through_mounted_sockets(cloud, container_job):
    job = container_job(
        "import os, boto3\n"
        "s3 = boto3.client('s3', endpoint_url=os.environ['AWS_ENDPOINT_URL_S3'])\n"
        "key = f'out/{os.environ[\"TRAINING_JOB_NAME\"]}/from-container'\n"
        "s3.put_object(Bucket='shim-tests', Key=key, Body=b'x' * 10_000_000)\n"
        "print(len(s3.get_object(Bucket='shim-tests', Key=key)['Body'].read()))\n"
    ).start()
    assert job.wait().failure_reason is None, job.lines
    assert job.lines == ["10000000"]


def test_A107_A112_E220_the_intermediate_folder_is_synced_from_a_container(cloud, container_job):
    job = container_job(
        "import pathlib; pathlib.Path('/opt/ml/output/intermediate/table.csv').write_text('row')",
        hyperparameters={"sagemaker_s3_output": "s3://shim-tests/out"},
    ).start()
    assert job.wait().failure_reason is None, job.lines
    assert cloud.store.get(f"{job.prefix}/output/intermediate/table.csv") == b"row"


def test_A16_A122_isolation_is_no_network_and_no_credentials(container_job):
    job = container_job(
        "import json, os, socket\n"
        "print(sorted(name for name in os.environ if 'AWS' in name or 'FORWARD' in name))\n"
        "print([name for _, name in socket.if_nameindex()], os.path.exists('/run/batchrl'))\n",
        EnableNetworkIsolation=True,
    ).start()
    assert job.wait().failure_reason is None, job.lines
    assert job.lines == ["['AWS_DEFAULT_REGION', 'AWS_REGION']", "['lo'] False"]


@pytest.mark.parametrize(
    ("entrypoint", "arguments", "expected"),
    [
        (["/bin/echo"], None, ""),
        (None, ["one", "two words"], "usage: python3 -m batchrl.boot train|serve|run COMMAND...; got one two words."),
        (["/bin/echo", "zero"], ["one", "two words"], "zero one two words"),
    ],
)
def test_A2_A3_A4_entrypoint_and_arguments(container_job, entrypoint, arguments, expected):
    given = {"ContainerEntrypoint": entrypoint, "ContainerArguments": arguments}
    job = container_job(None, AlgorithmSpecification={name: value for name, value in given.items() if value}).start()
    job.wait()
    assert expected in job.lines[0]


def test_A5_an_image_without_a_program_fails_the_job(cloud, container_job, foreign_image):
    program = {"TrainingImage": foreign_image, "ContainerEntrypoint": ["no-such-program"]}
    job = container_job(None, AlgorithmSpecification=program).start()
    record = job.wait()
    assert record.failure_reason.startswith("AlgorithmError: the container cannot be started:")
    assert "no-such-program" in record.failure_reason and record.failure_reason.endswith("exit code: 127")
    assert containers(job) == []


def test_A8_A9_A10_A17_a_foreign_image_keeps_its_user_and_folder(cloud, container_job, foreign_image):
    job = container_job(None, AlgorithmSpecification={"TrainingImage": foreign_image}).start()
    record = job.wait()
    assert record.failure_reason is None, job.lines
    assert job.lines == ["train as 1234 in /usr/share, SM: , stdin: ", "input", "model", "output"]
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"private/weights": b"w\n"}
    assert not job.ml.exists()


def test_A20_checkpoints_outside_of_the_tree_are_mounted(cloud, container_job):
    prefix = f"{cloud.home.root.parent.name}/run"
    cloud.store.put(f"{prefix}/old", b"old")
    job = container_job(
        "import pathlib\nroot = pathlib.Path('/saved/here')\n"
        "print((root / 'old').read_text())\n(root / 'new').write_text('new')\n",
        CheckpointConfig={"S3Uri": f"s3://shim-tests/{prefix}", "LocalPath": "/saved/here"},
    ).start()
    assert job.wait().failure_reason is None, job.lines
    assert job.lines == ["old"]
    assert cloud.store.get(f"{prefix}/new") == b"new"


def test_links_as_a_container_spells_them_are_followed_inside_and_named_outside(cloud, container_job):
    prefix = f"{cloud.home.root.parent.name}/links"
    job = container_job(
        "import pathlib\nroot = pathlib.Path('/opt/ml/checkpoints')\n(root / 'epoch3.ckpt').write_text('three')\n"
        "(root / 'last.ckpt').symlink_to('/opt/ml/checkpoints/epoch3.ckpt')\n"
        "(root / 'hosts').symlink_to('/etc/hosts')\n",
        CheckpointConfig={"S3Uri": f"s3://shim-tests/{prefix}"},
    ).start()
    assert job.wait().failure_reason is None, job.lines
    assert cloud.store.keys(f"{prefix}/") == [f"{prefix}/epoch3.ckpt", f"{prefix}/last.ckpt"]
    assert cloud.store.get(f"{prefix}/last.ckpt") == b"three"
    assert job.lines == ["batchrl: left out of the checkpoints: 'hosts', a link that leaves its folder"]


def test_A88_A96_E227_a_stop_reaches_the_script_through_PID_1(cloud, container_job):
    job = container_job(
        "import pathlib, signal, sys, time\n"
        "def save(*arguments):\n    pathlib.Path('/opt/ml/model/w').write_text('saved'); sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, save)\n" + SLEEP
    ).start()
    job.wait_for_line("up")
    cloud.records.request_stop(job.name)
    record = job.wait()
    assert (record.status, record.failure_reason) == ("Stopped", None)
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"w": b"saved"}


def test_a_stop_right_after_the_start_is_not_lost(cloud, container_job):
    cloud.environ["BATCHRL_STOP_GRACE_SECONDS"] = "60"
    job = container_job(SLEEP).start()
    cloud.wait_until(lambda: job.record.secondary_status == "Training", "the job is Training")
    cloud.records.request_stop(job.name)
    assert job.wait(20).status == "Stopped"


def test_A88_a_container_that_ignores_the_stop_is_killed(cloud, container_job):
    cloud.environ["BATCHRL_STOP_GRACE_SECONDS"] = "1"
    job = container_job("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP).start()
    job.wait_for_line("up")
    cloud.records.request_stop(job.name)
    assert job.wait(20).status == "Stopped"
    assert containers(job) == []


def test_A81_A83_a_container_that_is_killed_fails_with_137(container_job):
    job = container_job(SLEEP).start()
    job.wait_for_line("up")
    subprocess.run(["docker", "kill", *containers(job)], check=True, capture_output=True)
    record = job.wait()
    assert record.status == "Failed" and record.failure_reason.endswith(", exit code: 137")


def test_what_a_dead_shim_left_is_reaped(cloud, container_job):
    from launcher.local.executors.reap import reap

    job = container_job(SLEEP).start()
    job.wait_for_line("up")
    job.shim.kill()
    assert len(containers(job)) == 1
    assert len(list(cloud.home.runtime.iterdir())) == 3
    reap(cloud.home, job.record)
    assert containers(job) == []
    assert list(cloud.home.runtime.iterdir()) == [cloud.home.store_socket]


def test_an_image_that_is_not_there_is_named_with_what_to_do(container_job):
    job = container_job("print('ran')", AlgorithmSpecification={"TrainingImage": "no/such/image:1"}).start()
    reason = job.wait().failure_reason
    assert reason.startswith("ClientError: image 'no/such/image:1' was not found")
    assert "batchrl image build" in reason


COACH = "520713654638.dkr.ecr.us-west-2.amazonaws.com/sagemaker-rl-tensorflow:coach0.11.0-cpu-py3"


def test_the_image_of_coach_is_ours_and_the_log_says_so(cloud, container_job):
    job = container_job("print('ran')", AlgorithmSpecification={"TrainingImage": COACH}).start()
    assert job.wait().status == "Completed", job.lines
    image = default_image()
    assert job.lines[0] == f"batchrl: {image} runs in place of the image {COACH} (batchrl cloud up --image-alias)"
    assert "ran" in job.lines
    events = [json.loads(line) for line in cloud.home.job(job.name).events.read_text().splitlines()]
    (started,) = (one for one in events if one["kind"] == "program_started")
    assert started["image"] == image


def test_an_alias_of_an_image_that_is_not_there_is_named_with_both(cloud, container_job):
    JobRules(image_aliases=("theirs:*=no/such/image:1",)).write(cloud.home.job_rules)
    job = container_job("print('ran')", AlgorithmSpecification={"TrainingImage": "theirs:2"}).start()
    reason = job.wait().failure_reason
    assert "image 'no/such/image:1' was not found" in reason and "where 'theirs:2' is named" in reason


def test_A120_GPUs_are_refused_where_the_engine_has_none(container_job):
    runtimes = subprocess.run(
        ["docker", "info", "-f", "{{json .Runtimes}}"], capture_output=True, text=True, check=True
    )
    if "nvidia" in json.loads(runtimes.stdout):
        pytest.skip("this engine has NVIDIA's runtime")
    reason = container_job("print('ran')", instance_type="local_gpu").start().wait().failure_reason
    assert reason.startswith("ClientError: instance type 'local_gpu' needs GPUs") and "'local'" in reason


def test_ml_types_run_in_containers_where_an_engine_answers(container_job):
    job = container_job(
        "import os; print(os.environ['SM_CURRENT_INSTANCE_TYPE'])", instance_type="ml.p3.2xlarge"
    ).start()
    record = job.wait()
    assert (record.executor, record.status, job.lines) == ("docker", "Completed", ["ml.p3.2xlarge"])


@pytest.mark.parametrize(("instance_type", "executor"), [("local", None), ("ml.m5.large", "process")])
def test_an_engine_on_another_machine_is_not_used(cloud, container_job, instance_type, executor):
    cloud.environ["DOCKER_HOST"] = "tcp://192.0.2.1:2375"
    job = container_job("print('ran')", instance_type=instance_type).start()
    record = job.wait()
    assert record.executor == executor
    if executor is None:
        assert record.failure_reason.startswith("ClientError: instance type 'local'")
        assert "tcp://192.0.2.1:2375" in record.failure_reason


@pytest.mark.parametrize("host", ["tcp://h:1", "ssh://h", "http://h", "unix:///no/such/socket"])
def test_why_an_engine_cannot_be_used_is_said_in_a_sentence(host, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(EngineUnusable, match=r"^[A-Zn].* .*\.$"):
        Engine.find()


def become_4242():
    """Command that runs another one as uid 4242, a member of group docker."""
    command = ["setpriv", "--reuid=4242", "--regid=4242", f"--groups={grp.getgrnam('docker').gr_gid}"]
    if all(folder.stat().st_mode & 0o001 for folder in Path(sys.executable).resolve().parents):
        return command
    # This Python lies where only root may look; looking is all that is allowed in addition.
    return [*command, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


@pytest.fixture
def home_of_4242():
    """A folder that uid 4242 owns, outside of pytest's own, which it could not enter."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    folder = Path(tempfile.mkdtemp(prefix="batchrl-4242-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("foreign", [False, True])
def test_A10_a_user_without_a_name_has_the_results_of_its_jobs(
    home_of_4242, session_store, image, foreign_image, make_cloud, foreign
):
    cloud = make_cloud(home_of_4242 / "home", session_store)
    cloud.prefix = become_4242()
    cloud.environ |= {"HOME": str(home_of_4242)}
    script = (
        "import os, pathlib; print(os.getuid(), os.environ['HOME']); pathlib.Path('/opt/ml/model/w').write_text('w')"
    )
    algorithm = {"TrainingImage": foreign_image if foreign else image}
    job = cloud.job(
        None if foreign else script,
        instance_type="local",
        AlgorithmSpecification=algorithm,
        OutputDataConfig={"S3OutputPath": "s3://no-such-bucket-here/out"},
    )
    for path in [home_of_4242 / "home", *(home_of_4242 / "home").rglob("*")]:
        os.chown(path, 4242, 4242)
    record = job.start().wait()
    # The bucket refuses the results, so that the job's files stay and their owner can be seen.
    assert "NoSuchBucket" in record.failure_reason, record.failure_reason
    files = [job.ml, *job.ml.rglob("*")]
    if foreign:  # whose files stay its user's, and can be read and removed by the caller
        assert job.ml / "model" / "private" / "weights" in files
        needed = {path: 0o007 if path.is_dir() else 0o006 for path in files}
        assert {path for path, bits in needed.items() if path.stat().st_mode & bits != bits} == set()
    else:
        assert {path.stat().st_uid for path in files} == {4242}
        assert job.lines[0].startswith("4242 /tmp/home-")
    shutil.rmtree(cloud.home.runtime.with_name(cloud.home.runtime.name.replace("-0-", "-4242-")), ignore_errors=True)
