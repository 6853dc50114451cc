"""Every check of ``conformance`` and every client of other people's against the embedded store, Ceph and moto."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import conformance
import conformance_table
import pytest
import services
from conformance import CHECKS, CLIENT_DIFFERENCES, CLIENTS, DIFFERENCES
from embedded import Embedded
from services import Store

from batchrl.contract.store import s3_client

_numbers = itertools.count(1)
SERVERS = ["embedded", pytest.param("rgw", marks=pytest.mark.rgw), "moto"]


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, store: Embedded) -> tuple[str, Store]:
    """Name and address of each server."""
    if request.param == "rgw":
        return request.param, services.rgw_store()
    if request.param == "moto":
        return request.param, Store(request.getfixturevalue("moto_url"), "motokey0000000000001", "motosecret")
    return request.param, Store(store.url, store.identity.access_key, store.identity.secret_key)


def client_of(store: Store) -> Any:
    return s3_client(
        None,
        store.endpoint_url,
        region_name=store.region,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
    )


@pytest.fixture
def place(server: tuple[str, Store]) -> Iterator[str]:
    """An empty bucket there, removed with all in it."""
    client, name = client_of(server[1]), f"conformance-{os.getpid()}-{next(_numbers)}"
    client.create_bucket(Bucket=name)
    yield name
    try:
        for one in client.list_multipart_uploads(Bucket=name).get("Uploads", []):
            client.abort_multipart_upload(Bucket=name, Key=one["Key"], UploadId=one["UploadId"])
        for page in client.get_paginator("list_object_versions").paginate(Bucket=name) if server[0] == "rgw" else ():
            for one in page.get("Versions", []) + page.get("DeleteMarkers", []):
                client.delete_object(Bucket=name, Key=one["Key"], VersionId=one["VersionId"])
        for key in conformance.keys(client, name):
            client.delete_object(Bucket=name, Key=key)
        client.delete_bucket(Bucket=name)
    except client.exceptions.ClientError:
        assert server[0] != "embedded"


def held_to(difference: str | None, fault: BaseException | None) -> None:
    """A difference must show, and nothing else may."""
    if difference is None and fault is not None:
        raise fault
    if difference is not None and fault is None:
        pytest.fail(f"it passes now, so take the difference out: {difference}")


@pytest.mark.parametrize("name", CHECKS)
def test_a_server_does_what_s3_promises(server: tuple[str, Store], place: str, name: str) -> None:
    fault = None
    try:
        CHECKS[name](client_of(server[1]), place)
    except Exception as error:
        fault = error
    held_to(DIFFERENCES[server[0]].get(name), fault)


@pytest.mark.clients
@pytest.mark.parametrize("server", SERVERS[:2], indirect=True)  # moto keeps nothing: nobody's data lies there
@pytest.mark.parametrize("name", CLIENTS)
def test_other_peoples_clients_read_and_write(server: tuple[str, Store], place: str, name: str, tmp_path: Path) -> None:
    store, script = server[1], Path(conformance.__file__).with_name("other_clients.py")
    python = services.clients_python()
    environ = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "AWS_DEFAULT_REGION": store.region,
        "AWS_REGION": store.region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [python, script, name, store.endpoint_url, place]
    fault: Exception | None = None
    try:
        done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        if done.returncode:
            fault = AssertionError(done.stderr[-3000:])
    except subprocess.TimeoutExpired as error:  # as Arrow's threads sometimes hang once a write of theirs was refused
        fault = error
    held_to(CLIENT_DIFFERENCES[server[0]].get(name), fault)


def test_every_difference_is_of_a_check_that_exists() -> None:
    assert all(found.keys() <= CHECKS.keys() for found in DIFFERENCES.values())
    assert all(found.keys() <= CLIENTS.keys() for found in CLIENT_DIFFERENCES.values())


def test_the_table_of_the_document_is_that_of_the_checks() -> None:
    assert conformance_table.table() in conformance_table.DOCUMENT.read_text(), (
        "run: python tests/support/conformance_table.py"
    )
