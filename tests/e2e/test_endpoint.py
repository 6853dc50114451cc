"""A trained policy at an endpoint, through the product's own surface, in both executors."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest
from jobs import EXECUTORS, wait_until

from batchrl.contract.errors import InputError, JobFailed
from launcher import Endpoint, Model, Predictor, list_endpoints

STATES = np.random.default_rng(7).uniform(-0.2, 0.2, size=(50, 4))


def is_gone(session, name) -> bool:
    return name not in {summary.name for summary in list_endpoints(session)}


@pytest.fixture
def predictor(trained, session, request):
    """An endpoint of the trained policy, which is deleted afterwards."""
    instance_type = getattr(request, "param", "local_process")
    predictor = trained.deploy(instance_type=instance_type)
    yield predictor
    if not is_gone(session, predictor.endpoint_name):
        predictor.delete()
        wait_until("it is gone", lambda: is_gone(session, predictor.endpoint_name))


@pytest.mark.parametrize("predictor", EXECUTORS, indirect=True)
def test_deploy_predict_delete(predictor, trained, session, tmp_path):
    found = predictor.predict(STATES)
    assert len(found) == len(STATES)
    assert set(found.actions) <= {0, 1}
    np.testing.assert_allclose(np.sum(found.probabilities, axis=1), 1.0, atol=1e-6)
    assert found.errors == (None,) * len(STATES)
    assert predictor.predict(STATES[0]).actions == found.actions[:1]

    # Batch transform says the same of the same states.
    file = tmp_path / "states.jsonl"
    file.write_text("".join(json.dumps(list(state)) + "\n" for state in STATES))
    job = trained.transformer(instance_type="local_process").transform(file, split_type="Line", logs=False)
    job.pull(tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "states.jsonl.out").read_text().splitlines()]
    assert [line["action"] for line in lines] == list(found.actions)
    np.testing.assert_allclose([line["predictions"][0] for line in lines], found.probabilities, rtol=1e-5)

    name = predictor.endpoint_name
    assert name.startswith("trained-endpoint-")
    assert Endpoint(name, session).model_names() == [name]
    removed = predictor.delete()
    assert (removed.config, removed.models) == (name, (name,))
    wait_until("it is gone", lambda: is_gone(session, name))
    with pytest.raises(InputError, match=f"no endpoint named '{name}'"):
        predictor.predict(STATES)
    for operation, key in (("describe_model", "ModelName"), ("describe_endpoint_config", "EndpointConfigName")):
        with pytest.raises(session.sagemaker.exceptions.ClientError, match="Could not find"):
            getattr(session.sagemaker, operation)(**{key: name})


def test_bad_states_are_told_by_their_row(predictor):
    with pytest.raises(InputError, match="row 1: expected 4 features, got 2"):
        predictor.predict([[0.1, 0.2]])
    kept = predictor.predict_lines([b"[0.1,0.2,0.3,0.4]", b"[1]", b"no json"])
    assert ["error" in line for line in kept] == [False, True, True]
    assert [line["line"] for line in kept[1:]] == [2, 3]


def test_C182_C184_raw_requests_and_the_refusals_of_the_model_server(predictor):
    answer = predictor.invoke("0.1,0.2,0.3,0.4\n", "text/csv", "text/csv").decode()
    assert len(answer.strip().split(",")) == 4
    with pytest.raises(InputError, match="refuses the request with 415"):
        predictor.invoke(b"\x00", "image/png")
    many = np.zeros((150_000, 4)) + np.pi
    assert len(predictor.predict(many)) == len(many)


def test_C184_a_rejected_body_names_the_row(trained, session):
    predictor = trained.deploy(endpoint_name="rejecting", env={"BATCHRL_BAD_RECORDS": "reject"})
    with pytest.raises(InputError, match="refuses the request with 400: row 2: "):
        predictor.predict_lines([b"[0.1,0.2,0.3,0.4]", b"[1]"])
    with pytest.raises(InputError, match="an endpoint named 'rejecting' exists already"):
        trained.deploy(endpoint_name="rejecting")
    predictor.delete()
    wait_until("it is gone", lambda: is_gone(session, "rejecting"))


def test_an_archive_without_a_model_fails_with_the_servers_own_words(session, tmp_path):
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.addfile(tarfile.TarInfo("nothing.txt"), io.BytesIO())
    model = Model(archive, session=session, instance_type="local_process")
    with pytest.raises(JobFailed, match="the endpoint 'hopeless' failed") as caught:
        model.deploy(endpoint_name="hopeless")
    assert "model.json" in caught.value.message
    assert Endpoint("hopeless", session).status().failure_reason
    Predictor("hopeless", session).delete()
    wait_until("it is gone", lambda: is_gone(session, "hopeless"))


def test_the_command_line_deploys_invokes_and_deletes(trained, command, session, tmp_path):
    deployed = command("deploy", trained.latest_job.name, "--endpoint-name", "by-hand-endpoint")
    assert "Endpoint by-hand-endpoint is in service." in deployed.stdout
    states = tmp_path / "states.jsonl"
    states.write_text("".join(json.dumps(list(state)) + "\n" for state in STATES))
    answers = [
        json.loads(line) for line in command("invoke", "by-hand-endpoint", "--file", str(states)).stdout.splitlines()
    ]
    assert len(answers) == len(STATES)
    assert (
        command("invoke", "by-hand-endpoint", json.dumps(list(STATES[0])), "-q").stdout == f"{answers[0]['action']}\n"
    )
    wrong = command("invoke", "by-hand-endpoint", "[1, 2]", check=False)
    assert wrong.returncode == 2
    assert "expected 4 features, got 2" in wrong.stderr
    (row,) = json.loads(command("ps", "--kind", "endpoint", "--name", "by-hand-endpoint", "--json").stdout)
    assert (row["kind"], row["status"]) == ("endpoint", "InService")
    assert trained.model_data in command("show", "by-hand-endpoint").stdout
    assert command("logs", "by-hand-endpoint").stdout
    assert command("wait", "by-hand-endpoint", "--quiet").stdout == "by-hand-endpoint\n"
    assert command("stop", "by-hand-endpoint", check=False).returncode == 2
    assert "Deleted the endpoint by-hand-endpoint" in command("rm", "by-hand-endpoint").stdout
    wait_until("it is gone", lambda: is_gone(session, "by-hand-endpoint"))
    assert command("show", "by-hand-endpoint", check=False).returncode == 2
