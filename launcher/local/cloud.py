"""Start, stop and describe the local cloud of a data folder: the client's side of the API server.

One cloud a data folder. ``ensure_up`` starts it on first use, under a file lock: API server and store are processes in
sessions of their own, and live on when the client ends. An API server that runs other code than the client is
replaced; jobs never notice, because each has a shim of its own.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from batchrl.contract.errors import InputError, Unreachable
from batchrl.contract.files import write_atomically
from launcher.base import extras, lock
from launcher.local.events.eventfile import EventFile
from launcher.local.events.kinds import StopRequested
from launcher.local.host.address import BUCKET, CloudAddress, Identity, StoreAddress, StoreSettings
from launcher.local.host.home import HomePaths
from launcher.local.host.jobrules import JobRules
from launcher.local.host.processes import POLL_SECONDS, ProcessId, spawn_detached
from launcher.local.host.store import EmbeddedStore, last_lines
from launcher.local.host.version import fingerprint
from launcher.local.records.records import SCHEMA_VERSION, JobEnded, JobRecord, Records
from launcher.local.server import probe

__all__ = [
    "CloudAddress",
    "CloudStatus",
    "DownReport",
    "StoreAddress",
    "down",
    "ensure_up",
    "job_rules",
    "set_job_rules",
    "set_store",
    "shell_exports",
    "status",
]

# The pattern of RoleArn in SageMaker's API.
_ROLE_ARN = re.compile(r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")
START_SECONDS = 30.0
LOCK_SECONDS = 60.0
SERVER_STOP_SECONDS = 10.0
# The grace of a stop (contract 88), and time to upload what there is.
JOB_STOP_SECONDS = 300.0


@dataclass(frozen=True)
class CloudStatus:
    """A cloud that is up.

    Args:
        address: where it listens.
        server_pid: the API server's process.
        store_pid: the embedded store's process; None for a store of the user's own.
        version: version of the API server's code.
        stale: whether that is other code than ours; the next use replaces the API server.
        running_jobs: names of the jobs that have not ended.
    """

    address: CloudAddress
    server_pid: int
    store_pid: int | None
    version: str
    stale: bool
    running_jobs: tuple[str, ...]


@dataclass(frozen=True)
class DownReport:
    """What ``down`` did.

    Args:
        server_stopped, store_stopped: what was ended.
        stopped_jobs: names of the jobs that were asked to stop and did.
        running_jobs: names of the jobs that go on; the store stays for them.
    """

    server_stopped: bool
    store_stopped: bool
    stopped_jobs: tuple[str, ...]
    running_jobs: tuple[str, ...]


def ensure_up(home: Path | None = None) -> CloudAddress:
    """The address of the cloud of a data folder, started if need be (under 2 s).

    Args:
        home: the data folder; by default ``$BATCHRL_HOME``, else the XDG data folder.

    Raises:
        InputError: the folder is another user's, was written by a newer version, or cannot be used.
        Unreachable: the cloud does not start; the message holds the end of its log.
    """
    paths = HomePaths.of(home)
    paths.create()
    if identity := _current(paths):
        return identity.address(paths)
    with _locked(paths):
        if identity := _current(paths):
            return identity.address(paths)
        extras.require("the local cloud", extras.LOCAL)
        Records(paths.records).close()  # says what is wrong with them before an API server fails on it
        _end_server(paths)
        return _start(paths).address(paths)


def status(home: Path | None = None) -> CloudStatus | None:
    """What is up, or None when nothing is. Starts nothing."""
    paths = HomePaths.of(home)
    identity = Identity.read(paths.cloud_file)
    found = _ask(paths, identity)
    if identity is None or found is None:
        return None
    store = ProcessId.read(paths.store_process)
    return CloudStatus(
        address=identity.address(paths),
        server_pid=found.pid,
        store_pid=store.pid if store and store.alive and found.store == "embedded" else None,
        version=found.version,
        stale=found.fingerprint != fingerprint(),
        running_jobs=_running(paths),
    )


def down(home: Path | None = None, stop_jobs: bool = False) -> DownReport:
    """Stop the cloud. Running jobs go on, and keep the store, unless they are to be stopped too.

    Args:
        home: the data folder.
        stop_jobs: whether to stop them; waits until they have ended.
    """
    paths = HomePaths.of(home)
    if not paths.root.is_dir():
        return DownReport(False, False, (), ())
    with _locked(paths):
        before = _running(paths)
        if stop_jobs and before:
            _stop_jobs(paths)
        server_stopped = _end_server(paths)
        running = _running(paths)
        identity = Identity.read(paths.cloud_file)
        store_stopped = not running and identity is not None and EmbeddedStore(paths, identity).stop()
        with suppress(OSError):  # a socket of a job may still be there
            paths.runtime.rmdir()
    stopped = tuple(name for name in before if name not in running) if stop_jobs else ()
    return DownReport(server_stopped, store_stopped, stopped, running)


def set_store(
    endpoint_url: str | None,
    home: Path | None = None,
    *,
    region: str | None = None,
    profile: str | None = None,
    variables: tuple[str, ...] = (),
) -> StoreAddress | None:
    """Choose the object store of a data folder; the API server is ended, and its next start uses the new one.

    Args:
        endpoint_url: S3 endpoint of a store of the user's own; None goes back to the embedded one.
        home: the data folder.
        region: the store's region.
        profile: profile of the AWS configuration files with its credentials.
        variables: else the names of the variables with access key, secret key and, if any, session token.

    Raises:
        InputError: jobs are running, the credentials are missing, or the store refuses them.
        Unreachable: the store does not answer.
    """
    paths = HomePaths.of(home)
    paths.create()
    address = None
    if endpoint_url is not None:
        known = {"region": region} if region else {}
        settings = StoreSettings(endpoint_url, profile=profile, variables=variables, **known)
        address = settings.resolve()
        _make_bucket(address)
    with _locked(paths):
        if running := _running(paths):
            raise InputError(f"jobs are running and use the present store: {', '.join(running)}.", "Stop them first.")
        _end_server(paths)
        if identity := Identity.read(paths.cloud_file):
            EmbeddedStore(paths, identity).stop()
        if address is None:
            paths.settings.unlink(missing_ok=True)
        else:
            settings.write(paths.settings)
    return address


def job_rules(home: Path | None = None) -> JobRules:
    """What jobs of a data folder may do beyond the rule.

    Raises:
        InputError: the file that says it is damaged.
    """
    return JobRules.read(HomePaths.of(home).job_rules)


def set_job_rules(
    home: Path | None = None,
    *,
    calling_roles: tuple[str, ...] | None = None,
    root_images: tuple[str, ...] | None = None,
    memory_bytes: int | None = None,
    processes: int | None = None,
) -> JobRules:
    """Say what jobs of a data folder may do beyond the rule, and what containers may take, from now on.

    What jobs may call holds for running jobs, too; all else for containers that are started. None leaves what was said.

    Args:
        home: the data folder.
        calling_roles: ARNs of the roles whose jobs may call the API.
        root_images: images that may run as root, with ``*`` for any text.
        memory_bytes: most memory of one container.
        processes: most processes and threads of one container.

    Raises:
        InputError: what is given is no ARN of a role, or what was said before is damaged.
    """
    for role in calling_roles or ():
        if not _ROLE_ARN.fullmatch(role):
            raise InputError(f"'{role}' is no ARN of a role.", "Write arn:aws:iam::000000000000:role/NAME.")
    paths = HomePaths.of(home)
    paths.create()
    with _locked(paths):
        rules = JobRules.read(paths.job_rules).with_changes(calling_roles, root_images, memory_bytes, processes)
        rules.write(paths.job_rules)
    return rules


def shell_exports(address: CloudAddress) -> list[str]:
    """Lines that point the AWS CLI, boto3 and the ``sagemaker`` SDK of a shell at a cloud.

    A store of the user's own is reached through the API server, so that its credentials stay where they are.
    """
    values = {
        "BATCHRL_HOME": str(address.home),
        "AWS_ENDPOINT_URL": address.api_url,
        "AWS_ENDPOINT_URL_S3": address.s3_url,
        "AWS_REGION": address.region,
        "AWS_DEFAULT_REGION": address.region,
        "AWS_ACCESS_KEY_ID": address.access_key,
        "AWS_SECRET_ACCESS_KEY": address.secret_key,
        # The embedded store answers ranged reads with the checksum of the whole object, which boto3 then refuses.
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(HomePaths.of(address.home).sdk_config),
    }
    unset = "unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN"
    return [unset, *(f"export {name}={shlex.quote(value)}" for name, value in values.items())]


def _current(paths: HomePaths) -> Identity | None:
    """The identity of a cloud that is up and runs our code.

    Raises:
        InputError: its records are newer than ours.
    """
    identity = Identity.read(paths.cloud_file)
    found = _ask(paths, identity)
    if identity is None or found is None:
        return None
    if found.schema > SCHEMA_VERSION:
        raise InputError(
            f"the local cloud in {paths.root} runs a newer batchrl ({found.version}) than this one.",
            "Update batchrl, or set BATCHRL_HOME to another folder.",
        )
    settings = StoreSettings.read(paths.settings)
    same_store = found.store == (settings.endpoint_url if settings else "embedded")
    return identity if found.fingerprint == fingerprint() and same_store else None


def _ask(paths: HomePaths, identity: Identity | None) -> probe.ServerVersion | None:
    """Ask the API server, if its process lives: whoever else may listen at its port is not waited for."""
    process = ProcessId.read(paths.server_process)
    return probe.ask(identity) if identity and process and process.alive else None


def _start(paths: HomePaths) -> Identity:
    identity = Identity.read(paths.cloud_file)
    if identity is None:
        identity = Identity.create()
        identity.write(paths.cloud_file)
    identity.address(paths)  # an external store without credentials is the user's mistake: say so here
    write_atomically(paths.sdk_config, _SDK_CONFIG, shared=True, private=True)
    child = spawn_detached(
        (sys.executable, "-m", "launcher.local.server.process", "--home", str(paths.root)), paths.server_log
    )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if (known := ProcessId.read(paths.server_process)) and known.pid == child.pid:
            # Read again: an API server whose port was taken stores another one.
            identity = Identity.read(paths.cloud_file) or identity
            if _ask(paths, identity):
                return identity
        if child.poll() is not None:
            break
        time.sleep(POLL_SECONDS)
    _give_up(child)
    raise Unreachable(
        f"the local cloud in {paths.root} does not start: {last_lines(paths.server_log)}",
        f"Its log is {paths.server_log}",
    )


def _give_up(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None and (process := ProcessId.of(child.pid)):
        process.end(SERVER_STOP_SECONDS)
        child.poll()


def _end_server(paths: HomePaths) -> bool:
    process = ProcessId.read(paths.server_process)
    if process is None or not process.alive:
        return False
    process.end(SERVER_STOP_SECONDS)
    paths.server_process.unlink(missing_ok=True)
    return True


def _stop_jobs(paths: HomePaths) -> None:
    records = Records(paths.records)
    try:
        for record in records.running():
            try:
                records.request_stop(record.name, kind=record.kind)
                EventFile(paths.job(record.key).events).add(StopRequested("batchrl cloud down --stop-jobs"))
            except JobEnded:
                continue
        deadline = time.monotonic() + JOB_STOP_SECONDS
        while time.monotonic() < deadline and any(_has_shim(record) for record in records.running()):
            time.sleep(0.1)
    finally:
        records.close()


def _has_shim(record: JobRecord) -> bool:
    """Whether somebody is there who will end the job."""
    return ProcessId(record.shim_pid or 0, record.shim_started_at or 0).alive


def _running(paths: HomePaths) -> tuple[str, ...]:
    if not paths.records.exists():
        return ()
    records = Records(paths.records)
    try:
        return tuple(record.name for record in records.running())
    finally:
        records.close()


def _make_bucket(address: StoreAddress) -> None:
    from batchrl.contract.store import ensure_bucket, reported

    client = address.client()
    with reported(f"object store {address.endpoint_url}, bucket {BUCKET}", client):
        ensure_bucket(client, BUCKET)


@contextmanager
def _locked(paths: HomePaths) -> Iterator[None]:
    """Hold the data folder's lock: one start, stop or change at a time."""
    deadline = time.monotonic() + LOCK_SECONDS
    while (held := lock.take(paths.lock)) is None:
        if time.monotonic() > deadline:
            raise Unreachable(f"another process starts or stops the local cloud in {paths.root} and does not end.")
        time.sleep(POLL_SECONDS)
    with held:
        yield


_SDK_CONFIG = f"""SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
      Session:
        DefaultS3Bucket: {BUCKET}
"""
