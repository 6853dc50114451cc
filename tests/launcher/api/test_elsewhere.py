"""What is not here is refused with what to do instead, whatever operation it is."""

from __future__ import annotations

import re

import pytest

from launcher.api.elsewhere import INSTEAD, ON_AWS, instead_of, refusal
from launcher.api.servicemodel import service_model


@pytest.mark.parametrize(
    ("service", "operation", "words"),
    [
        ("sagemaker", "UpdateTrainingJob", "stop it, and start another"),
        ("sagemaker", "UpdateEndpoint", "then delete this one"),
        ("sagemaker", "Search", "ListTrainingJobs with NameContains"),
        ("sagemaker", "CreateModelPackageGroup", "CreateModel with Image"),
        ("sagemaker", "ListMonitoringSchedules", "nothing is monitored here"),
        ("sagemaker", "CreateTrialComponent", "batchrl compare"),
        ("sagemaker", "CreateDomain", ON_AWS),
        ("sagemaker", "MakeCoffee", "sagemaker has no such operation"),
        ("sagemaker-runtime", "InvokeEndpointAsync", "call InvokeEndpoint"),
        ("monitoring", "PutDashboard", "batchrl metrics"),
        ("sqs", "ListQueues", ON_AWS),
        ("s3control", "", ON_AWS),
    ],
)
def test_a_refusal_names_what_to_do(service: str, operation: str, words: str) -> None:
    assert words in refusal(service, operation)
    assert refusal(service, operation).endswith(".")


def test_a_name_of_any_length_makes_a_short_sentence() -> None:
    assert len(refusal("sagemaker", "x" * 10_000)) < 400


def test_every_pattern_is_the_first_for_some_operation() -> None:
    answers = {instead_of("sagemaker", name) for name in service_model("sagemaker").operation_names}
    assert {instead for _, instead in INSTEAD} <= answers


def test_what_is_said_of_endpoints_is_not_said_of_others() -> None:
    assert [bool(re.fullmatch(INSTEAD[1][0], name)) for name in ("UpdateEndpoint", "UpdateEndpointConfig")] == [
        True,
        False,
    ]
