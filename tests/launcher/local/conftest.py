"""A real store and real shims: records are made here, everything after that is the product's own."""

from __future__ import annotations

import functools
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import serving_support
from api_servers import served_cloud
from embedded import Embedded
from serving_support import Factory

from batchrl.contract.layout import S3Url
from batchrl.contract.store import Client, ensure_bucket, list_objects
from launcher.api.constants import TRAINING
from launcher.local.host.address import CloudAddress
from launcher.local.host.home import HomePaths
from launcher.local.host.processes import ProcessId
from launcher.local.logs.joblogs import LogReader
from launcher.local.records.records import JobRecord, Records

BUCKET = "shim-tests"
DEADLINE = 60.0
GRACE_SECONDS = 3


def wait_until(condition: Callable[[], bool], what: str, timeout: float = DEADLINE) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what}"
        time.sleep(0.02)


class Store:
    """An embedded store on a fixed port: it can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._server = Embedded(folder)
        self.identity = self._server.identity

    @functools.cached_property
    def client(self) -> Client:
        return self._server.client()

    def start(self) -> None:
        self._server.start()
        ensure_bucket(self.client, BUCKET)

    def stop(self) -> None:
        self._server.kill()

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def get(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key, _ in list_objects(self.client, S3Url(BUCKET, prefix)))

    def members(self, key: str) -> dict[str, bytes]:
        """Files of an archive in the store."""
        with tarfile.open(fileobj=io.BytesIO(self.get(key))) as tar:
            found = {}
            for member in tar.getmembers():
                if member.isfile():
                    file = tar.extractfile(member)
                    assert file is not None
                    found[member.name] = file.read()
            return found


@pytest.fixture(scope="session")
def session_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("store"))
    store.start()
    yield store
    store.stop()


@dataclass
class Job:
    """One job in the records."""

    cloud: Cloud
    name: str
    shim: Shim | None = None

    @property
    def record(self) -> JobRecord:
        return self.cloud.records.get(self.name)

    @property
    def prefix(self) -> str:
        return f"out/{self.name}"

    @property
    def lines(self) -> list[str]:
        stream = self.record.log_stream
        if stream is None:
            return []
        reader, offset, lines = LogReader(self.cloud.home.job(self.name).log_file(stream.partition("/")[2])), 0, []
        while events := (page := reader.forward(offset)).events:
            lines += [event.message for event in events]
            offset = page.forward
        return lines

    @property
    def ml(self) -> Path:
        return self.cloud.home.job(self.name).ml

    def start(self) -> Job:
        self.shim = self.cloud.warm_shim()
        self.assign()
        return self

    def assign(self) -> None:
        assert self.shim is not None
        self.shim.take(TRAINING, self.name)

    def wait(self, timeout: float = DEADLINE) -> JobRecord:
        wait_until(lambda: self.record.ended, f"{self.name} ends (it is {self.record.secondary_status})", timeout)
        return self.record

    def wait_for_line(self, text: str) -> None:
        wait_until(lambda: any(text in line for line in self.lines), f"'{text}' in the log")

    @property
    def statuses(self) -> list[str]:
        return [entry.status for entry in self.record.transitions]


@dataclass
class Shim:
    """One shim, forked by a forkserver that forks no other."""

    cloud: Cloud
    forkserver: subprocess.Popen[bytes]
    process: ProcessId | None = None

    def take(self, kind: str, name: str) -> None:
        """Give it its job, and wait until the job has a shim."""
        assert self.forkserver.stdin is not None
        self.forkserver.stdin.write(f"{kind} {name}\n".encode())
        self.forkserver.stdin.close()
        wait_until(lambda: self.cloud.records.get(name, kind).shim_pid is not None, f"{name} has a shim")
        record = self.cloud.records.get(name, kind)
        self.process = ProcessId(record.shim_pid or 0, record.shim_started_at or 0)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        wait_until(lambda: not self.process.alive, "the shim is gone")

    def close(self) -> None:
        if self.process is not None:
            self.process.end(0)
        self.forkserver.kill()
        self.forkserver.wait()
        if self.forkserver.stdin is not None and not self.forkserver.stdin.closed:
            self.forkserver.stdin.close()


@dataclass
class Cloud:
    """A data folder with records, a store and an API server, which hands its jobs to nobody."""

    wait_until = staticmethod(wait_until)

    home: HomePaths
    store: Store
    records: Records
    environ: dict[str, str] = field(default_factory=dict)
    prefix: list[str] = field(default_factory=list)
    shims: list[Shim] = field(default_factory=list)
    count: int = 0
    address: CloudAddress | None = None

    def warm_shim(self) -> Shim:
        """The shim of a forkserver of its own, which waits for its job."""
        command = [*self.prefix, sys.executable, "-m", "launcher.local.shims.forkserver", "--home", self.home.root]
        forkserver = subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | self.environ)
        self.shims.append(shim := Shim(self, forkserver))
        return shim

    def job(
        self,
        script: str | None = "print('hello')",
        *,
        instance_type: str = "local_process",
        hyperparameters: Mapping[str, str] | None = None,
        channels: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> Job:
        """A job whose script is given as text; ``fields`` are merged into the request."""
        self.count += 1
        name = f"job-{self.home.root.parent.name.replace('_', '-')[-20:]}-{self.count}".strip("-")
        sources = dict(channels or {})
        parameters = dict(hyperparameters or {})
        if script is not None:
            archive = pack({"script.py": script, **(files or {})})
            self.store.put(f"code/{name}/sourcedir.tar.gz", archive)
            sources["code"] = f"s3://{BUCKET}/code/{name}/"
            parameters["sagemaker_program"] = "script.py"
        request: dict[str, Any] = {
            "TrainingJobName": name,
            "HyperParameters": parameters,
            "AlgorithmSpecification": {"TrainingImage": "batchrl", "TrainingInputMode": "File"},
            "RoleArn": "arn:aws:iam::000000000000:role/batchrl",
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
            "ResourceConfig": {"InstanceType": instance_type, "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            "InputDataConfig": [
                {
                    "ChannelName": channel,
                    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": url}},
                }
                for channel, url in sources.items()
            ],
        }
        for key, value in fields.items():
            request[key] = {**request[key], **value} if isinstance(request.get(key), dict) else value
        arn = f"arn:aws:sagemaker:us-east-1:000000000000:training-job/{name}"
        self.records.create(JobRecord.new(name, TRAINING, arn, request, time.time(), "Preparing the job"))
        return Job(self, name)


def pack(files: Mapping[str, str]) -> bytes:
    """A code archive."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return raw.getvalue()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud whose store knows the keys of its jobs, and may be stopped and started."""
    store = Store(tmp_path / "home")
    store.start()
    yield from _cloud(tmp_path / "home", store)
    store.stop()


