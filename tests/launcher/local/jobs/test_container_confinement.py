"""What a container can do to the machine, to other containers and to its inputs: seen from inside, in a real engine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from launcher.local.executors.confinement import JOB_UID
from launcher.local.host.jobrules import JobRules

pytestmark = pytest.mark.engine


@pytest.fixture
def container_job(cloud: Any, image: str) -> Any:
    def make(script: str | None, image: str = image, mode: str = "File", **fields: Any) -> Any:
        algorithm = {"TrainingImage": image, "TrainingInputMode": mode}
        return cloud.job(script, instance_type="local", AlgorithmSpecification=algorithm, **fields)

    return make


SEEN = """
import json, os, pathlib, socket
def status_of(pid):
    lines = pathlib.Path(f'/proc/{pid}/status').read_text().splitlines()
    return dict(line.split(':\\t', 1) for line in lines if ':\\t' in line)
status, first = status_of('self'), status_of(1)
def limit(*names):
    for name in names:
        path = pathlib.Path('/sys/fs/cgroup') / name
        if path.exists():
            return path.read_text().strip()
print(json.dumps({
    'caps': [status[name] for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')] + [first['CapBnd']],
    'privileges': status['NoNewPrivs'], 'uids': sorted(set(status['Uid'].split() + first['Uid'].split())),
    'memory': limit('memory/memory.limit_in_bytes', 'memory.max'), 'processes': limit('pids/pids.max', 'pids.max'),
    'sockets': sorted(os.listdir('/run/batchrl')),
}))
"""


def test_a_job_has_no_capabilities_no_way_to_more_and_limits(cloud: Any, container_job: Any) -> None:
    JobRules(memory_bytes=2 * 1024**3, processes=300).write(cloud.home.job_rules)
    job = container_job(SEEN).start()
    assert job.wait().failure_reason is None, job.lines
    seen = json.loads(job.lines[0])
    assert set(seen["caps"]) == {"0000000000000000"} and seen["privileges"] == "1"
    assert seen["uids"] == [str(os.getuid() or JOB_UID)]
    assert (int(seen["memory"]), int(seen["processes"])) == (2 * 1024**3, 300)
    ports = (cloud.address.api_url, cloud.address.s3_url)
    assert seen["sockets"] == sorted(f"{url.rpartition(':')[2]}.sock" for url in ports)


def test_a_container_that_forks_without_end_ends_itself_alone(cloud: Any, container_job: Any) -> None:
    JobRules(processes=60).write(cloud.home.job_rules)
    job = container_job(
        "import os, time\ncount = 0\n"
        "try:\n    while count < 500:\n"
        "        if os.fork() == 0:\n            time.sleep(60); os._exit(0)\n"
        "        count += 1\n"
        "except OSError as error:\n    print(f'{count < 60}: {error.strerror}')\n"
    ).start()
    job.wait()
    assert job.lines[0] == "True: Resource temporarily unavailable"


def test_A25_what_describes_a_job_and_its_FastFile_channels_cannot_be_written(cloud: Any, container_job: Any) -> None:
    prefix = cloud.home.root.parent.name
    cloud.store.put(f"{prefix}/a", b"before")
    job = container_job(
        "import pathlib\n"
        "inputs = ('config/hyperparameters.json', 'data/training/a', 'data/training/new', 'data/of-the-job')\n"
        "for path in inputs:\n"
        "    try:\n        pathlib.Path('/opt/ml/input', path).write_text('after')\n        print(path)\n"
        "    except OSError as error:\n        print(f'{path}: {error.strerror}')\n",
        mode="FastFile",
        channels={"training": f"s3://shim-tests/{prefix}/"},
    )
    assert job.start().wait().failure_reason is None, job.lines
    assert job.lines == [
        "config/hyperparameters.json: Read-only file system",
        "data/training/a: Read-only file system",
        "data/training/new: Read-only file system",
        "data/of-the-job",
    ]


def test_two_containers_do_not_reach_each_other(cloud: Any, container_job: Any) -> None:
    listens = container_job(
        "import socket, time\n"
        "listener = socket.create_server(('0.0.0.0', 8080))\n"
        "print(socket.gethostbyname(socket.gethostname()), flush=True)\n"
        "listener.settimeout(40)\n"
        "try:\n    listener.accept(); print('reached')\n"
        "except TimeoutError:\n    print('not reached')\n"
    ).start()
    listens.wait_for_line(".")
    address = listens.lines[0]
    tries = container_job(
        "import socket\n"
        f"try:\n    socket.create_connection(('{address}', 8080), timeout=5); print('reached')\n"
        "except OSError as error:\n    print('refused')\n"
    ).start()
    assert tries.wait().failure_reason is None
    assert tries.lines == ["refused"]
    assert listens.wait().failure_reason is None
    assert listens.lines[1:] == ["not reached"]


@pytest.fixture(scope="module")
def root_image(foreign_image: str, built_image: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Somebody's image that runs as root, as most do."""
    context: Path = tmp_path_factory.mktemp("root")
    (context / "Dockerfile").write_text(f"FROM {foreign_image}\nUSER root\n")
    with built_image(context, "root") as tag:
        yield tag


def test_A10_an_image_that_runs_as_root_does_so_where_it_is_allowed(
    cloud: Any, container_job: Any, root_image: str
) -> None:
    refused = container_job(None, root_image).start().wait()
    assert refused.failure_reason.startswith(f"ClientError: image '{root_image}' runs as root")
    assert "--allow-root" in refused.failure_reason
    JobRules(root_images=("batchrl-test-root:*",)).write(cloud.home.job_rules)
    job = container_job(None, root_image).start()
    assert job.wait().failure_reason is None, job.lines
    assert job.lines[0].startswith("train as 0 ")
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"private/weights": b"w\n"}


def test_an_alias_lends_no_permission_to_run_as_root(cloud: Any, container_job: Any, root_image: str) -> None:
    JobRules(root_images=("theirs:*",), image_aliases=(f"theirs:*={root_image}",)).write(cloud.home.job_rules)
    refused = container_job(None, "theirs:1").start().wait()
    assert refused.failure_reason.startswith(f"ClientError: image '{root_image}' runs as root")
