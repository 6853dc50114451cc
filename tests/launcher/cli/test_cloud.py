"""``batchrl cloud`` and ``batchrl doctor``."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from command_line import Run, shell

from launcher.local.host.home import HomePaths


@pytest.fixture
def ended_after(home: Path) -> Iterator[None]:
    yield
    shell("cloud", "down", "--stop-jobs", environ={"BATCHRL_HOME": str(home)})


@pytest.mark.usefixtures("ended_after")
def test_the_cloud_goes_up_tells_its_state_and_goes_down(run: Run, home: Path) -> None:
    assert run("cloud", "status").code == 3
    assert run("cloud", "status", "--json").json() == {"up": False, "home": str(home)}
    assert not home.exists(), "asking for the state makes no folder"

    address = run("cloud", "up", "--json").json()
    assert address["api_url"].startswith("http://127.0.0.1:")
    assert run("cloud", "up", "-q").out.strip() == address["api_url"]
    status = run("cloud", "status", "--json").json()
    assert status["up"] is True
    assert status["running_jobs"] == []
    assert "secret" not in run("cloud", "status", "--json").out.lower()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert run("cloud", "gc").code == 0
    assert "answers" in run("doctor").out

    assert "is down" in run("cloud", "down").out
    assert run("cloud", "status").code == 3
    assert run("cloud", "down").out == "Nothing was up.\n"


@pytest.mark.usefixtures("ended_after")
def test_jobs_call_nothing_until_their_role_is_said_to(run: Run, home: Path) -> None:
    role = "arn:aws:iam::000000000000:role/loop"
    assert run("cloud", "up", "--json").json()["calling_roles"] == []
    assert "roles that call" not in run("cloud", "status").out
    assert run("cloud", "up", "--let-jobs-call", role, "--json").json()["calling_roles"] == [role]
    assert role in run("cloud", "status").out
    assert run("cloud", "up", "--json").json()["calling_roles"] == [role], "the choice is kept"
    assert stat.S_IMODE((home / "job-rules.json").stat().st_mode) == 0o600
    refused = run("cloud", "up", "--let-jobs-call", "loop")
    assert (refused.code, "'loop' is no ARN" in refused.err) == (2, True)
    assert run("cloud", "up", "--let-jobs-call", "none", "--json").json()["calling_roles"] == []


@pytest.mark.usefixtures("ended_after")
def test_images_run_in_place_of_others_as_is_said(run: Run) -> None:
    assert run("cloud", "up", "--json").json()["image_aliases"] == []
    given = run("cloud", "up", "--image-alias", "*/a:*=b:1", "--image-alias", "c=d", "--json").json()
    assert given["image_aliases"] == ["*/a:*=b:1", "c=d"]
    assert "*/a:*=b:1" in run("cloud", "status").out
    assert run("cloud", "up", "--image-alias", "none", "--json").json()["image_aliases"] == ["none"]
    refused = run("cloud", "up", "--image-alias", "nonsense")
    assert (refused.code, "'nonsense' is no alias" in refused.err) == (2, True)
    assert run("cloud", "up", "--image-alias", "default", "--json").json()["image_aliases"] == []


@pytest.mark.usefixtures("ended_after")
def test_the_exports_open_the_server_for_plain_boto3(run: Run) -> None:
    lines = run("cloud", "env").out.splitlines()
    values = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))

    client = boto3.client(
        "sagemaker",
        endpoint_url=values["AWS_ENDPOINT_URL"],
        region_name=values["AWS_REGION"],
        aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
    )

    assert client.list_training_jobs()["TrainingJobSummaries"] == []
    assert lines[0].startswith("unset ")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--store", "nonsense"), 2, "nonsense"),
        (("--store", "http://127.0.0.1:9", "--store-variables", "NO_SUCH_A,NO_SUCH_B"), 2, "NO_SUCH_A"),
        (("--store", "http://127.0.0.1:9", "--store-profile", "no-such-profile"), 2, "no-such-profile"),
        (("--store-region", "eu-west-1"), 2, "--store"),
    ],
)
def test_a_wrong_store_is_refused(arguments: tuple[str, ...], code: int, said: str, run: Run, home: Path) -> None:
    ended = run("cloud", "up", *arguments)

    assert ended.code == code
    assert said in ended.err
    assert not (home / "settings.json").exists()


def test_a_store_that_does_not_answer_is_unreachable(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")

    ended = run("cloud", "up", "--store", "http://127.0.0.1:9")

    assert ended.code == 3
    assert "http://127.0.0.1:9" in ended.err
    assert not (home / "settings.json").exists()


def test_a_data_folder_that_is_none_is_wrong_input(run: Run, home: Path) -> None:
    home.write_text("a file")

    for arguments in (("ps",), ("cloud", "up"), ("show",)):
        ended = run(*arguments)
        assert ended.code == 2, arguments
        assert str(home) in ended.err


def test_the_doctor_says_what_is_there_and_starts_nothing(run: Run, home: Path) -> None:
    findings = {finding["name"]: finding for finding in run("doctor", "--json").json()}

    assert set(findings) == {"python", "torch", "disk", "engine", "image", "store", "cloud"}
    assert findings["python"]["health"] == findings["torch"]["health"] == findings["store"]["health"] == "ok"
    assert all(finding["advice"] for finding in findings.values() if finding["health"] == "broken")
    assert not home.exists()


def test_the_doctor_without_an_engine_says_so_and_is_content(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")

    ended = run("doctor")

    assert ended.code == 0
    assert "limited: no Docker engine runs" in ended.out
    assert "local_process" in ended.out


def test_the_doctor_refuses_a_remote_engine(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")

    assert "DOCKER_HOST" in run("doctor").out


def test_the_doctor_finds_a_broken_store_and_says_exit_code_3(run: Run, home: Path) -> None:
    catalog = HomePaths.of(home).store_catalog
    catalog.parent.mkdir(parents=True)
    catalog.write_bytes(b"no database" * 100)

    ended = run("doctor")

    assert ended.code == 3
    assert f"store   broken: {catalog}" in ended.out
