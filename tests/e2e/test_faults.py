"""What is killed, and what is lost: nothing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import tarfile
from pathlib import Path

import pandas as pd
import pytest
import torch
from jobs import EXECUTORS, kill_now, processes, wait_until

from batchrl.contract import columns
from batchrl.contract.download import download_prefix
from batchrl.contract.layout import S3Url
from launcher import RLEstimator

TICKS = 40
TICKING = f"""
import os, pathlib, time
output = pathlib.Path(os.environ["SM_OUTPUT_INTERMEDIATE_DIR"])
for tick in range({TICKS}):
    print("tick", tick, flush=True)
    (output / f"{{tick:03d}}.txt").write_text(str(tick))
    time.sleep(0.1)
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("done")
"""

OVERWRITING = f"""
import itertools, os, pathlib, time
folder = pathlib.Path(os.environ["SM_OUTPUT_INTERMEDIATE_DIR"])
name = {columns.INTERMEDIATE_CSV!r}
header = {",".join((columns.EPOCH, *columns.ESTIMATES))!r}
for turn in itertools.count():
    rows = range(1, turn % 400 + 2)
    temporary = folder / (name + ".tmp")
    lines = [f"{{row}}" + f",{{row}}.25" * {len(columns.ESTIMATES)} for row in rows]
    temporary.write_text("\\n".join([header, *lines, ""]))
    temporary.rename(folder / name)
    time.sleep(0.005)
"""


def server_of(home: Path) -> int:
    """Pid of the cloud's API server."""
    found = processes(lambda command, environ: "launcher.local.server.process" in command and str(home) in command)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("instance_type", EXECUTORS)
def test_a_killed_server_loses_nothing(session, home, command, script, instance_type):
    estimator = RLEstimator(
        entry_point="main.py", source_dir=str(script(TICKING)), instance_type=instance_type, session=session
    )
    job = estimator.fit(wait=False)
    wait_until("the script runs", lambda: any("tick 3" in line for line in job.logs(follow=False)))
    kill_now(server_of(home))
    assert job.name in command("ps").stdout
    session.revive()
    assert job.wait().status == "Completed"
    ticks = [line for line in job.logs(follow=False) if line.startswith("tick ")]
    assert ticks == [f"tick {tick}" for tick in range(TICKS)]
    place = S3Url.parse(job.intermediate_uri)
    names = {
        entry["Key"].rpartition("/")[2]
        for entry in session.s3.list_objects_v2(Bucket=place.bucket, Prefix=place.key)["Contents"]
    }
    assert {f"{tick:03d}.txt" for tick in range(TICKS)} <= names


