"""The same job over a store that is not ours (Ceph RGW), and as a user without a name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from jobs import EXECUTORS, run_command
from quick import quick_preset

from launcher import RLEstimator
from launcher.local.host.home import HomePaths
from launcher.session.session import Session

REPOSITORY = Path(__file__).resolve().parents[2]
NOBODY = 4242


@pytest.mark.rgw
@pytest.mark.parametrize("instance_type", EXECUTORS)
def test_a_job_over_ceph(rgw, dataset, tmp_path, monkeypatch, instance_type):
    home = tmp_path / "home"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", rgw.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", rgw.secret_key)
    run_command(home, "cloud", "up", "--store", rgw.endpoint_url)
    try:
        estimator = RLEstimator(
            entry_point="train.py",
            preset="cartpole-ddqn-bcq",
            instance_type=instance_type,
            hyperparameters={"epochs": 4, "reward_model.epochs": 3},
            session=Session.local(home),
        )
        job = estimator.fit({"training": str(dataset)}, logs=False)
        assert len(job.metrics().frame) == 4
        assert not any(HomePaths.of(home).store.iterdir()), "something went to the embedded store"
    finally:
        run_command(home, "cloud", "down", "--stop-jobs")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("executor", ["process", pytest.param("docker", marks=pytest.mark.engine)])
def test_the_whole_demo_as_uid_4242(tmp_path_factory, executor):
    folder = Path("/tmp") / f"batchrl-uid-test-{os.getpid()}-{executor}"
    folder.mkdir()
    preset = quick_preset(folder)
    for path in (folder, preset):
        os.chown(path, NOBODY, NOBODY)
    quick = ("--preset", preset, "--epochs", "3")
    group = Path("/var/run/docker.sock").stat().st_gid if executor == "docker" else NOBODY
    environ = os.environ | {"HOME": str(folder), "BATCHRL_HOME": str(folder / "data"), "USER": "nobody"}
    # The checkout and its Python may lie where only root can look; to read is all that this capability gives.
    as_nobody = [
        *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", f"--groups={group}"),
        *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", sys.executable, "-m"),
    ]
    try:
        answer = subprocess.run(
            [*as_nobody, "launcher.cli", "demo", "--executor", executor, *quick, "--output", folder / "out"],
            env=environ,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        owners = {path.lstat().st_uid for path in folder.rglob("*")}
        assert owners == {NOBODY}, "something in the user's folder does not belong to the user"
        assert (folder / "out").is_dir()
    finally:
        subprocess.run([*as_nobody, "launcher.cli", "cloud", "down", "--stop-jobs"], env=environ, cwd=folder)
        subprocess.run(["rm", "-rf", "--", str(folder)], check=True)
