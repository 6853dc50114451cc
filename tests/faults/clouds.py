"""One local cloud in a folder of its own, as a fault finds it, and how the folder looks when nothing happens."""

from __future__ import annotations

import contextlib
import functools
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from batchrl.contract.store import Client
from faults import targets
from faults.findings import HUNG, LEFT, Findings, eventually
from launcher.api.constants import TRAINING
from launcher.local import cloud
from launcher.local.host.address import StoreAddress
from launcher.local.host.home import HomePaths
from launcher.local.records.records import JobRecord, Records
from launcher.session.session import LocalSession, Session

# How long what was told to end may take to be gone (seconds): many are, at times, on a busy machine.
SETTLE_SECONDS = 30.0


@dataclass(frozen=True)
class OtherStore:
    """A store that a cloud uses in place of its own.

    Args:
        url: what the cloud is told.
        variables: names of the environment variables with its keys.
        address: the real one behind it.
    """

    url: str
    variables: tuple[str, ...]
    address: StoreAddress

    @functools.cache  # noqa: B019 - one client for the whole run
    def client(self) -> Client:
        """A client of the real store."""
        return self.address.client()


class Cloud:
    """A cloud under test.

    Args:
        folder: its data folder; made here.
        store: what stands in place of the embedded store.
    """

    def __init__(self, folder: Path, store: OtherStore | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.paths = HomePaths.of(folder)
        self.session: LocalSession = Session.local(folder)
        self._store = store
        if store is not None:
            cloud.set_store(store.url, folder, variables=store.variables)
        cloud.ensure_up(folder)

    @property
    def truth(self) -> Client:
        """A client of the real store, past whatever stands before it."""
        return self._store.client() if self._store else self.session.s3

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self.paths.root

    @property
    def bucket(self) -> str:
        """The default bucket."""
        return self.session.default_bucket

    def fresh_prefix(self) -> str:
        """An S3 prefix that nobody has used."""
        return f"s3://{self.bucket}/faults/{uuid.uuid4().hex[:12]}"

    def revive(self, findings: Findings | None = None) -> bool:
        """What the next command of a user does: start what is gone, find it where it is."""
        try:
            self.session.revive()
            self.session.sagemaker.list_training_jobs(MaxResults=1)
        except Exception as error:
            if findings is not None:
                findings.check(False, HUNG, f"the next command cannot reach the cloud: {error}")
            return False
        return True

    @contextlib.contextmanager
    def records(self) -> Iterator[Records]:
        """The records, straight from their file."""
        records = Records(self.paths.records)
        try:
            yield records
        finally:
            records.close()

    def record(self, name: str, kind: str = TRAINING) -> JobRecord | None:
        """A job's record."""
        with self.records() as records:
            return records.find(name, kind)

    def check_clean(self, findings: Findings) -> None:
        """Note what is still there of jobs that have ended, once it had time to go."""
        eventually(lambda: not self._leftovers(), SETTLE_SECONDS)
        for text in self._leftovers():
            findings.check(False, LEFT, text)

    def _leftovers(self) -> list[str]:
        with self.records() as records:
            running = {record.key for record in records.running()}
            # Failed jobs keep what could not be published; whoever has published keeps nothing.
            published = [record.key for record in records.list() if record.ended and record.published_at]
        found = [*self._processes(), *self._containers()]
        found += [
            f"folder of a published job: {root}" for key in published for root in self.paths.job(key).folder.glob("ml*")
        ]
        if not running:
            own = {self.paths.server_socket, self.paths.store_socket}
            found += [f"socket: {one.name}" for one in self.paths.runtime.glob("*") if one not in own]
        found += [f"temporary file: {one}" for one in self._temporary()]
        return found

    def _processes(self) -> list[str]:
        known = {targets.server(self.paths), targets.store(self.paths), targets.forkserver(self.paths)}
        with self.records() as records:
            known |= {record.shim_pid for record in records.running()}
        return [
            f"process {one.pid}: {' '.join(one.command)[:120]}"
            for one in targets.of_home(self.paths)
            if one.pid not in known and not self._of_running_job(one)
        ]

    def _of_running_job(self, process: targets.Process) -> bool:
        with self.records() as records:
            return any(process.concerns(self.paths.job(record.key).folder) for record in records.running())

    def _containers(self) -> list[str]:
        if shutil.which("docker") is None:
            return []
        from faults.containers import leftovers

        return leftovers(self.paths)

    def _temporary(self) -> list[Path]:
        folders = (self.paths.root, self.paths.jobs, *self.paths.jobs.glob("*"))
        return [path for folder in folders for path in folder.glob("*.tmp*") if path.is_file()]

    def last_words(self, jobs: int = 2, lines: int = 6) -> list[str]:
        """The ends of the logs of the newest jobs' shims and of the API server, for whoever cannot see the folder."""
        files = sorted(self.paths.jobs.glob("*/shim.log"), key=lambda file: file.stat().st_mtime)[-jobs:]
        found = []
        for file in [*files, self.paths.server_log]:
            with contextlib.suppress(OSError):
                tail = file.read_text(errors="replace").splitlines()[-lines:]
                found += [f"{file.relative_to(self.folder)}: {line}" for line in tail]
        return found

    def end(self) -> None:
        """Stop all of it; nothing of it may live on, whatever state it is in."""
        with contextlib.suppress(Exception):
            cloud.down(self.folder, stop_jobs=True)
        for _ in range(3):
            for one in targets.of_home(self.paths):
                targets.strike(one.pid, targets.signal.SIGCONT)
                targets.strike(one.pid, targets.signal.SIGKILL)
        with contextlib.suppress(Exception):
            from faults.containers import remove

            remove(self.paths)
        shutil.rmtree(self.paths.runtime, ignore_errors=True)

    def remove(self) -> None:
        """End it, and remove its folder."""
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)
