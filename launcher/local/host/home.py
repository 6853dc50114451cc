"""Every path of a local cloud's data folder.

::

    <home>/cloud.json        address and credentials of the cloud (mode 0600)
           cloud.lock        held by whoever starts, stops or changes the cloud
           door.lock         held by the API server as long as it lives (``door`` is its name on disk since 0.1.0)
           door.json store.json   process ids of API server and store
           settings.json     the object store, when it is not the embedded one
           records.sqlite    jobs, endpoints, models, tags
           door.log store.log
           keys/             keys of running jobs, a file each (mode 0600): what each opens in S3
           job-rules.json    what jobs may do beyond the rule: who may call the API, images as root, limits
           sdk-config.yaml   settings for the ``sagemaker`` SDK
           s3/               the embedded store: catalog.sqlite (keys and what is known of their objects) and
                             contents/ (their bytes, in files that are named by numbers)
           s3.lock           held by the embedded store as long as it lives
           store/            objects of a store of version 0.1.0, as plain files; taken over at the next start
           jobs/<key>/       of training jobs, and of transform.<name> and endpoint.<name>: shim.log, events.jsonl,
                             logs/<stream>.log, ml/ (the job's /opt/ml while it runs; ml.2/ of its second instance),
                             counts.json (of a transform job that has ended)
    /tmp/batchrl-<uid>-<hash>/   sockets; a unix socket's path may not exceed 107 bytes, so they cannot lie in <home>
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from batchrl.contract.errors import InputError
from launcher.local.host.role import Role

HOME_VARIABLE = "BATCHRL_HOME"
PRIVATE_FOLDER = 0o700

# A fixed place: jobs outlive the session that started them, XDG_RUNTIME_DIR does not; TMPDIR differs between shells.
RUNTIME_BASE = Path("/tmp")


def default_home(environ: Mapping[str, str] | None = None) -> Path:
    """The data folder: ``$BATCHRL_HOME``, else the one that the XDG rules give."""
    environ = os.environ if environ is None else environ
    if given := environ.get(HOME_VARIABLE):
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("batchrl", appauthor=False))


@dataclass(frozen=True)
class JobHome:
    """The files that the local cloud keeps about one job.

    Args:
        folder: the job's own folder.
    """

    folder: Path

    @property
    def shim_log(self) -> Path:
        """Log of the job's shim."""
        return self.folder / "shim.log"

    @property
    def logs(self) -> Path:
        """Folder of the job's own log streams."""
        return self.folder / "logs"

    @property
    def ml(self) -> Path:
        """What plays ``/opt/ml``; removed once its results are uploaded."""
        return self.folder / "ml"

    @property
    def counts(self) -> Path:
        """How many objects and records a transform job took."""
        return self.folder / "counts.json"

    @property
    def events(self) -> Path:
        """What happened to the job, a JSON object a line."""
        return self.folder / "events.jsonl"

    @property
    def interruption(self) -> Path:
        """There as soon as the job's spot capacity is to be taken away."""
        return self.folder / "interruption"

    def root(self, instance: int) -> Path:
        """The ``/opt/ml`` of one of several instances, counted from 1."""
        return self.ml if instance == 1 else self.folder / f"{self.ml.name}.{instance}"

    def roots(self, instances: int) -> list[Path]:
        """The ``/opt/ml`` of all instances."""
        return [self.root(instance) for instance in range(1, instances + 1)]

    def log_file(self, stream: str) -> Path:
        """File of a log stream (contract 117, 177).

        Args:
            stream: its name in the API; of a job's stream, what follows the job's name and a slash.
        """
        return self.logs / f"{stream.replace('/', '.')}.log"

    def log_streams(self) -> list[tuple[str, Path]]:
        """The streams, as ``log_file`` takes them, and their files, by name."""
        return [(file.stem.replace(".", "/"), file) for file in sorted(self.logs.glob("*.log"))]


