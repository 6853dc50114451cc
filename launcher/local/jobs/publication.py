"""What a training job leaves on its disk, to S3: checkpoints, model and output data, each for itself.

The job's own driver publishes at its end, ``batchrl recover`` what a job left whose driver could not: the same way, any
number of times.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from batchrl.contract.layout import JobLayout, S3Url
from batchrl.contract.nofollow import JobFolder
from batchrl.contract.paths import PLATFORM_ROOT, JobPaths
from batchrl.contract.store import Client
from launcher.local.events.eventfile import EventFile
from launcher.local.events.kinds import CheckpointsFinished, FolderPublished
from launcher.local.events.timing import told as timed
from launcher.local.host.faults import JobFault
from launcher.local.host.home import JobHome
from launcher.local.records.records import JobRecord
from launcher.local.volumes import artifacts
from launcher.local.volumes.artifacts import Artifacts, told
from launcher.local.volumes.checkpointsync import CheckpointSync
from launcher.local.volumes.tree import checkpoint_path

# Folder of the tree for checkpoints that the job keeps outside of /opt/ml.
OUTSIDE_CHECKPOINTS = "checkpoints"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobFolders:
    """The folders that a training job writes to, opened below its own folder, in which it has no say.

    Args:
        home: the files of the job.
        checkpoints_at: ``CheckpointConfig.LocalPath``; None without checkpoints.
    """

    home: JobHome
    checkpoints_at: str | None

    @classmethod
    def of(cls, home: JobHome, record: JobRecord) -> JobFolders:
        """The folders of a job."""
        return cls(home, checkpoint_path(record.request))

    @property
    def model(self) -> JobFolder:
        """What becomes ``model.tar.gz``."""
        return self._folder(JobPaths(self.home.ml).model)

    @property
    def output(self) -> JobFolder:
        """The folder of its outputs and of its failure file."""
        return self._folder(JobPaths(self.home.ml).output)

    @property
    def output_data(self) -> JobFolder:
        """What becomes ``output.tar.gz``."""
        return self._folder(JobPaths(self.home.ml).output_data)

    @property
    def checkpoints(self) -> JobFolder | None:
        """Its checkpoints; a folder outside of /opt/ml is mounted from beside the others."""
        if self.checkpoints_at is None:
            return None
        inside = JobPaths(self.home.ml).local(self.checkpoints_at)
        if inside.is_relative_to(self.home.ml):
            return self._folder(inside)
        return self._folder(self.home.ml / OUTSIDE_CHECKPOINTS, self.checkpoints_at)

    def _folder(self, path: Path, known_as: str | None = None) -> JobFolder:
        inside = PurePosixPath(PLATFORM_ROOT, path.relative_to(self.home.ml))
        return JobFolder(self.home.folder, str(path.relative_to(self.home.folder)), (known_as or str(inside),))


class Publication:
    """The results of one job on their way to S3.

    Args:
        client: S3 client.
        record: the job.
        home: its files.
        events: what becomes of them is told there.
    """

    def __init__(self, client: Client, record: JobRecord, home: JobHome, events: EventFile) -> None:
        self._events = events
        self.folders = JobFolders.of(home, record)
        self._client = client
        self._home = home
        output = record.request["OutputDataConfig"]
        self._layout = JobLayout(S3Url.parse(output["S3OutputPath"]), record.name)
        self._compressed = output.get("CompressionType") != "NONE"
        self.checkpoints: CheckpointSync | None = None
        if (folder := self.folders.checkpoints) is not None:
            url = S3Url.parse(record.request["CheckpointConfig"]["S3Uri"])
            self.checkpoints = CheckpointSync(client, folder, url, log.warning)

    def publish(self, *, with_checkpoints: bool = True) -> Artifacts:
        """Final checkpoint sync, then the archives; a failed job's as well (contract 65, 74).

        Args:
            with_checkpoints: False where their place is another job's by now.
        """
        checkpoints = self.checkpoints if with_checkpoints else None
        fault = self._finish(checkpoints) if checkpoints is not None else None
        done = artifacts.publish(
            self._client,
            self._layout,
            self.folders.model,
            self.folders.output_data,
            self._home.folder,
            compressed=self._compressed,
        )
        for one in done.attempts:
            self._events.add(FolderPublished(one.part, one.size, one.seconds, one.error))
        if fault is not None:
            done.faults.insert(0, fault)
        if checkpoints is not None:
            done.left_out[:0] = told(checkpoints.left_out(), "the checkpoints")
        return done

    def _finish(self, checkpoints: CheckpointSync) -> JobFault | None:
        try:
            with timed(self._events, CheckpointsFinished):
                checkpoints.finish()
        except JobFault as fault:
            return fault
        return None
