"""Steps 1 to 6 of the workflow: collect, train as a job, watch the estimates arrive, evaluate from the checkpoints."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from jobs import EXECUTORS

from batchrl.contract import columns
from batchrl.contract.layout import S3Url
from batchrl.contract.store import list_objects
from launcher import RLEstimator

EPOCHS = 8


def members(session, url):
    place = S3Url.parse(url)
    body = session.s3.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return {name.removeprefix("./") for name in tar.getnames()} - {"."}


@pytest.mark.parametrize("instance_type", EXECUTORS)
def test_collect_train_watch_evaluate(session, dataset, instance_type, home):
    estimator = RLEstimator(
        entry_point="train.py",
        preset="cartpole-ddqn-bcq",
        instance_type=instance_type,
        hyperparameters={"epochs": EPOCHS, "reward_model.epochs": 5},
        session=session,
    )
    job = estimator.fit({"training": str(dataset)}, wait=False)
    seen = []
    while not (state := job.status()).ended:
        if state.secondary == "Training":
            try:
                seen.append(len(job.metrics().frame))
            except Exception as error:
                assert "no" in str(error).lower(), error
    job.wait()
    assert seen, "no estimate could be read while the job was running"
    assert seen == sorted(seen)

    frame = job.metrics().frame.reset_index()
    assert list(frame[columns.EPOCH].astype(int)) == list(range(1, EPOCHS + 1))
    for estimate in columns.ESTIMATES:
        assert frame[estimate].notna().all()
        assert (frame[columns.lower(estimate)] <= frame[columns.upper(estimate)]).all()

    names = {key.rpartition("/")[2] for key, _ in list_objects(session.s3, S3Url.parse(job.checkpoint_uri))}
    assert {"latest.json", "best.json", f"epoch_{EPOCHS:04d}.pt"} <= names
    assert {"model.safetensors", "model.json", "resolved_preset.json"} <= members(session, job.model_uri)
    assert columns.INTERMEDIATE_CSV in members(session, job.output_uri)
    answer = job.describe()
    passed = [transition["Status"] for transition in answer["SecondaryStatusTransitions"]]
    assert passed == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert {metric["MetricName"] for metric in answer["FinalMetricDataList"]}
    assert not (home / "jobs" / job.name / "ml").exists(), "the work folder stays after a verified upload"

    evaluation = RLEstimator(
        entry_point="evaluate.py",
        preset="cartpole-ddqn-bcq-env",
        instance_type=instance_type,
        hyperparameters={"evaluate_steps": 300},
        session=session,
    )
    evaluated = evaluation.fit({"checkpoint": job.checkpoint_uri}, logs=False)
    assert "evaluation.json" in members(session, evaluated.output_uri)
    place = S3Url.parse(evaluated.output_uri)
    body = session.s3.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        result = json.load(tar.extractfile("evaluation.json"))
    assert result["steps"] >= 300
    gifs = [key for key, _ in list_objects(session.s3, S3Url.parse(evaluated.intermediate_uri)) if key.endswith(".gif")]
    assert len(gifs) == 1


@pytest.mark.parametrize("instance_type", EXECUTORS)
def test_a_failing_script_shows_its_own_exception(session, command, script, instance_type):
    folder = script("raise ValueError('the discount is 1.5')")
    estimator = RLEstimator(entry_point="main.py", source_dir=str(folder), instance_type=instance_type, session=session)
    job = estimator.fit(wait=False)
    state = job.wait(check=False)
    assert state.status == "Failed"
    assert state.failure_reason.startswith("AlgorithmError: ")
    assert "the discount is 1.5" in state.failure_reason
    assert "exit code: 1" in state.failure_reason
    answer = command("wait", job.name, check=False)
    assert answer.returncode == 1
    assert "the discount is 1.5" in answer.stdout + answer.stderr