@dataclass(frozen=True)
class HomePaths:
    """Every path of one data folder.

    Args:
        root: the data folder, absolute and without links in it: two spellings of one folder are one cloud.
    """

    root: Path

    @classmethod
    def of(cls, home: Path | str | None = None) -> HomePaths:
        """Paths of a data folder, which need not exist; ``None`` means the default one."""
        return cls((Path(home) if home is not None else default_home()).resolve())

    def create(self) -> None:
        """Make the folders, for this user alone.

        Raises:
            InputError: the folder belongs to another user, is no folder, or cannot be written.
        """
        _own_folder(self.root, "the data folder", f"Set {HOME_VARIABLE} to a folder of your own.", stat.S_IWOTH)
        self.create_inside()

    def create_inside(self) -> None:
        """Make the folders that go with a data folder, which is there itself.

        Raises:
            InputError: the folder for sockets belongs to another user, is no folder, or cannot be written.
            OSError: the data folder is not there, or cannot be written.
        """
        for folder in (self.jobs, self.store):
            folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        _own_folder(
            self.runtime, "the folder for sockets", "Remove it, or ask its owner to.", stat.S_IWGRP | stat.S_IWOTH
        )

    @property
    def cloud_file(self) -> Path:
        """Ports and credentials of the cloud."""
        return self.root / "cloud.json"

    @property
    def lock(self) -> Path:
        """Lock of whoever starts, stops or changes the cloud."""
        return self.root / "cloud.lock"

    @property
    def server_lock(self) -> Path:
        """Lock that the API server holds as long as it lives."""
        return self.root / "door.lock"

    @property
    def server_process(self) -> Path:
        """Which process the API server is."""
        return self.root / "door.json"

    @property
    def server(self) -> Role:
        """The API server."""
        return Role(self.server_lock, self.server_process)

    @property
    def store_role(self) -> Role:
        """The embedded store."""
        return Role(self.store_lock, self.store_process)

    @property
    def store_process(self) -> Path:
        """Which process the embedded store is."""
        return self.root / "store.json"

    @property
    def settings(self) -> Path:
        """The user's own object store, if there is one."""
        return self.root / "settings.json"

    @property
    def records(self) -> Path:
        """The database of jobs, models and endpoints."""
        return self.root / "records.sqlite"

    @property
    def server_log(self) -> Path:
        """Log of API server and forkserver."""
        return self.root / "door.log"

    @property
    def store_log(self) -> Path:
        """Log of the embedded store."""
        return self.root / "store.log"

    @property
    def sdk_config(self) -> Path:
        """Configuration for the ``sagemaker`` SDK."""
        return self.root / "sdk-config.yaml"

    @property
    def job_rules(self) -> Path:
        """What jobs may do, where the user has said more than the rule."""
        return self.root / "job-rules.json"

    @property
    def keys(self) -> Path:
        """Folder of the keys of running jobs."""
        return self.root / "keys"

    @property
    def store(self) -> Path:
        """Folder of the embedded store."""
        return self.root / "s3"

    @property
    def store_catalog(self) -> Path:
        """The embedded store's database of keys."""
        return self.store / "catalog.sqlite"

    @property
    def store_contents(self) -> Path:
        """Folder of the embedded store's contents."""
        return self.store / "contents"

    @property
    def store_lock(self) -> Path:
        """Lock that the embedded store holds as long as it lives."""
        return self.root / "s3.lock"

    @property
    def former_store(self) -> Path:
        """Folder of a store of version 0.1.0: plain files ``<bucket>/<key>``."""
        return self.root / "store"

    @property
    def jobs(self) -> Path:
        """Folder that holds one folder a job."""
        return self.root / "jobs"

    def job(self, key: str) -> JobHome:
        """The files of a job by its key (``JobRecord.key``)."""
        return JobHome(self.jobs / key)

    @property
    def runtime(self) -> Path:
        """Folder for sockets: short, and the same from every shell of this user."""
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:8]
        return RUNTIME_BASE / f"batchrl-{os.getuid()}-{digest}"

    @property
    def server_socket(self) -> Path:
        """Where the API server listens besides its port."""
        return self.runtime / "door.sock"

    @property
    def store_socket(self) -> Path:
        """Where the embedded store listens besides its port."""
        return self.runtime / "store.sock"

    def socket(self, name: str) -> Path:
        """Path of a unix socket.

        Args:
            name: a job's name and more, or anything else; long ones are shortened by their digest.
        """
        short = name if len(name) <= 40 else f"{name[:24]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        return self.runtime / f"{short}.sock"


def _own_folder(folder: Path, what: str, hint: str, writable_by_others: int) -> None:
    """Make a folder, or check that it is ours; ``writable_by_others`` are the permission bits it must not have."""
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        info = folder.lstat()
    except OSError as error:
        raise InputError(f"{what} {folder} cannot be made: {error.strerror}.", hint) from error
    if not stat.S_ISDIR(info.st_mode):
        raise InputError(f"{what} {folder} is no folder.", hint)
    if info.st_uid != os.getuid():
        raise InputError(f"{what} {folder} belongs to another user (uid {info.st_uid}).", hint)
    if info.st_mode & writable_by_others:
        raise InputError(f"{what} {folder} can be written by other users (mode {stat.filemode(info.st_mode)}).", hint)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise InputError(f"{what} {folder} cannot be written.", hint)
