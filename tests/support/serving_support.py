"""Transform jobs and endpoints in the records of a test's cloud, run by real shims."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.api.constants import ENDPOINT, TRANSFORM
from launcher.local.logs.joblogs import LogReader
from launcher.local.records.records import JobRecord
from launcher.local.transform.counts import Counts

if TYPE_CHECKING:
    from conftest import Cloud, Shim

SERVER = Path(__file__).with_name("serve_for_tests.py")
JSON_LINES = "application/jsonlines"


@dataclass
class Serving:
    """A transform job or an endpoint.

    Args:
        cloud: where it runs.
        name: its name.
        kind: ``transform`` or ``endpoint``.
        bucket: that holds its objects.
    """

    cloud: Cloud
    name: str
    kind: str
    bucket: str
    shim: Shim | None = None

    @property
    def record(self) -> JobRecord:
        return self.cloud.records.get(self.name, self.kind)

    @property
    def key(self) -> str:
        return f"{self.kind}.{self.name}"

    def start(self) -> Serving:
        self.shim = self.cloud.warm_shim()
        self.shim.take(self.kind, self.name)
        return self

    def run(self) -> JobRecord:
        """Start it and wait for its end."""
        self.start()
        self.cloud.wait_until(lambda: self.record.ended, f"{self.name} ends (it is {self.record.secondary_status})")
        return self.record

    def wait_for(self, status: str) -> None:
        self.cloud.wait_until(
            lambda: self.record.secondary_status == status, f"{self.name} is {status}, not {self.record}"
        )

    def stop(self) -> None:
        self.cloud.records.request_stop(self.name, kind=self.kind)

    @property
    def logs(self) -> dict[str, list[str]]:
        """Lines of each log stream."""
        found = {}
        for stream, file in self.cloud.home.job(self.key).log_streams():
            reader, offset, lines = LogReader(file), 0, []
            while events := (page := reader.forward(offset)).events:
                lines += [event.message for event in events]
                offset = page.forward
            found[stream] = lines
        return found

    @property
    def data_log(self) -> list[str]:
        return [line for stream, lines in self.logs.items() if stream.endswith("/data-log") for line in lines]

    @property
    def counts(self) -> Counts | None:
        """What it has counted."""
        return Counts.read(self.cloud.home.job(self.key).counts)

    @property
    def containers(self) -> list[str]:
        """Ids of its containers, stopped ones too."""
        command = ["docker", "ps", "-aq", "--filter", f"label=org.batchrl.job={self.key}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    @property
    def output_keys(self) -> list[str]:
        return self.cloud.store.keys(f"out/{self.name}/")

    def output(self, name: str) -> list[Any]:
        """The JSON lines of an output object, by the name of its input."""
        body = self.cloud.store.get(f"out/{self.name}/{name}.out")
        return [json.loads(line) for line in body.splitlines()]


class Factory:
    """Makes them.

    Args:
        cloud: where they run.
        bucket: holds models, inputs and outputs.
        image: the container image.
        pack: makes a tar.gz of files.
    """

    def __init__(self, cloud: Cloud, bucket: str, image: str, pack: Any) -> None:
        self.cloud = cloud
        self.bucket = bucket
        self.image = image
        self._pack = pack
        self._count = 0

    def model(
        self, name: str, environment: Mapping[str, str], files: Mapping[str, str] | None, **changes: Any
    ) -> dict[str, Any]:
        """A CreateModel request; ``files`` of its archive, by default the scripted server and weights."""
        given = {"code/serve.py": SERVER.read_text(), "weights": "w"} if files is None else dict(files)
        self.cloud.store.put(f"models/{name}/model.tar.gz", self._pack(given))
        container = {
            "Image": self.image,
            "ModelDataUrl": f"s3://{self.bucket}/models/{name}/model.tar.gz",
            "Environment": dict(environment),
        }
        container |= changes.pop("PrimaryContainer", {})
        kept = {key: value for key, value in container.items() if value is not None}
        return {"ModelName": name, "PrimaryContainer": kept, **changes}

    def transform(
        self,
        objects: Mapping[str, bytes],
        instance_type: str,
        *,
        environment: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        model: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Serving:
        """A transform job over objects by name; ``changes`` are merged into its request."""
        name = self._name("t")
        for key, body in objects.items():
            self.cloud.store.put(f"in/{name}/{key}", body)
        request: dict[str, Any] = {
            "TransformJobName": name,
            "ModelName": name,
            "TransformInput": {
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{self.bucket}/in/{name}/"}},
                "ContentType": JSON_LINES,
                "SplitType": "Line",
            },
            "TransformOutput": {
                "S3OutputPath": f"s3://{self.bucket}/out/{name}",
                "Accept": JSON_LINES,
                "AssembleWith": "Line",
            },
            "TransformResources": {"InstanceType": instance_type, "InstanceCount": 1},
            "Model": self.model(name, environment or {}, files, **(model or {})),
        }
        for key, value in changes.items():
            request[key] = {**request[key], **value} if isinstance(request.get(key), dict) else value
        return self._recorded(name, TRANSFORM, "transform-job", request)

    def endpoint(
        self,
        instance_type: str,
        *,
        environment: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        model: Mapping[str, Any] | None = None,
        **variant: Any,
    ) -> Serving:
        """An endpoint of one variant; ``variant`` is merged into it."""
        name = self._name("e")
        given = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InstanceType": instance_type,
            "InitialInstanceCount": 1,
        }
        request = {
            "EndpointName": name,
            "EndpointConfigName": name,
            "ProductionVariants": [given | variant],
            "Models": {name: self.model(name, environment or {}, files, **(model or {}))},
        }
        return self._recorded(name, ENDPOINT, "endpoint", request)

    def _recorded(self, name: str, kind: str, resource: str, request: dict[str, Any]) -> Serving:
        arn = f"arn:aws:sagemaker:us-east-1:000000000000:{resource}/{name}"
        self.cloud.records.create(JobRecord.new(name, kind, arn, request, time.time(), "Starting"))
        return Serving(self.cloud, name, kind, self.bucket)

    def _name(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count}-{self.cloud.home.root.parent.name.replace('_', '-')[-20:].strip('-')}"
