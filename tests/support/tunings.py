"""Tuning jobs for tests: a script that prints what it is judged by, in the store, and requests that run it."""

from __future__ import annotations

import io
import tarfile
from typing import Any

from api_servers import ROLE

BUCKET = "batchrl-local"
# Prints its objective: best at a rate of 3, and more of it with the later letters.
SCRIPT = """
import sys, time
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
rate, letter = float(given.get("--rate", 3)), given.get("--letter", "a")
if given.get("--fail", "") == letter:
    raise SystemExit("no luck")
time.sleep(float(given.get("--seconds", 0)))
if given.get("--silent", "") != letter:
    print(f"score={ord(letter) - 97 - (rate - 3) ** 2}", flush=True)
"""


def put_script(s3: Any, script: str = SCRIPT) -> None:
    """Store the script where ``tuning_request`` has it read."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        member = tarfile.TarInfo("script.py")
        member.size = len(script.encode())
        tar.addfile(member, io.BytesIO(script.encode()))
    s3.put_object(Bucket=BUCKET, Key="tuning-code/sourcedir.tar.gz", Body=raw.getvalue())


def tuning_request(name: str = "tune-1", **config: Any) -> dict[str, Any]:
    """A CreateHyperParameterTuningJob request that the API takes; ``config`` changes its configuration."""
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": ranges(rate=("0", "10")),
            "RandomSeed": 7,
        }
        | config,
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {
                "TrainingImage": "batchrl:0",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "score", "Regex": r"score=(\S+)"}],
            },
            "RoleArn": ROLE,
            "InputDataConfig": [
                {
                    "ChannelName": "code",
                    "DataSource": {
                        "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/tuning-code/"},
                    },
                }
            ],
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/tuned"},
            "ResourceConfig": {"InstanceType": "local_process", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            "StaticHyperParameters": {"sagemaker_program": "script.py"},
        },
    }


def ranges(scaling: str = "Linear", letters: str = "", **continuous: tuple[str, str]) -> dict[str, Any]:
    """ParameterRanges: continuous ones by name, and one of letters."""
    found: dict[str, Any] = {}
    if continuous:
        found["ContinuousParameterRanges"] = [
            {"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": scaling}
            for name, (low, high) in continuous.items()
        ]
    if letters:
        found["CategoricalParameterRanges"] = [{"Name": "letter", "Values": list(letters)}]
    return found