@pytest.fixture(
    params=[pytest.param("local_process", id="process"), pytest.param("local", id="docker", marks=pytest.mark.engine)]
)
def executor(request: pytest.FixtureRequest) -> str:
    """The instance types of both executors."""
    return str(request.param)


@pytest.fixture
def serving(cloud: Cloud, executor: str, request: pytest.FixtureRequest) -> Factory:
    """Makes transform jobs and endpoints, for the executor of the test."""
    image = request.getfixturevalue("image") if executor == "local" else "batchrl"
    return Factory(cloud, BUCKET, image, pack)


@pytest.fixture
def make_cloud() -> Iterator[Callable[[Path, Store], Cloud]]:
    """Clouds in folders of the test's own choice."""
    with ExitStack() as stack:
        yield lambda folder, store: stack.enter_context(contextmanager(_cloud)(folder, store))


def _cloud(folder: Path, store: Store) -> Iterator[Cloud]:
    home = HomePaths.of(folder)
    home.create()
    one = Cloud(home, store, Records(home.records), {"BATCHRL_STOP_GRACE_SECONDS": str(GRACE_SECONDS)})
    with served_cloud(home, store.identity, one.records) as one.address:
        yield one
    for shim in one.shims:
        shim.close()
    for record in one.records.list():
        from launcher.local.executors.reap import reap

        reap(home, record)
    one.records.close()
    shutil.rmtree(home.runtime, ignore_errors=True)


@contextmanager
def built(context: Path, name: str) -> Iterator[str]:
    """An image from a folder with a Dockerfile, removed afterwards."""
    tag = f"batchrl-test-{name}:{os.getpid()}"
    subprocess.run(["docker", "build", "-q", "-t", tag, context], check=True, capture_output=True)
    try:
        yield tag
    finally:
        subprocess.run(["docker", "rmi", "-f", tag], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def built_image() -> Callable[[Path, str], AbstractContextManager[str]]:
    """Builds images of a test's own."""
    return built


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The built image with the sources of this tree: a test is about what it stands beside."""
    from launcher.local.engine.image import default_image

    context = tmp_path_factory.mktemp("image")
    rubbish = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info")
    shutil.copytree(Path(__file__).parents[3] / "entrypoints", context / "entrypoints", ignore=rubbish)
    (context / "Dockerfile").write_text(f"FROM {default_image()}\nCOPY entrypoints /opt/batchrl\n")
    with built(context, "shim") as tag:
        yield tag


@pytest.fixture(scope="session")
def foreign_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Somebody's own image: another user, a folder of its own, a program ``train``, files at /opt/ml."""
    from launcher.local.engine.image import default_image

    context = tmp_path_factory.mktemp("foreign")
    (context / "train").write_text(
        "#!/bin/sh\n"
        'echo "train as $(id -u) in $(pwd), SM: $SM_MODEL_DIR, stdin: $(cat)"\n'
        "ls /opt/ml\n"
        "umask 077; mkdir /opt/ml/model/private; echo w > /opt/ml/model/private/weights\n"
        "echo x > /opt/ml/output/failure\n"
    )
    (context / "train").chmod(0o755)
    (context / "Dockerfile").write_text(
        f"FROM {default_image()}\nLABEL org.batchrl.image=0\n"
        "COPY train /usr/local/bin/train\nCOPY train /opt/ml/baked\n"
        "ENTRYPOINT []\nUSER 1234:1234\nWORKDIR /usr/share\n"
    )
    with built(context, "foreign") as tag:
        yield tag


@pytest.fixture(scope="session")
def other_image_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Somebody's own serving image: another user, no entry point, a program ``serve`` on the path."""
    from launcher.local.engine.image import default_image

    context = tmp_path_factory.mktemp("foreign-server")
    server = serving_support.SERVER.read_text()
    (context / "serve").write_text(f"#!/usr/bin/env python3\n{server}")
    (context / "serve").chmod(0o755)
    (context / "Dockerfile").write_text(
        f"FROM {default_image()}\nLABEL org.batchrl.image=0\nCOPY serve /usr/local/bin/serve\n"
        "ENTRYPOINT []\nUSER 1234:1234\n"
    )
    with built(context, "foreign-server") as tag:
        yield tag


@pytest.fixture
def cache() -> None:
    """All tests of this folder share the caller's cache: packages of code are built once."""
