"""What is refused where a processing job is submitted."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from launcher.api.errors import ApiError
from launcher.api.processing_rules import check_processing_job

GOOD: dict[str, Any] = {
    "AppSpecification": {"ImageUri": "image"},
    "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1}},
    "ProcessingInputs": [
        {
            "InputName": "one",
            "S3Input": {
                "S3Uri": "s3://bucket/in",
                "LocalPath": "/opt/ml/processing/in",
                "S3DataType": "S3Prefix",
            },
        }
    ],
    "ProcessingOutputConfig": {
        "Outputs": [
            {"OutputName": "one", "S3Output": {"S3Uri": "s3://bucket/out", "LocalPath": "/opt/ml/processing/out"}}
        ]
    },
}


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    request = copy.deepcopy(GOOD)
    place: Any = request
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return request


INPUT = ("ProcessingInputs", 0, "S3Input")
OUTPUT = ("ProcessingOutputConfig", "Outputs", 0, "S3Output")
CLUSTER = ("ProcessingResources", "ClusterConfig")


def test_a_good_request_is_taken() -> None:
    check_processing_job(GOOD)
    own = changed(("ProcessingInputs", 0, "AppManaged"), True)
    del own["ProcessingInputs"][0]["S3Input"]["LocalPath"]
    check_processing_job(own)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (changed(("AppSpecification", "ImageUri"), ""), "ImageUri is required"),
        (changed((*CLUSTER, "InstanceCount"), 2), "InstanceCount 2 is not supported"),
        (changed((*CLUSTER, "InstanceType"), "local_debug"), "choose local"),
        (changed((*INPUT, "LocalPath"), None), "LocalPath is required"),
        (changed((*INPUT, "LocalPath"), "/opt/ml/processing/../x"), "must be a folder below"),
        (changed((*INPUT, "LocalPath"), "/opt/ml/processing"), "must be a folder below"),
        (changed((*INPUT, "LocalPath"), "/etc"), "must be a folder below"),
        (changed((*INPUT, "S3Uri"), "https://bucket/x"), "is not an S3 URL"),
        (changed((*INPUT, "S3DataType"), "ManifestFile"), "use S3Prefix"),
        (changed((*INPUT, "S3InputMode"), "Pipe"), "use File"),
        (changed((*INPUT, "S3CompressionType"), "Gzip"), "is for Pipe mode"),
        (changed(("ProcessingInputs", 0, "S3Input"), None), "S3Input is required"),
        (changed((*OUTPUT, "LocalPath"), "/opt/ml/processing/in/"), "is given more than once"),
        (changed((*OUTPUT, "LocalPath"), "/opt/ml/model"), "must be a folder below"),
        (changed(OUTPUT, None), "S3Output is required"),
        (changed(("ProcessingInputs",), [GOOD["ProcessingInputs"][0]] * 2), "input name 'one'"),
        (changed(("ProcessingResources",), {}), "ClusterConfig is required"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(request_: dict[str, Any], words: str) -> None:
    with pytest.raises(ApiError, match=words):
        check_processing_job(request_)
