"""Whole endpoints: real shims, a scripted model server in both executors (contract C)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from batchrl.contract.records import from_json
from launcher.api.constants import ENDPOINT
from launcher.local.executors.address import ServerAddress
from launcher.local.executors.confinement import JOB_UID
from launcher.local.executors.process import job_processes
from launcher.local.executors.reap import reap
from launcher.local.modelserver.http import Unanswered, ask


def invoke(endpoint, body=b'"hello"\n', server=0):
    address = from_json(ServerAddress, endpoint.record.servers[server].address)
    return json.loads(ask(address, "POST", "/invocations", timeout=10, body=body).body)


def gone(endpoint):
    endpoint.cloud.wait_until(
        lambda: endpoint.cloud.records.find(endpoint.name, ENDPOINT) is None, f"{endpoint.name} is gone"
    )


def test_C180_C185_an_endpoint_serves_until_it_is_deleted(serving, executor):
    endpoint = serving.endpoint(executor, environment={"OF": "the model"}).start()
    endpoint.wait_for("InService")
    address = from_json(ServerAddress, endpoint.record.servers[0].address)
    report = invoke(endpoint, b'"report"\n')
    assert report["parent"][-1] == "serve"
    assert report["environment"]["OF"] == "the model"
    assert "SAGEMAKER_BATCH" not in report["environment"]
    endpoint.stop()
    gone(endpoint)
    assert endpoint.logs["AllTraffic/i-1"][-1] == "leaves"
    assert not list(endpoint.cloud.home.job(endpoint.key).folder.glob("ml*"))
    if executor == "local":
        assert endpoint.containers == []
        assert report["uid"] == (os.getuid() or JOB_UID)
        # Its address may be another container's now, and is known not to be its own any more.
        assert address.holder is not None and not address.is_held


def test_several_instances_serve_side_by_side(serving, executor):
    endpoint = serving.endpoint(executor, InitialInstanceCount=2).start()
    endpoint.wait_for("InService")
    assert [invoke(endpoint, server=number) for number in (0, 1)] == [{"echo": "hello"}] * 2
    assert sorted(endpoint.logs) == ["AllTraffic/i-1", "AllTraffic/i-2"]
    endpoint.stop()
    gone(endpoint)


def test_C188_two_endpoints_serve_at_the_same_time(serving, executor):
    first, second = (serving.endpoint(executor).start() for _ in range(2))
    for endpoint in (first, second):
        endpoint.wait_for("InService")
    assert [invoke(endpoint) for endpoint in (first, second)] == [{"echo": "hello"}] * 2
    for endpoint in (first, second):
        endpoint.stop()
        gone(endpoint)


def test_C181_a_server_that_never_gets_well_fails_the_endpoint(serving, executor):
    endpoint = serving.endpoint(executor, environment={"MODE": "dies"}).start()
    endpoint.wait_for("Failed")
    # From now on its name may be taken: nothing of it is left.
    assert not list(endpoint.cloud.home.job(endpoint.key).folder.glob("ml*"))
    if executor == "local":
        assert endpoint.containers == []
    assert "ended with exit code 3 before it answered /ping" in endpoint.record.failure_reason
    assert "no such weights" in endpoint.record.failure_reason


def test_C187_a_server_that_dies_is_replaced(serving, executor):
    endpoint = serving.endpoint(executor).start()
    endpoint.wait_for("InService")
    with pytest.raises(Unanswered):
        invoke(endpoint, b'"fatal"\n')

    def answers():
        try:
            return invoke(endpoint) == {"echo": "hello"}
        except Unanswered:
            return False

    endpoint.cloud.wait_until(answers, "it answers again")
    assert endpoint.record.status == "InService"
    endpoint.stop()
    gone(endpoint)


def test_an_endpoint_that_is_deleted_while_it_is_created_goes_at_once(serving, executor):
    endpoint = serving.endpoint(executor, environment={"MODE": "never-well"}).start()
    endpoint.cloud.wait_until(lambda: "serving" in str(endpoint.logs), "it serves")
    endpoint.stop()
    gone(endpoint)


@pytest.mark.parametrize("executor", ["local_process"], indirect=True)
def test_the_servers_of_a_killed_shim_are_found(serving, executor):
    endpoint = serving.endpoint(executor, InitialInstanceCount=2).start()
    endpoint.wait_for("InService")
    endpoint.shim.kill()
    roots = endpoint.cloud.home.job(endpoint.key).roots(2)
    sockets = [Path(server.address["path"]) for server in endpoint.record.servers]
    assert all(job_processes(root) for root in roots) and all(socket.exists() for socket in sockets)
    reap(endpoint.cloud.home, endpoint.record)
    assert not any(job_processes(root) for root in roots)
    assert not any(path.exists() for path in (*roots, *sockets))
