"""Start, stop and describe the local cloud of a data folder: as a user asks for it.

One cloud a data folder. ``ensure_up`` starts it on first use, under a file lock: API server and store are processes in
sessions of their own, and live on when the client ends. An API server that runs other code than the client is
replaced; jobs never notice, because each has a shim of its own.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from batchrl.contract.errors import InputError
from batchrl.contract.files import write_atomically
from launcher.api.constants import TRAINING
from launcher.base import extras, notices
from launcher.local import apiserver
from launcher.local.events.eventfile import EventFile
from launcher.local.events.kinds import StopRequested
from launcher.local.host.address import BUCKET, CloudAddress, StoreAddress, StoreSettings
from launcher.local.host.home import HomePaths
from launcher.local.host.jobrules import JobRules, check_aliases
from launcher.local.host.processes import ProcessId
from launcher.local.host.store import end_store, running_store
from launcher.local.host.version import fingerprint
from launcher.local.records.records import JobEnded, JobRecord, Records

__all__ = [
    "CloudAddress",
    "CloudStatus",
    "DownReport",
    "StoreAddress",
    "check_records",
    "down",
    "ensure_up",
    "interrupt",
    "is_up",
    "job_rules",
    "set_job_rules",
    "set_store",
    "status",
]

# The pattern of RoleArn in SageMaker's API.
_ROLE_ARN = re.compile(r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")
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
    if identity := apiserver.current(paths):
        return identity.address(paths)
    with apiserver.locked(paths):
        if identity := apiserver.current(paths, apiserver.ANSWER_SECONDS):
            return identity.address(paths)
        extras.require("the local cloud", extras.LOCAL)
        Records(paths.records).close()  # says what is wrong with them before an API server fails on it
        apiserver.end(paths)
        return apiserver.start(paths).address(paths)


def status(home: Path | None = None) -> CloudStatus | None:
    """What is up, or None when nothing is. Starts nothing."""
    paths = HomePaths.of(home)
    answered = apiserver.answer(paths)
    if answered is None:
        return None
    identity, found = answered
    store = running_store(paths) if found.store == "embedded" else None
    return CloudStatus(
        address=identity.address(paths),
        server_pid=found.pid,
        store_pid=store.pid if store else None,
        version=found.version,
        stale=found.fingerprint != fingerprint(),
        running_jobs=_running(paths),
    )


def is_up(home: Path | None = None) -> bool:
    """Whether an API server serves a data folder; it is not asked anything."""
    return HomePaths.of(home).server.player() is not None


def check_records(home: Path | None = None) -> None:
    """Whether the records of a data folder can be read, where it has any.

    Args:
        home: the data folder.

    Raises:
        InputError: they are damaged, or of a newer version.
    """
    records = HomePaths.of(home).records
    if records.is_file():
        Records(records).close()


def down(home: Path | None = None, stop_jobs: bool = False) -> DownReport:
    """Stop the cloud. Running jobs go on, and keep the store, unless they are to be stopped too.

    Args:
        home: the data folder.
        stop_jobs: whether to stop them; waits until they have ended.
    """
    paths = HomePaths.of(home)
    if not paths.root.is_dir():
        return DownReport(False, False, (), ())
    with apiserver.locked(paths):
        before = _running_if_known(paths)
        if stop_jobs and before:
            _stop_jobs(paths)
        server_stopped = apiserver.end(paths)
        running = _running_if_known(paths)
        store_stopped = not running and end_store(paths)
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
    with apiserver.locked(paths):
        if running := _running(paths):
            raise InputError(f"jobs are running and use the present store: {', '.join(running)}.", "Stop them first.")
        apiserver.end(paths)
        end_store(paths)
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
    image_aliases: tuple[str, ...] | None = None,
    interruptions_per_hour: float | None = None,
    interruption_seed: int | None = None,
) -> JobRules:
    """Say what jobs of a data folder may do beyond the rule, and what containers may take, from now on.

    What jobs may call holds for running jobs, too; all else for jobs and containers that are started. None leaves what
    was said.

    Args:
        home: the data folder.
        calling_roles: ARNs of the roles whose jobs may call the API.
        root_images: images that may run as root, with ``*`` for any text.
        memory_bytes: most memory of one container.
        processes: most processes and threads of one container.
        image_aliases, interruptions_per_hour, interruption_seed: see ``JobRules``.

    Raises:
        InputError: what is given is no ARN of a role or no alias, or what was said before is damaged.
    """
    for role in calling_roles or ():
        if not _ROLE_ARN.fullmatch(role):
            raise InputError(f"'{role}' is no ARN of a role.", "Write arn:aws:iam::000000000000:role/NAME.")
    check_aliases(image_aliases or ())
    paths = HomePaths.of(home)
    paths.create()
    with apiserver.locked(paths):
        rules = JobRules.read(paths.job_rules)
        rules = rules.with_changes(
            calling_roles,
            root_images,
            memory_bytes,
            processes,
            image_aliases,
            interruptions_per_hour,
            interruption_seed,
        )
        rules.write(paths.job_rules)
    return rules


def interrupt(name: str, home: Path | None = None) -> None:
    """Take its spot capacity from a training job, as AWS may at any time; it starts again from its checkpoints.

    Args:
        name: the job's.
        home: the data folder.

    Raises:
        InputError: there is none of this name, it has ended, or it has no spot capacity.
    """
    paths = HomePaths.of(home)
    record = _training_job(paths, name)
    if record is None:
        raise InputError(
            f"there is no training job '{name}' on this computer.", "List them: batchrl ps --kind training"
        )
    if record.ended:
        raise InputError(f"the job '{name}' has ended ({record.status}).", "Interrupt one that runs.")
    if not record.request.get("EnableManagedSpotTraining"):
        raise InputError(
            f"the job '{name}' runs on no spot capacity, which alone is taken away.",
            "Train with --spot --max-wait SECONDS; to end a job: batchrl stop.",
        )
    write_atomically(paths.job(record.key).interruption, "")


def _training_job(paths: HomePaths, name: str) -> JobRecord | None:
    if not paths.records.exists():
        return None
    records = Records(paths.records)
    try:
        return records.find(name, TRAINING)
    finally:
        records.close()


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


def _running_if_known(paths: HomePaths) -> tuple[str, ...]:
    """The same for who takes the cloud down: records that nobody can read keep nothing up."""
    try:
        return _running(paths)
    except InputError as error:
        notices.say(str(error))
        return ()


def _make_bucket(address: StoreAddress) -> None:
    from batchrl.contract.store import ensure_bucket, reported

    client = address.client()
    with reported(f"object store {address.endpoint_url}, bucket {BUCKET}", client):
        ensure_bucket(client, BUCKET)
