"""The cloud in memory that clients of models reach, with one trained job."""

from __future__ import annotations

import pytest
from serving_cloud import Cloud, FakeSession

from launcher import Job, Model


@pytest.fixture
def cloud() -> Cloud:
    cloud = Cloud()
    cloud.add_job("my-job")
    return cloud


@pytest.fixture
def session(cloud: Cloud) -> FakeSession:
    return FakeSession(cloud)


@pytest.fixture
def job(session: FakeSession) -> Job:
    return Job("my-job", session)


@pytest.fixture
def model(job: Job) -> Model:
    return Model.of_job(job)
