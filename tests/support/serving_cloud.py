"""A SageMaker in memory for clients: models, transform jobs, endpoints, their logs, and an S3; states are scripted."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

import botocore.exceptions

from launcher.session.session import Session

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)
ROLE = "arn:aws:iam::000000000000:role/batchrl-local"

# Of the user's own, on AWS.
AWS_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/batchrl:1"
AWS_ROLE = "arn:aws:iam::123456789012:role/jobs"


def refused(code: str, message: str = "no", status: int = 400, **more: Any) -> botocore.exceptions.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
        **more,
    }
    return botocore.exceptions.ClientError(response, "Operation")


class Body(io.BytesIO):
    def iter_chunks(self, size: int) -> Any:
        while chunk := self.read(size):
            yield chunk


class Bucket:
    """Objects of one bucket by key."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.modified: dict[str, datetime.datetime] = {}  # NOW, by default
        self.calls: list[str] = []

    def head_bucket(self, Bucket: str) -> dict[str, Any]:  # noqa: N803
        self.calls.append("head_bucket")
        return {"ResponseMetadata": {"HTTPHeaders": {}}}

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        self.calls.append("head_object")
        if Key not in self.objects:
            raise refused("404", status=404)
        return {"ContentLength": len(self.objects[Key])}

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803
        self.calls.append(f"put {Key}")
        self.objects[Key] = Body

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        if Key not in self.objects:
            raise refused("NoSuchKey", status=404)
        content = self.objects[Key]
        return {"Body": Body_(content), "ContentLength": len(content), "ETag": _etag(content)}

    def list(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803
        return [
            {"Contents": [{"Key": key, "Size": len(content), "ETag": _etag(content), "LastModified": self.when(key)}]}
            for key, content in sorted(self.objects.items())
            if key.startswith(Prefix)
        ]

    def when(self, key: str) -> datetime.datetime:
        return self.modified.get(key, NOW)


Body_ = Body


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


class Cloud(Bucket):
    """All clients in one; operations answer as AWS's do, codes and wordings included.

    Attributes:
        sent: operations that change something, in order, as ``(operation, request)``.
        states: status and failure reason of a name, asked at each look.
        lines: lines of log streams by group and stream.
        answer: what the model server of every endpoint answers to a body.
        fail: operations that fail, with what they raise.
    """

    exceptions = botocore.exceptions

    def __init__(self) -> None:
        super().__init__()
        self.meta = type("Meta", (), {"endpoint_url": "http://127.0.0.1:1", "region_name": "here"})()
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.transforms: dict[str, dict[str, Any]] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.states: dict[str, Callable[[], tuple[str, str | None]]] = {}
        self.lines: dict[tuple[str, str], list[str]] = {}
        self.answer: Callable[[bytes], bytes] = lambda body: b""
        self.invoked: list[dict[str, Any]] = []
        self.fail: dict[str, Exception] = {}

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.sent]

    def add_job(self, name: str, status: str = "Completed", archive: bool = True, **more: Any) -> None:
        """A training job, with its model archive."""
        self.jobs[name] = {
            "TrainingJobName": name,
            "TrainingJobArn": f"arn:job/{name}",
            "TrainingJobStatus": status,
            "SecondaryStatus": status,
            "CreationTime": NOW,
            "OutputDataConfig": {"S3OutputPath": "s3://bucket"},
            "AlgorithmSpecification": {"TrainingImage": "mine:1"},
            "ResourceConfig": {"InstanceType": "local_process", "InstanceCount": 1},
            "RoleArn": ROLE,
        } | more
        if archive:
            self.objects[f"{name}/output/model.tar.gz"] = b"\x1f\x8barchive"

    def _change(self, operation: str, request: dict[str, Any]) -> None:
        if operation in self.fail:
            raise self.fail[operation]
        self.sent.append((operation, request))

    def _found(self, held: dict[str, dict[str, Any]], name: str, message: str) -> dict[str, Any]:
        if name not in held:
            raise refused("ValidationException", message)
        return dict(held[name])

    # Training jobs and models

    def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:  # noqa: N803
        return self._found(self.jobs, TrainingJobName, "Requested resource not found.")

    def delete_training_job(self, TrainingJobName: str) -> None:  # noqa: N803
        self._change("delete_training_job", {"TrainingJobName": TrainingJobName})
        del self.jobs[TrainingJobName]

    def create_model(self, **request: Any) -> None:
        self._change("create_model", request)
        if request["ModelName"] in self.models:
            raise refused("ValidationException", "Cannot create already existing model.")
        self.models[request["ModelName"]] = request

    def describe_model(self, ModelName: str) -> dict[str, Any]:  # noqa: N803
        if "describe_model" in self.fail:
            raise self.fail["describe_model"]
        return self._found(self.models, ModelName, f'Could not find model "{ModelName}".')

    def delete_model(self, ModelName: str) -> None:  # noqa: N803
        self._change("delete_model", {"ModelName": ModelName})
        self._found(self.models, ModelName, f'Could not find model "{ModelName}".')
        del self.models[ModelName]

    # Transform jobs

    def create_transform_job(self, **request: Any) -> None:
        self._change("create_transform_job", request)
        name = request["TransformJobName"]
        if name in self.transforms:
            raise refused("ResourceInUse", "Job name must be unique.")
        self.transforms[name] = request
        self.states.setdefault(name, lambda: ("Completed", None))

    def describe_transform_job(self, TransformJobName: str) -> dict[str, Any]:  # noqa: N803
        if TransformJobName not in self.transforms:
            raise refused("ResourceNotFound", "Could not find requested job.")
        status, reason = self.states[TransformJobName]()
        ran = {"TransformStartTime": NOW - MINUTE, "TransformEndTime": NOW + MINUTE}
        asked = {key: value for key, value in self.transforms[TransformJobName].items() if key != "Tags"}
        own = {"TransformJobArn": f"arn:transform/{TransformJobName}", "CreationTime": NOW}
        answer = {**ran, **asked, **own, "TransformJobStatus": status}
        return answer | ({"FailureReason": reason} if reason else {})

    def describe_processing_job(self, ProcessingJobName: str) -> dict[str, Any]:  # noqa: N803
        raise refused("ResourceNotFound", f"Could not find requested job {ProcessingJobName}.")

    def describe_hyper_parameter_tuning_job(self, HyperParameterTuningJobName: str) -> dict[str, Any]:  # noqa: N803
        raise refused("ResourceNotFound", f"Could not find requested job {HyperParameterTuningJobName}.")

    def stop_transform_job(self, TransformJobName: str) -> None:  # noqa: N803
        self._change("stop_transform_job", {"TransformJobName": TransformJobName})

    # Endpoints

    def create_endpoint_config(self, **request: Any) -> None:
        self._change("create_endpoint_config", request)
        self.configs[request["EndpointConfigName"]] = request

    def describe_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803
        return self._found(self.configs, EndpointConfigName, "Could not find endpoint configuration.")

    def delete_endpoint_config(self, EndpointConfigName: str) -> None:  # noqa: N803
        self._change("delete_endpoint_config", {"EndpointConfigName": EndpointConfigName})
        self._found(self.configs, EndpointConfigName, "Could not find endpoint configuration.")
        del self.configs[EndpointConfigName]

    def create_endpoint(self, **request: Any) -> None:
        self._change("create_endpoint", request)
        self.endpoints[request["EndpointName"]] = request
        self.states.setdefault(request["EndpointName"], lambda: ("InService", None))

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        answer = self._found(self.endpoints, EndpointName, f'Could not find endpoint "{EndpointName}".')
        status, reason = self.states[EndpointName]()
        answer |= {"EndpointStatus": status, "CreationTime": NOW, "LastModifiedTime": NOW}
        return answer | ({"FailureReason": reason} if reason else {})

    def delete_endpoint(self, EndpointName: str) -> None:  # noqa: N803
        self._change("delete_endpoint", {"EndpointName": EndpointName})
        self._found(self.endpoints, EndpointName, f'Could not find endpoint "{EndpointName}".')
        del self.endpoints[EndpointName]

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.invoked.append(request)
        if request["EndpointName"] not in self.endpoints:
            raise refused("ValidationError", f"Endpoint {request['EndpointName']} of account 0 not found.")
        return {"Body": io.BytesIO(self.answer(request["Body"]))}

    # Lists and logs

    def get_paginator(self, operation: str) -> Any:
        pages = {
            "list_objects_v2": self.list,
            "list_models": lambda NameContains: [  # noqa: N803
                {"Models": [{"ModelName": name} for name in self.models if NameContains in name]}
            ],
            "list_training_jobs": self._listed(self.jobs, "TrainingJobSummaries", "TrainingJob"),
            "list_transform_jobs": self._listed(self.transforms, "TransformJobSummaries", "TransformJob"),
            "list_processing_jobs": self._listed({}, "ProcessingJobSummaries", "ProcessingJob"),
            "list_hyper_parameter_tuning_jobs": self._listed(
                {}, "HyperParameterTuningJobSummaries", "HyperParameterTuningJob"
            ),
            "list_tags": self._tags,
            "list_endpoints": self._listed(self.endpoints, "Endpoints", "Endpoint"),
        }
        return type("Paginator", (), {"paginate": staticmethod(pages[operation])})()

    def _tags(self, ResourceArn: str) -> list[dict[str, Any]]:  # noqa: N803
        held = {"job": self.jobs, "transform": self.transforms}[ResourceArn[4:].partition("/")[0]]
        return [{"Tags": held[ResourceArn.partition("/")[2]].get("Tags", [])}]

    def _listed(self, held: dict[str, dict[str, Any]], entries: str, prefix: str) -> Callable[..., Any]:
        """Pages of one entry each, the newest first; what was made later is newer."""

        def paginate(StatusEquals: str | None = None, **_: Any) -> list[dict[str, Any]]:  # noqa: N803
            found = []
            for number, (name, known) in enumerate(held.items()):
                status = known.get(f"{prefix}Status") or self.states[name]()[0]
                if StatusEquals in (None, status):
                    created = known.get("CreationTime", NOW + datetime.timedelta(minutes=number))
                    found.append({f"{prefix}Name": name, f"{prefix}Status": status, "CreationTime": created})
            return [{entries: [entry]} for entry in reversed(found)]

        return paginate

    def describe_log_streams(self, **asked: Any) -> dict[str, Any]:
        names = [
            name
            for group, name in self.lines
            if group == asked["logGroupName"] and name.startswith(asked.get("logStreamNamePrefix", ""))
        ]
        return {"logStreams": [{"logStreamName": name} for name in sorted(names)]}

    def get_log_events(self, **asked: Any) -> dict[str, Any]:
        lines = self.lines[asked["logGroupName"], asked["logStreamName"]]
        start = int(asked.get("nextToken", "0"))
        events = [{"timestamp": number, "message": line} for number, line in enumerate(lines[start:], start)]
        return {"events": events, "nextForwardToken": str(len(lines))}


