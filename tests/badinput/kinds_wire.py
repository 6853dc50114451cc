"""The API server: requests with good signatures and bad bodies, and requests that are no requests."""

from __future__ import annotations

import functools
import io
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import api_servers

from badinput import spoil
from badinput.case import Case, kind
from launcher.local.host.address import ACCOUNT_ID, REGION, StoreAddress
from launcher.local.host.home import HomePaths
from launcher.local.records.records import Records
from launcher.local.server.app import App
from launcher.local.server.gateway import Gateway
from launcher.local.server.moto_services import MotoServices
from launcher.local.server.operations.context import Context
from launcher.local.server.protocol.auth import Keyring, digest_of, sign

HOST = "127.0.0.1:1"
TAG = {"Key": "a", "Value": "b"}
GOOD: dict[str, dict[str, Any]] = {
    "SageMaker.CreateTrainingJob": api_servers.job_request(
        HyperParameters={"a": "1"},
        Environment={"A": "b"},
        Tags=[TAG],
        InputDataConfig=[
            {
                "ChannelName": "training",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/x"}},
                "ShuffleConfig": {"Seed": 1},
            }
        ],
        CheckpointConfig={"S3Uri": "s3://b/ck", "LocalPath": "/opt/ml/checkpoints"},
    ),
    "SageMaker.CreateTransformJob": api_servers.transform_request(),
    "SageMaker.CreateModel": api_servers.model_request(),
    "SageMaker.CreateEndpointConfig": api_servers.config_request(),
    "SageMaker.CreateEndpoint": {"EndpointName": "e", "EndpointConfigName": "c", "Tags": [TAG]},
    "SageMaker.ListTrainingJobs": {"MaxResults": 5, "NextToken": "WzEsICJhIl0", "NameContains": "a"},
    "SageMaker.ListModels": {"SortBy": "Name", "NextToken": "WyJhIiwgImEiXQ", "CreationTimeAfter": 1.5},
    "SageMaker.DescribeTrainingJob": {"TrainingJobName": "job-1"},
    "SageMaker.AddTags": {"ResourceArn": "arn:aws:sagemaker:us-east-1:1:training-job/x", "Tags": [TAG]},
    "SageMaker.ListTags": {"ResourceArn": "arn:aws:sagemaker:us-east-1:1:model/x", "NextToken": "WzFd"},
    "Logs_20140328.GetLogEvents": {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamName": "x", "limit": 3},
    "Logs_20140328.FilterLogEvents": {"logGroupName": "/aws/sagemaker/TrainingJobs", "filterPattern": "a ?b -c"},
    "Logs_20140328.DescribeLogStreams": {"logGroupName": "/aws/sagemaker/TrainingJobs", "nextToken": "WzFd"},
}


@functools.cache
def server() -> App:
    """An API server with records of its own; jobs that it takes are run by nobody."""
    paths = HomePaths.of(Path(tempfile.mkdtemp(prefix="batchrl-badinput-")))
    paths.create()
    keyring = Keyring(api_servers.KEYS, paths)
    context = Context(paths, Records(paths.records), REGION, ACCOUNT_ID, lambda name, kind: None, time.time)
    nobody = Gateway(lambda: StoreAddress("http://127.0.0.1:9", REGION, "nobody-home", "nothing"))
    return App(context, keyring, nobody, MotoServices(ACCOUNT_ID, keyring), dict)


def ask(target: str, body: bytes, path: str = "/", service: str = "sagemaker", **more: str) -> tuple[int, bytes]:
    """Status and body of an answer."""
    headers = {
        "host": HOST,
        "x-amz-target": target,
        "content-type": "application/x-amz-json-1.1",
        "x-amz-content-sha256": digest_of(body),
    }
    signed = sign("POST", f"http://{HOST}{path}", headers, api_servers.KEYS, REGION, service)
    return raw(path, body, signed | more)


def raw(path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """The same, of a request as it stands."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "RAW_URI": path,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        "REMOTE_ADDR": "127.0.0.1",
    }
    for name, value in headers.items():
        known = name.upper().replace("-", "_")
        environ[known if known in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{known}"] = value
    status: list[int] = []
    answer = b"".join(server()(environ, lambda line, headers: status.append(int(line[:3]))))
    return status[0], answer


def fault(result: tuple[int, bytes]) -> str | None:
    """A fault of ours has a status of 500."""
    return f"{result[0]} {result[1][:200]!r}" if result[0] >= 500 else None


def refused(result: tuple[int, bytes]) -> str | None:
    """What is wrong for certain has to be refused."""
    return fault(result) or (None if 400 <= result[0] < 500 else f"it was taken: {result[1][:200]!r}")


def _service(target: str) -> str:
    return "sagemaker" if target.startswith("SageMaker") else "logs"


@kind("wire: bodies of other shapes", 14)
def _bent(chance: random.Random, folder: Path) -> Case:
    target = chance.choice(list(GOOD))
    request = spoil.bent(chance, GOOD[target])
    try:
        body = json.dumps(request).encode()
    except (ValueError, RecursionError):  # a number of thousands of digits
        body = b"9" * 6000
    invalid = not isinstance(request, dict)
    return Case(
        f"{target} {body[:80]!r}",
        lambda: ask(target, body, service=_service(target)),
        (),
        judge=refused if invalid and request is not None else fault,
    )


@kind("wire: bodies that are no JSON", 6)
def _broken(chance: random.Random, folder: Path) -> Case:
    target = chance.choice(list(GOOD))
    good = json.dumps(GOOD[target]).encode()
    body = spoil.scramble(chance, good)
    try:
        invalid = not isinstance(json.loads(body.decode("utf-8-sig") or "{}"), dict)
    except (ValueError, RecursionError):
        invalid = True
    return Case(
        f"{target} {body[:80]!r}",
        lambda: ask(target, body, service=_service(target)),
        (),
        judge=refused if invalid else fault,
    )


@kind("wire: members that are missing or unknown", 5)
def _members(chance: random.Random, folder: Path) -> Case:
    target = chance.choice(["SageMaker.CreateTrainingJob", "SageMaker.CreateTransformJob", "SageMaker.CreateModel"])
    good = GOOD[target]
    required = {"SageMaker.CreateModel": ["ModelName"]}.get(target, list(good)[:1] + ["TransformInput"] * 0)
    if chance.random() < 0.5:
        gone = chance.choice(required)
        request = {name: value for name, value in good.items() if name != gone}
    else:
        places = [path for path in spoil.paths(good) if isinstance(spoil.at(good, path), dict)]
        places = [path for path in places if not {"HyperParameters", "Environment"} & set(path)]
        place = chance.choice(places)
        unknown = chance.choice([text for text in spoil.TEXTS if "\ud800" not in text and "\udfff" not in text])
        request = spoil.replaced(good, place, {**spoil.at(good, place), unknown: chance.choice([1, "x", [], {"": 1}])})
    body = json.dumps(request).encode()
    return Case(f"{target} {body[:80]!r}", lambda: ask(target, body), (), judge=refused)


@kind("wire: headers and signatures", 6)
def _headers(chance: random.Random, folder: Path) -> Case:
    body = json.dumps(GOOD["SageMaker.DescribeTrainingJob"]).encode()
    name = chance.choice(
        ["authorization", "x-amz-date", "x-amz-content-sha256", "content-type", "host", "x-amz-target"]
    )
    wrong = chance.choice(spoil.TEXTS).encode("utf-8", "surrogatepass").decode("latin-1")[:8000]
    if chance.random() < 0.3:
        headers = {chance.choice(["authorization", "x-amz-date", "cookie"]): wrong for _ in range(3)}
        return Case(f"{list(headers)} {wrong[:60]!r}", lambda: raw("/", body, headers), (), judge=refused)
    if chance.random() < 0.3:
        query = f"X-Amz-Signature=0&X-Amz-SignedHeaders=host&X-Amz-Expires={'9' * chance.choice([1, 400, 5000])}"
        scope = "&X-Amz-Credential=a/b/c/s3/aws4_request&X-Amz-Date=20260101T000000Z"
        target = chance.choice([f"/bucket/key?{query}{scope}", "http://[", "http://[::1/x", "*", "?", f"/{'%' * 200}"])
        more = {"content-length": "9" * chance.choice([1, 30, 5000])}
        return Case(target[:60], lambda: raw(target, body, {"host": HOST} | more), (), judge=refused)
    signed = ("authorization", "x-amz-date", "x-amz-content-sha256", "host", "x-amz-target")
    changed = name in signed
    return Case(
        f"{name}: {wrong[:60]!r}",
        lambda: ask("SageMaker.DescribeTrainingJob", body, **{name: wrong}),
        (),
        judge=refused if changed else fault,
    )


@kind("wire: invocations", 4)
def _invoked(chance: random.Random, folder: Path) -> Case:
    from urllib.parse import quote

    text = chance.choice(spoil.TEXTS).encode("utf-8", "surrogatepass")[:2000]
    path = f"/endpoints/{quote(text, safe='') or 'x'}/invocations"
    header = chance.choice(["x-amzn-sagemaker-target-model", "x-amzn-sagemaker-custom-attributes", "accept"])
    value = chance.choice(spoil.TEXTS).encode("utf-8", "surrogatepass").decode("latin-1")[:3000]
    return Case(f"{path[:60]} {header}", lambda: ask("", b"[1]", path=path, **{header: value}), (), judge=refused)
