"""Keys of jobs as files: made, found, revoked, and never believed where somebody tampered with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.local.host.home import HomePaths
from launcher.local.keys import grants
from launcher.local.keys.places import Place, Places, serving_places, serving_role, training_places

ROLE = "arn:aws:iam::000000000000:role/worker"
PLACES = Places((Place("data", "train"),), (Place("data", "out/one/"),))


@pytest.fixture
def home(tmp_path: Path) -> HomePaths:
    paths = HomePaths(tmp_path)
    paths.create()
    return paths


def test_a_key_says_what_it_opens_until_it_is_revoked(home: HomePaths) -> None:
    grant = grants.issue(home, "one", ROLE, PLACES)
    assert grants.find(home, grant.access_key) == grant
    assert (grant.reads, grant.writes, grant.role_arn) == (*(PLACES.reads, PLACES.writes), ROLE)
    assert grant.secret_key not in repr(grant)
    grants.revoke(home, "one")
    assert grants.find(home, grant.access_key) is None
    assert list(home.keys.iterdir()) == []


def test_its_file_is_its_owners_alone(home: HomePaths) -> None:
    grants.issue(home, "one", ROLE, PLACES)
    assert home.keys.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in home.keys.iterdir()] == [0o600]


def test_a_second_key_of_a_job_takes_the_place_of_the_first(home: HomePaths) -> None:
    first, other = grants.issue(home, "one", ROLE, PLACES), grants.issue(home, "two", ROLE, PLACES)
    second = grants.issue(home, "one", ROLE, PLACES)
    assert grants.find(home, first.access_key) is None
    assert grants.find(home, second.access_key) == second
    assert grants.find(home, other.access_key) == other


def test_keys_of_jobs_that_ended_are_swept(home: HomePaths) -> None:
    running, ended = grants.issue(home, "running", ROLE, PLACES), grants.issue(home, "ended", ROLE, PLACES)
    damaged = grants.issue(home, "damaged", ROLE, PLACES)
    (home.keys / f"{damaged.access_key}.json").write_text("{")
    grants.sweep(home, lambda owners: [owner for owner in owners if owner == "running"])
    assert [path.stem for path in home.keys.iterdir()] == [running.access_key]
    assert grants.find(home, ended.access_key) is None


def test_a_sweep_asks_who_runs_after_it_has_read_the_keys(home: HomePaths) -> None:
    """A job that starts during a sweep keeps its key."""
    grants.issue(home, "ended", ROLE, PLACES)
    made: list[grants.Grant] = []

    def living(_: object) -> list[str]:
        made.append(grants.issue(home, "started meanwhile", ROLE, PLACES))
        return []

    grants.sweep(home, living)
    assert [path.stem for path in home.keys.iterdir()] == [made[0].access_key]


def test_a_sweep_that_cannot_read_a_key_leaves_it(home: HomePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    grant = grants.issue(home, "one", ROLE, PLACES)

    def no_descriptors(*_: object, **__: object) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(grants.os, "open", no_descriptors)
        assert grants.find(home, grant.access_key) is None
        grants.sweep(home, lambda owners: [])
    assert grants.find(home, grant.access_key) == grant


@pytest.mark.parametrize(
    "name", ["", "x", "../cloud", "BATCHRLJOB../../../etc/p", "BATCHRLJOBAAAAAAAAAAAAAAAA\n", "BATCHRLABCDEFGHIJKLM"]
)
def test_what_is_not_spelled_like_a_key_is_never_looked_for(home: HomePaths, name: str) -> None:
    assert grants.find(home, name) is None
    assert not grants.is_jobs(name)


def _linked(file: Path) -> None:
    real = file.with_suffix(".real")
    file.rename(real)
    file.symlink_to(real)


def _folder_linked(file: Path) -> None:
    real = file.parent.with_name("elsewhere")
    file.parent.rename(real)
    file.parent.symlink_to(real)


def _of_another(file: Path) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | {"access_key": "BATCHRLJOBAAAAAAAAAAAAAAAA"}))


def _with_more(file: Path) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | {"owner": True}))


@pytest.mark.parametrize(
    "tamper",
    [
        _linked,
        _folder_linked,
        _of_another,
        _with_more,
        lambda file: file.chmod(0o644),
        lambda file: file.write_text("[" * 100_000),
        lambda file: file.write_text("[]"),
        lambda file: file.write_text(""),
    ],
)
def test_a_file_that_was_tampered_with_opens_nothing(home: HomePaths, tamper: Callable[[Path], object]) -> None:
    grant = grants.issue(home, "one", ROLE, PLACES)
    tamper(home.keys / f"{grant.access_key}.json")
    assert grants.find(home, grant.access_key) is None


def test_a_training_job_opens_what_its_request_names() -> None:
    request = {
        "OutputDataConfig": {"S3OutputPath": "s3://results/runs"},
        "InputDataConfig": [
            {"ChannelName": "training", "DataSource": {"S3DataSource": {"S3Uri": "s3://data/train"}}},
            {"ChannelName": "shared", "DataSource": {"FileSystemDataSource": {"FileSystemId": "fs-1"}}},
        ],
        "CheckpointConfig": {"S3Uri": "s3://results/run1"},
        "HyperParameters": {
            "sagemaker_submit_directory": '"s3://code/one.tar.gz"',
            "sagemaker_s3_output": "s3://results/other/",
            "mine": "s3://secret/x",
        },
        "Environment": {"MINE": "s3://secret/y"},
    }
    assert training_places("job-1", request) == Places(
        (Place("data", "train"), Place("code", "one.tar.gz", exact=True)),
        (
            Place("results", "runs/job-1/"),
            Place("results", "other/job-1/output/intermediate/"),
            Place("results", "run1/"),
        ),
    )


def test_the_code_channels_folder_of_a_hyperparameter_is_no_place() -> None:
    request = {
        "OutputDataConfig": {"S3OutputPath": "s3://results"},
        "HyperParameters": {"sagemaker_submit_directory": "/opt/ml/input/data/code/sourcedir.tar.gz"},
    }
    assert training_places("job-1", request) == Places((), (Place("results", "job-1/"),))


def test_a_server_opens_its_models_for_reading_and_nothing_for_writing() -> None:
    models = [
        {"PrimaryContainer": {"ModelDataUrl": "s3://m/one.tar.gz"}},
        {"PrimaryContainer": {"ModelDataSource": {"S3DataSource": {"S3Uri": "s3://m/two", "CompressionType": "None"}}}},
        {"PrimaryContainer": {"ModelDataSource": {"S3DataSource": {"S3Uri": "s3://m/3", "CompressionType": "Gzip"}}}},
        {"PrimaryContainer": {"Environment": {"SAGEMAKER_SUBMIT_DIRECTORY": "s3://m/code.tar.gz"}}},
        {"PrimaryContainer": {}},
    ]
    assert serving_places(models) == Places(
        (
            Place("m", "one.tar.gz", exact=True),
            Place("m", "two"),
            Place("m", "3", exact=True),
            Place("m", "code.tar.gz", exact=True),
        )
    )


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        ([ROLE], ROLE),
        ([ROLE, ROLE], ROLE),
        ([ROLE, "arn:aws:iam::000000000000:role/other"], ""),
        ([ROLE, None], ""),
        ([None], ""),
        ([], ""),
    ],
)
def test_servers_act_for_a_role_that_all_of_them_name(roles: list[str | None], role: str) -> None:
    models = [{"ExecutionRoleArn": one} if one else {} for one in roles]
    assert serving_role(models) == role


def test_a_folder_opens_neither_its_neighbours_nor_a_bucket_by_accident() -> None:
    from batchrl.contract.layout import S3Url

    run1 = Place.folder(S3Url.parse("s3://b/run1"))
    assert run1 == Place.folder(S3Url.parse("s3://b/run1/"))
    assert run1.holds("b", "run1/x") and not run1.holds("b", "run10/x") and not run1.holds("b", "run1")
    assert not run1.holds("other", "run1/x")
    assert Place.folder(S3Url.parse("s3://b")) == Place("b", "")