def request_of(cloud: Cloud) -> dict[str, Any]:
    """The one transform job that was asked for."""
    (request,) = (request for operation, request in cloud.sent if operation == "create_transform_job")
    return request


class FakeSession(Session):
    """A session of a ``Cloud``, or of whatever answers in its place."""

    is_local = True
    region = "here"
    account_id = "000000000000"
    default_bucket = "bucket"

    def __init__(self, cloud: Any) -> None:
        super().__init__()
        self.cloud = cloud

    def _make_client(self, service: str) -> Any:
        return self.cloud

    def revive(self) -> None:
        """It never breaks."""


def answers(body: bytes, bad: Callable[[list[float]], bool] = lambda row: False) -> bytes:
    """What the product's model server answers to lines of states; ``bad`` ones get an error record."""
    lines = []
    for number, line in enumerate(body.decode().splitlines(), 1):
        row = json.loads(line)
        row = row["features"] if isinstance(row, dict) else row
        if bad(row):
            lines.append({"error": f"line {number}: expected 4 features, got {len(row)}", "line": number})
        else:
            right = 0.75 if row[0] > 0 else 0.25
            chosen = int(right > 0.5)
            lines.append(
                {"predictions": [[1 - right, right]], "action": chosen, "value": float(row[0]), "mask": [True, True]}
            )
    return "".join(json.dumps(line) + "\n" for line in lines).encode()
