"""What a shell is told of a local cloud, and which AWS CLI does not listen."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from launcher.local.host.address import CloudAddress, StoreAddress
from launcher.local.host.shell import SDK_CONFIG, deaf_cli, shell_exports

STORE = StoreAddress("http://127.0.0.1:10", "us-east-1", "STORE", "store")
ADDRESS = CloudAddress(Path("/data"), "http://127.0.0.1:9", "us-east-1", "KEY", "secret", STORE)


def exported(environ: dict[str, str]) -> dict[str, str]:
    first, *lines = shell_exports(ADDRESS, environ)
    assert first.startswith("unset ")
    pairs = [shlex.split(line.removeprefix("export "))[0].partition("=") for line in lines]
    return {name: value for name, _, value in pairs}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ("127.0.0.1,localhost", "127.0.0.1,localhost")),
        ({"NO_PROXY": "corp.example, .lan"}, ("corp.example,.lan,127.0.0.1,localhost",) * 2),
        ({"no_proxy": "a", "NO_PROXY": "b"}, ("b,127.0.0.1,localhost", "a,127.0.0.1,localhost")),
        ({"NO_PROXY": "localhost,127.0.0.1"}, ("localhost,127.0.0.1",) * 2),
    ],
)
def test_no_proxy_stands_before_loopback_and_what_was_said_stays(
    environ: dict[str, str], expected: tuple[str, str]
) -> None:
    values = exported(environ)
    assert (values["NO_PROXY"], values["no_proxy"]) == expected


def test_the_sdk_has_a_bucket_and_a_role_and_sends_no_usage_data() -> None:
    settings = yaml.safe_load(SDK_CONFIG)["SageMaker"]
    modules = settings["PythonSDK"]["Modules"]
    assert modules == {"TelemetryOptOut": True, "Session": {"DefaultS3Bucket": "batchrl-local"}}
    role = "arn:aws:iam::000000000000:role/batchrl-local"
    assert (settings["TrainingJob"]["RoleArn"], settings["Model"]["ExecutionRoleArn"]) == (role, role)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("aws-cli/2.9.19 Python/3.11.2 Linux/6.1.0 source/x86_64.debian.12 prompt/off", "2.9.19"),
        ("aws-cli/2.13.0 Python/3.11.4", None),
        ("aws-cli/2.31.1 Python/3.13.7", None),
        ("aws-cli/1.28.9 Python/3.11.2 botocore/1.30.9", "1.28.9"),
        ("aws-cli/1.29.0 Python/3.11.7 botocore/1.31.0", None),
        ("something else", None),
    ],
)
def test_an_aws_cli_that_ignores_the_endpoint_is_found_by_its_version(
    said: str, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "aws"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert deaf_cli() == expected


def test_without_an_aws_cli_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert deaf_cli() is None
