"""What the notebook needs of AWS beside the SDK: a role for its jobs, and files while a job runs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import boto3

POLICY = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def get_execution_role(role_name: str = "sagemaker") -> str:
    """The ARN of a role that jobs may take on; it is made where there is none."""
    iam = boto3.client("iam")
    try:
        made = iam.create_role(RoleName=role_name, AssumeRolePolicyDocument=json.dumps(TRUST))
    except iam.exceptions.EntityAlreadyExistsException:
        return str(iam.get_role(RoleName=role_name)["Role"]["Arn"])
    iam.attach_role_policy(RoleName=role_name, PolicyArn=POLICY)
    return str(made["Role"]["Arn"])


def wait_for_s3_object(
    s3_bucket: str, key: str, local_dir: str, training_job_name: str | None = None, timeout: float = 1200
) -> list[str]:
    """Wait until objects have a key that begins so, and download them under their short names.

    Raises:
        RuntimeError: the training job failed before.
        TimeoutError: there is none after ``timeout`` seconds.
    """
    s3, deadline = boto3.client("s3"), time.monotonic() + timeout
    while not (found := s3.list_objects_v2(Bucket=s3_bucket, Prefix=key).get("Contents")):
        if training_job_name:
            job = boto3.client("sagemaker").describe_training_job(TrainingJobName=training_job_name)
            if job["TrainingJobStatus"] in ("Failed", "Stopped"):
                raise RuntimeError(f"{training_job_name}: {job['TrainingJobStatus']} {job.get('FailureReason', '')}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"s3://{s3_bucket}/{key} did not appear within {timeout:g} s")
        time.sleep(1)
    files = [str(Path(local_dir) / Path(one["Key"]).name) for one in found]
    for one, file in zip(found, files, strict=True):
        s3.download_file(s3_bucket, one["Key"], file)
    return files
