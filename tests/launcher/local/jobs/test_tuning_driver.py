"""A tuning job's driver where moments meet: a stop, or records that are away, while a training job is submitted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from tunings import tuning_request

from launcher.api.constants import TUNING
from launcher.local.host.address import Identity
from launcher.local.host.faults import client_fault
from launcher.local.host.home import HomePaths
from launcher.local.jobs.tuning import TuningDriver
from launcher.local.records.records import JobRecord, Records


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[TuningDriver]:
    home = HomePaths.of(tmp_path / "home")
    home.create()
    records = Records(home.records)
    records.create(JobRecord.new("tune-1", TUNING, "arn:x/tune-1", tuning_request(), 1.0, "Starting"))
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url="http://127.0.0.1:9", **keys)
    yield TuningDriver(home, Identity.create().address(home), records, records.get("tune-1", TUNING), client)
    records.close()
    home.runtime.rmdir()


def status(driver: TuningDriver) -> tuple[str, str | None]:
    record = driver.records.get("tune-1", TUNING)
    return record.status, record.failure_reason


def test_a_stop_between_two_looks_stops_it_though_the_api_refuses_the_next_training_job(
    driver: TuningDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(request: Any) -> bool:
        driver.records.request_stop("tune-1", kind=TUNING)
        raise client_fault("the training job was refused")

    monkeypatch.setattr(driver._submission, "submit", refuse)
    driver.run()
    assert status(driver) == ("Stopped", None)


def test_a_training_job_that_the_api_refuses_fails_it_with_the_reason(
    driver: TuningDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(request: Any) -> bool:
        raise client_fault("the training job was refused")

    monkeypatch.setattr(driver._submission, "submit", refuse)
    driver.run()
    assert status(driver) == ("Failed", "ClientError: the training job was refused")


def test_records_that_are_away_are_waited_for(driver: TuningDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def away(request: Any) -> bool:
        asked.append(1)
        if len(asked) == 1:
            raise sqlite3.OperationalError("database is locked")
        driver.records.request_stop("tune-1", kind=TUNING)
        return False

    monkeypatch.setattr(driver._submission, "submit", away)
    driver.run()
    assert (status(driver), len(asked)) == (("Stopped", None), 2)
