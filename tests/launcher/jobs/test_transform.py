"""Transform jobs: what was counted while they ran, on the cloud that counts and on the one that does not."""

from __future__ import annotations

from pathlib import Path

from serving_cloud import Cloud, FakeSession

from launcher.jobs.transform import TransformJob
from launcher.local.host.home import HomePaths
from launcher.local.transform.counts import Counts
from launcher.session.session import Session


def test_the_local_cloud_counts_once_the_job_has_ended(tmp_path: Path) -> None:
    job, folder = TransformJob("mine", Session.local(tmp_path)), HomePaths.of(tmp_path).job("transform.mine")
    assert job.counts() is None
    folder.folder.mkdir(parents=True)
    Counts(1, 0, 5, 2).write(folder.counts)
    assert job.counts() == Counts(objects=1, failed=0, records=5, error_records=2)


def test_another_cloud_counts_nothing() -> None:
    assert TransformJob("mine", FakeSession(Cloud())).counts() is None
