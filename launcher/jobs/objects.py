"""``wait_for_s3_object``, as notebooks of the seed call it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batchrl.contract.errors import InputError, JobFailed
from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import MANIFEST_NAME
from batchrl.contract.store import list_objects
from batchrl.contract.transfer import Transfer
from launcher.base.clock import Clock, SystemClock
from launcher.base.notices import say
from launcher.jobs.training import Job
from launcher.local.host.address import BUCKET
from launcher.results.pull import fetch_all
from launcher.session.session import Session

SYNCED = "/output/intermediate/"
POLL_SECONDS = 5.0
LOCAL_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class S3Object:
    """What ``fetch_only`` decides about."""

    bucket_name: str
    key: str
    size: int


class NeverAppeared(InputError, FileNotFoundError):
    """No object appeared in time."""


def wait_for_s3_object(
    s3_bucket: str,
    key: str,
    local_dir: str | Path,
    local_prefix: str = "",
    aws_account: str | None = None,
    session: object = None,
    timeout: float | None = 1200,
    limit: int | None = 20,
    fetch_only: Callable[[S3Object], bool] | None = None,
    training_job_name: str | None = None,
    clock: Clock | None = None,
) -> list[str]:
    """Wait until objects with a key prefix exist, and download them under their short names.

    A file that is overwritten meanwhile, such as the csv of estimates, arrives whole. The manifest of a synced folder
    is no result: it arrives only where ``key`` names it.

    Args:
        s3_bucket: the bucket; the local cloud's default bucket means the local cloud, any other one AWS.
        key: a key, or the beginning of several.
        local_dir: folder for the files.
        local_prefix: folder below it.
        aws_account: of no effect; kept for notebooks that give it.
        session: the cloud, instead of the one that the bucket means; ours or a boto3 session.
        timeout: seconds; None to wait as long as it takes.
        limit: at most so many files, the last ones; None for all.
        fetch_only: whether an object is wanted.
        training_job_name: a job whose failure ends the waiting.
        clock: time, for tests.

    Returns:
        Paths of the files.

    Raises:
        NeverAppeared: (a FileNotFoundError) nothing appeared within ``timeout``.
        JobFailed: the job failed before anything appeared.
        Unreachable: the store does not answer.
    """
    cloud, clock = _session(session, s3_bucket), clock or SystemClock()
    job = Job(training_job_name, cloud) if training_job_name else None
    source = S3Url(s3_bucket, key)
    started = clock.now()
    say(f"Waiting for {source}...")
    while not (found := _objects(cloud, source, fetch_only)):
        state = job.status() if job else None
        if state is not None and state.ended:
            # What was uploaded between the two questions counts.
            if found := _objects(cloud, source, fetch_only):
                break
            if state.status != "Completed":
                raise JobFailed(
                    f"the job '{training_job_name}' ended as {state.status} before {source} appeared: "
                    f"{state.failure_reason or state.message or 'no reason was given'}"
                )
        if timeout is not None and clock.now() - started > timeout:
            raise NeverAppeared(f"{source} did not appear within {timeout:g} s.")
        clock.sleep(LOCAL_POLL_SECONDS if cloud.is_local else POLL_SECONDS)
    if limit and len(found) > limit:
        say(f"Only downloading {limit} of {len(found)} files")
        found = found[-limit:]
    folder = Path(local_dir) / local_prefix
    for each in found:
        say(f"Downloading {each.key}")
    transfers = [_transfer(each, folder) for each in found]
    with cloud.reported(f"download of {source}", cloud.s3):
        fetch_all(cloud.s3, transfers)
    return [str(transfer.file) for transfer in transfers]


def _session(session: object, bucket: str) -> Session:
    if isinstance(session, Session):
        return session
    if session is not None:
        return Session.aws(session)  # type: ignore[arg-type]  # a boto3 session
    return Session.local() if bucket == BUCKET else Session.aws()


def _objects(cloud: Session, source: S3Url, wanted: Callable[[S3Object], bool] | None) -> list[S3Object]:
    with cloud.reported(f"looking for {source}", cloud.s3):
        found = [S3Object(source.bucket, key, size) for key, size in list_objects(cloud.s3, source)]
    named = source.key.endswith(MANIFEST_NAME)
    results = [item for item in found if named or item.key.rpartition("/")[2] not in ("", MANIFEST_NAME)]
    return [item for item in results if wanted is None or wanted(item)]


def _transfer(found: S3Object, folder: Path) -> Transfer:
    top, mark, _ = found.key.partition(SYNCED)
    synced = S3Url(found.bucket_name, top + mark[:-1]) if mark else None
    file = folder / found.key.rpartition("/")[2]
    return Transfer(S3Url(found.bucket_name, found.key), found.size, file, prefix=synced)
