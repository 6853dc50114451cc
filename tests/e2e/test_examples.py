"""The folder ``examples``: what its texts tell users to type runs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from jobs import PROCESS_JOBS

from batchrl.problems.mail_model import ACTIONS, WEEKS
from launcher import RLEstimator
from launcher.iterate.settings import LoopSettings
from launcher.iterate.work import Work, behavior_of
from presets import resolve_evaluate, resolve_iterate, resolve_train

MAIL = Path(__file__).resolve().parents[2] / "examples" / "mail-campaign"
USERS = 60
LOCAL_JOBS = replace(PROCESS_JOBS, preset=str(MAIL / "campaign.yaml"))


@pytest.fixture(scope="module")
def mail_job(command, session, tmp_path_factory):
    """A training job on random mails."""
    file = tmp_path_factory.mktemp("mail") / "random.parquet"
    command(
        *("collect", "--env", "batchrl/MailCampaign-v0", "--num-envs", "200", "--episodes", "1"),
        *("--output", str(file)),
    )
    estimator = RLEstimator(
        preset="mail-ddqn",
        hyperparameters={"epochs": 1, "agent.updates_per_epoch": 50, "ope.bootstrap_resamples": 20},
        instance_type="local_process",
        base_job_name="mail",
        session=session,
    )
    return estimator.fit({"training": str(file)}, logs=False)


def test_one_campaign_writes_a_log_that_trains_the_next_policy(mail_job, home, tmp_path, command):
    log = tmp_path / "campaign.parquet"
    words = [mail_job.name, "--users", str(USERS), "--instance-type", "local_process", "--output", str(log)]
    ended = subprocess.run(
        [sys.executable, str(MAIL / "one_campaign.py"), *words],
        env=os.environ | {"BATCHRL_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    frame = pd.read_parquet(log)
    weeks = frame.groupby("episode_id").size()
    assert len(weeks) == USERS
    assert weeks.max() == WEEKS
    assert set(frame.action) <= set(range(len(ACTIONS)))
    said = command("data", "describe", str(log), "--json").stdout
    assert f'"episodes": {USERS}' in said
    command("data", "check", str(log))


def test_the_campaign_in_rounds_is_a_loop_of_batch_transforms_whose_parts_fit(tmp_path, monkeypatch):
    preset = resolve_iterate(MAIL / "campaign.yaml", {})
    assert (preset.collect.collector, preset.gate.undecided) == ("transform", "canary")
    train = resolve_train(preset.train.preset, preset.train.overrides)
    evaluation = resolve_evaluate(preset.evaluate.preset, preset.evaluate.overrides)
    assert evaluation.env == preset.env
    # The loop of the product but for who answers: what is known of that one holds for this one.
    product = resolve_iterate("mail-iterate", {"collect.collector": "transform"})
    assert preset.model_copy(update={"name": product.name}) == product
    monkeypatch.setenv("BATCHRL_HOME", str(tmp_path / "home"))
    settings = LoopSettings.of("weekly", LOCAL_JOBS, None)
    assert (settings.train, settings.evaluate) == (train, evaluation)
    # Nothing is begun: the environment is made, the first policy acts in it, and every job is planned.
    Work(settings, tmp_path / "weekly", print).check(behavior_of(settings))