def weights(folder: Path) -> str:
    """sha256 of the online network's weights in the newest checkpoint."""
    latest = json.loads((folder / "latest.json").read_text())["checkpoint"]
    state = torch.load(folder / latest, weights_only=True)
    digest = hashlib.sha256()

    def add(value: object) -> None:
        if isinstance(value, torch.Tensor):
            digest.update(value.contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            for key in sorted(value, key=str):
                add(value[key])
        elif isinstance(value, (list, tuple)):
            for item in value:
                add(item)

    add({key: value for key, value in state.items() if key in {"agent", "online", "target", "optimiser", "networks"}})
    assert digest.hexdigest() != hashlib.sha256().hexdigest(), list(state)
    return digest.hexdigest()


def table(session, job) -> pd.DataFrame:
    return job.metrics().frame.reset_index().drop(columns=[*columns.TIME_COLUMNS, "index"], errors="ignore")


def script_of(job_name: str) -> int:
    """Pid of the train.py that runs for a job, in either executor."""
    found = processes(
        lambda command, environ: (
            any(part.endswith("train.py") for part in command) and environ.get("TRAINING_JOB_NAME") == job_name
        )
    )
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("instance_type", EXECUTORS)
def test_a_killed_script_resumes_with_identical_weights(session, dataset, tmp_path, instance_type):
    def estimator(name: str) -> RLEstimator:
        return RLEstimator(
            entry_point="train.py",
            preset="cartpole-ddqn-bcq",
            instance_type=instance_type,
            hyperparameters={"epochs": 12, "reward_model.epochs": 5},
            checkpoint_s3_uri=f"s3://{session.default_bucket}/resume-{instance_type}/{name}",
            session=session,
        )

    whole = estimator("whole").fit({"training": str(dataset)}, logs=False)

    killed = estimator("killed").fit({"training": str(dataset)}, wait=False)
    wait_until("three epochs are done", lambda: sum("epoch=" in line for line in killed.logs(follow=False)) >= 3)
    kill_now(script_of(killed.name))
    state = killed.wait(check=False)
    assert state.status == "Failed"
    assert "SIGKILL" in state.failure_reason

    again = estimator("killed").fit({"training": str(dataset)}, logs=False)
    assert any("resumed after epoch" in line for line in again.logs(follow=False))
    folders = []
    for job in (whole, again):
        folder = tmp_path / job.name
        download_prefix(session.s3, S3Url.parse(job.checkpoint_uri), folder)
        folders.append(folder)
    assert weights(folders[0]) == weights(folders[1])
    pd.testing.assert_frame_equal(table(session, whole), table(session, again), check_exact=True)


def test_5000_reads_while_it_is_overwritten_give_no_torn_table(session, script):
    folder = script(OVERWRITING)
    estimator = RLEstimator(
        entry_point="main.py",
        source_dir=str(folder),
        instance_type="local_process",
        session=session,
    )
    job = estimator.fit(wait=False)
    place = S3Url.parse(job.intermediate_uri) / columns.INTERMEDIATE_CSV
    wait_until("the csv is there", lambda: _exists(session, place))
    lengths = set()
    try:
        for _ in range(5000):
            frame = job.metrics().frame.reset_index()
            rows = len(frame)
            lengths.add(rows)
            assert list(frame[columns.EPOCH].astype(int)) == list(range(1, rows + 1))
            assert frame[columns.SDR].iloc[-1] == rows + 0.25
    finally:
        job.stop()
        job.wait(check=False)
    assert len(lengths) > 20, "the csv did not change while it was read"


def _exists(session, place: S3Url) -> bool:
    return any(
        entry["Key"] == place.key
        for entry in session.s3.list_objects_v2(Bucket=place.bucket, Prefix=place.key).get("Contents", ())
    )


@pytest.mark.parametrize("instance_type", EXECUTORS)
def test_A88_A89_stop_lets_the_script_save(session, script, instance_type):
    folder = script(
        """
import os, pathlib, signal, sys, time
def save(number, frame):
    pathlib.Path(os.environ["SM_MODEL_DIR"], "saved.txt").write_text("saved")
    print("saved", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
time.sleep(600)
"""
    )
    estimator = RLEstimator(entry_point="main.py", source_dir=str(folder), instance_type=instance_type, session=session)
    job = estimator.fit(wait=False)
    wait_until("the script is ready", lambda: "ready" in list(job.logs(follow=False)))
    assert job.stop()
    assert job.wait(check=False).status == "Stopped"
    assert "saved" in list(job.logs(follow=False))
    place = S3Url.parse(job.model_uri)
    body = session.s3.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        assert "saved.txt" in {name.removeprefix("./") for name in tar.getnames()}


def test_ctrl_c_without_a_terminal_stops_the_job(home, script, command):
    folder = script("import time\nprint('ready', flush=True)\ntime.sleep(600)")
    code = (
        "from launcher import RLEstimator\n"
        f"RLEstimator(entry_point='main.py', source_dir={str(folder)!r}, instance_type='local_process').fit("
        "job_name='interrupted')"
    )
    process = subprocess.Popen(
        [os.sys.executable, "-c", code],
        env=os.environ | {"BATCHRL_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if "ready" in line:
            break
    process.send_signal(signal.SIGINT)
    process.stdout.close()
    assert process.wait(60) != 0
    answer = command("wait", "interrupted", check=False)
    assert answer.returncode == 4, answer
