"""An API server that listens in the tests' own process, clients for it, and requests that it takes."""

from __future__ import annotations

import datetime
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from werkzeug.serving import make_server

from launcher.local.host.address import ACCOUNT_ID, HOST, REGION, CloudAddress, Identity
from launcher.local.host.home import HomePaths
from launcher.local.records.records import Records
from launcher.local.server.app import App
from launcher.local.server.gateway import Gateway
from launcher.local.server.moto_services import MotoServices
from launcher.local.server.operations.context import Context
from launcher.local.server.protocol.auth import Keyring, Keys, digest_of, sign

KEYS = Keys("BATCHRLTESTKEY123456", "a-secret-of-the-tests")
ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/batchrl-local"


@dataclass
class RunningServer:
    """An API server that listens, and what a test may turn."""

    url: str
    context: Context
    handed: list[str]
    times: dict[str, datetime.timedelta] = field(default_factory=dict)

    @property
    def records(self) -> Records:
        return self.context.records

    def client(self, service: str, *, validate: bool = True, **changes: Any) -> Any:
        return make_client(service, self.url, KEYS.access_key, KEYS.secret_key, validate=validate, **changes)


@contextmanager
def served_cloud(paths: HomePaths, identity: Identity, records: Records) -> Iterator[CloudAddress]:
    """The API server of a cloud whose store runs already, without anybody who starts or ends its jobs.

    Its port is a free one, and written into cloud.json.
    """
    listener = socket.create_server((HOST, 0))
    identity = identity.with_ports(api_port=listener.getsockname()[1])
    identity.write(paths.cloud_file)
    address = identity.address(paths)
    context = Context(paths, records, REGION, ACCOUNT_ID, lambda name, kind: None, time.time)
    keyring = Keyring(Keys(identity.access_key, identity.secret_key), paths)
    app = App(context, keyring, Gateway(lambda: address.store), MotoServices(ACCOUNT_ID, keyring), dict)
    server = make_server(HOST, identity.api_port, app, threaded=True, fd=listener.fileno())
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield address
    server.shutdown()
    thread.join(10)
    server.server_close()
    listener.close()


def make_client(
    service: str, url: str, access_key: str, secret_key: str, *, validate: bool = True, **changes: Any
) -> Any:
    settings = {
        "endpoint_url": url,
        "region_name": REGION,
        "aws_access_key_id": access_key,
        "aws_secret_access_key": secret_key,
        "config": Config(
            retries={"total_max_attempts": 1},
            parameter_validation=validate,
            signature_version="s3v4" if service == "s3" else None,
        ),
    }
    return boto3.client(service, **(settings | changes))  # type: ignore[call-overload]


def of_cloud(service: str, address: CloudAddress, **changes: Any) -> Any:
    return make_client(service, address.api_url, address.access_key, address.secret_key, **changes)


def job_request(name: str = "job-1", **changes: Any) -> dict[str, Any]:
    """A request that the API server takes."""
    request: dict[str, Any] = {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": "batchrl:0", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://batchrl-local/runs"},
        "ResourceConfig": {"InstanceType": "local_process", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }
    return request | changes


def eventually(check: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true answer of a check, asked again and again."""
    deadline = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return answer


def post(api_server: RunningServer, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """Send exactly these bytes and headers; status and body of the answer."""
    connection = http.client.HTTPConnection(urlsplit(api_server.url).netloc, timeout=10)
    connection.request("POST", "/", body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def signed(api_server: RunningServer, target: str, body: bytes, **more: str) -> dict[str, str]:
    """Headers of a request that botocore would not make, with a good signature."""
    headers = {
        "host": urlsplit(api_server.url).netloc,
        "x-amz-target": target,
        "content-type": "application/x-amz-json-1.1",
        "x-amz-content-sha256": digest_of(body),
        **more,
    }
    return sign("POST", f"{api_server.url}/", headers, KEYS, REGION, "sagemaker")


def call(api_server: RunningServer, target: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Call an operation with a request that botocore would refuse to send."""
    body = json.dumps(request).encode()
    status, content = post(api_server, body, signed(api_server, target, body))
    answer: dict[str, Any] = json.loads(content)
    return status, answer


def model_request(name: str = "model-1", **container: Any) -> dict[str, Any]:
    """A CreateModel request that the API server takes."""
    primary = {"Image": "batchrl:0", "ModelDataUrl": "s3://batchrl-local/runs/job-1/output/model.tar.gz"} | container
    return {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": primary}


def transform_request(name: str = "transform-1", **changes: Any) -> dict[str, Any]:
    """A CreateTransformJob request that the API server takes, once there is the model ``model-1``."""
    request: dict[str, Any] = {
        "TransformJobName": name,
        "ModelName": "model-1",
        "BatchStrategy": "SingleRecord",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://batchrl-local/in/states.jsonl"}},
            "ContentType": "application/jsonlines",
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": "s3://batchrl-local/out",
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "local_process", "InstanceCount": 1},
        "DataProcessing": {"JoinSource": "Input"},
    }
    return request | changes


def config_request(name: str = "config-1", **variant: Any) -> dict[str, Any]:
    """A CreateEndpointConfig request that the API server takes, once there is the model ``model-1``."""
    given = {"VariantName": "AllTraffic", "ModelName": "model-1", "InstanceType": "local", "InitialInstanceCount": 1}
    return {"EndpointConfigName": name, "ProductionVariants": [given | variant]}
