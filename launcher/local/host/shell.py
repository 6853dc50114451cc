"""What the AWS CLI, boto3 and the ``sagemaker`` SDK of a shell are told of a local cloud, and who does not listen."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping

from launcher.local.host.address import BUCKET, LOOPBACK_NAMES, NO_PROXY_VARIABLES, ROLE, CloudAddress
from launcher.local.host.home import HomePaths

# The ``sagemaker`` SDK builds its client of STS with AWS's own address, whatever the environment says, to make up the
# name of a bucket; with a bucket of its own it does not ask. It sends usage data to AWS unless it is told not to.
SDK_CONFIG = f"""SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
      Session:
        DefaultS3Bucket: {BUCKET}
  TrainingJob:
    RoleArn: {ROLE}
  Model:
    ExecutionRoleArn: {ROLE}
  ProcessingJob:
    RoleArn: {ROLE}
  Pipeline:
    RoleArn: {ROLE}
"""
UNSET = "unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN"

CLI_SECONDS = 10.0
_CLI_VERSION = re.compile(r"aws-cli/((\d+)\.(\d+)\S*)")
# Major version -> the first minor version of the AWS CLI that reads AWS_ENDPOINT_URL.
FIRST_LISTENING = {1: 29, 2: 13}


def shell_exports(address: CloudAddress, environ: Mapping[str, str] | None = None) -> list[str]:
    """Lines that point the AWS CLI, boto3 and the ``sagemaker`` SDK of a shell at a cloud.

    A store of the user's own is reached through the API server, so that its credentials stay where they are. Proxies of
    the shell stay, but not for loopback.

    Args:
        address: the cloud.
        environ: the shell's environment; this process's by default.
    """
    values = {
        "BATCHRL_HOME": str(address.home),
        "AWS_ENDPOINT_URL": address.api_url,
        "AWS_ENDPOINT_URL_S3": address.s3_url,
        "AWS_REGION": address.region,
        "AWS_DEFAULT_REGION": address.region,
        "AWS_ACCESS_KEY_ID": address.access_key,
        "AWS_SECRET_ACCESS_KEY": address.secret_key,
        # The embedded store answers ranged reads with the checksum of the whole object, which boto3 then refuses.
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(HomePaths.of(address.home).sdk_config),
    }
    values |= _around_proxies(os.environ if environ is None else environ)
    return [UNSET, *(f"export {name}={shlex.quote(value)}" for name, value in values.items())]


def deaf_cli() -> str | None:
    """The version of the AWS CLI on the path, where it is one that ignores AWS_ENDPOINT_URL; None where it is not."""
    if (program := shutil.which("aws")) is None:
        return None
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=CLI_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _CLI_VERSION.search(said.stdout + said.stderr)
    if found is None or int(found[3]) >= FIRST_LISTENING.get(int(found[2]), 0):
        return None
    return found[1]


def _around_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """The names that no proxy is asked for, loopback among them; whichever of both spellings is set holds for both."""
    found = {}
    for name in NO_PROXY_VARIABLES:
        given = next((environ[one] for one in (name, *NO_PROXY_VARIABLES) if environ.get(one)), "")
        names = [one.strip() for one in given.split(",") if one.strip()]
        found[name] = ",".join(names + [one for one in LOOPBACK_NAMES.split(",") if one not in names])
    return found
