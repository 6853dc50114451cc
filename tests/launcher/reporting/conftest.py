"""A training run of the product's own script, made once, and the files that it leaves."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchrl.contract.files import file_sha256
from launcher.base.product import product_file
from launcher.jobs.status import JobStatus
from launcher.reporting.files import TrainingFiles, parsed
from launcher.reports.runs import files_of_folder

EPISODES = 120
BEGAN = datetime(2026, 3, 9, 8, 0, tzinfo=UTC)
DESCRIBED: dict[str, Any] = {
    "TrainingJobName": "mails",
    "TrainingJobArn": "arn:aws:sagemaker:us-east-1:000000000000:training-job/mails",
    "TrainingJobStatus": "Completed",
    "HyperParameters": {
        "preset": "cartpole-bc",
        "epochs": "2",
        "data.columns.time": "time",
        "seed": "3",
        "sagemaker_program": "train.py",
    },
    "InputDataConfig": [
        {"ChannelName": "training", "DataSource": {"S3DataSource": {"S3Uri": "s3://bucket/datasets/a b/log.csv"}}},
        {"ChannelName": "code", "DataSource": {"S3DataSource": {"S3Uri": "s3://bucket/source/sourcedir.tar.gz"}}},
    ],
    "ResourceConfig": {"InstanceType": "local_process", "InstanceCount": 1},
    "CreationTime": BEGAN,
    "TrainingStartTime": BEGAN + timedelta(seconds=2),
    "TrainingEndTime": BEGAN + timedelta(seconds=65),
}


@pytest.fixture
def cache() -> None:
    """Nothing of these tests builds a package of code."""


@pytest.fixture(scope="session")
def log() -> pd.DataFrame:
    """Two steps an episode; customers of one plan are never mailed; one episode every six hours."""
    rng = np.random.default_rng(1)
    n = 2 * EPISODES
    episode = np.arange(n) // 2
    plan = np.array(["gold", "basic", "basic"])[episode % 3]
    mailed = (plan == "basic") & (rng.random(n) < 0.5)
    moments = pd.Timestamp("2026-02-01T00:00:00Z") + pd.to_timedelta(6 * episode + np.arange(n) % 2, unit="h")
    return pd.DataFrame(
        {
            "episode_id": episode,
            "time": moments.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "age": rng.integers(18, 80, n),
            "plan": plan,
            "action": np.where(mailed, "mail", "<b>none</b>"),
            "propensity": np.where(plan == "basic", 0.5, 1.0),
            "reward": rng.integers(0, 2, n) + mailed,
        }
    )


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, log: pd.DataFrame) -> Path:
    """What a run of train.py left."""
    folder = tmp_path_factory.mktemp("run")
    log.to_csv(folder / "log.csv", index=False)
    settings = {
        "epochs": 2,
        "seed": 3,
        "data.columns.time": "time",
        "data.state_columns": '["age", "plan"]',
        "ope.bootstrap_resamples": 100,
        "agent.embedder": "[8]",
        "agent.middleware": "[8]",
    }
    options = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
    script = product_file("entrypoints/train.py")
    command = [sys.executable, str(script), "--preset", "cartpole-bc", "--training", str(folder / "log.csv")]
    done = subprocess.run([*command, "--output", str(folder), *options], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert file_sha256(folder / "output" / "data" / "training_summary.json")
    return folder


@pytest.fixture(scope="session")
def files(run_folder: Path) -> TrainingFiles:
    """The same as a report reads it."""
    status = JobStatus("Completed", "Completed")
    return parsed("mails", DESCRIBED, status, True, files_of_folder(run_folder))
