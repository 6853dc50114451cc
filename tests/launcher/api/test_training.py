"""The request: what the API accepts, and every reason why it would not, at once."""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
from typing import Any

import botocore.session
import pytest
from botocore.validate import validate_parameters
from hypothesis import given
from hypothesis import strategies as st

from batchrl.contract import hyperparameters as wire
from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3Url
from launcher.api import instances, servicemodel
from launcher.api.names import MAX_NAME, NAME_PATTERN, check_job_name, job_name_from
from launcher.api.training import DEFAULT_METRICS, Channel, JobSpec, create_training_job

SPEC = JobSpec(
    job_name="train-1",
    role="arn:aws:iam::123456789012:role/jobs",
    image_uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/batchrl:1",
    instance_type="ml.m5.large",
    output_path="s3://bucket/prefix",
    program="train.py",
    code_uri=S3Url("bucket", "source/abc/sourcedir.tar.gz"),
    region="us-east-1",
    channels=(Channel("training", "s3://bucket/data/"),),
)


def changed(**values: Any) -> JobSpec:
    return dataclasses.replace(SPEC, **values)


def botocore_accepts(request: dict[str, Any]) -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    validate_parameters(request, model.operation_model("CreateTrainingJob").input_shape)


def test_botocores_model_accepts_a_request_with_everything_in_it() -> None:
    request = create_training_job(
        changed(
            instance_count=2,
            use_spot_instances=True,
            max_run=3600,
            max_wait=7200,
            max_retry_attempts=3,
            keep_alive_period_in_seconds=60,
            hyperparameters={"preset": "cartpole-ddqn-bcq", "agent.discount": 0.98, "flag": True},
            channels=(
                Channel("training", "s3://bucket/a", "text/csv", "FastFile", "ShardedByS3Key", shuffle_seed=3),
                Channel("checkpoint", "s3://bucket/b/"),
            ),
            checkpoint_s3_uri="s3://bucket/ck",
            environment={"A": "line\nline"},
            tags={"team": "x"},
            subnets=("subnet-1",),
            security_group_ids=("sg-1",),
            enable_network_isolation=True,
            encrypt_inter_container_traffic=True,
            volume_kms_key="key",
            output_kms_key="key",
        )
    )
    botocore_accepts(request)
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200}
    assert request["VpcConfig"] == {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    assert request["EnableManagedSpotTraining"] is True
    assert request["RetryStrategy"] == {"MaximumRetryAttempts": 3}


@pytest.mark.parametrize("instance_type", instances.LOCAL_INSTANCE_TYPES)
def test_the_local_clouds_instance_types_pass(instance_type: str) -> None:
    assert create_training_job(changed(instance_type=instance_type))["ResourceConfig"]["InstanceType"] == instance_type


def test_A32_E230_the_code_travels_as_a_channel_and_is_named_by_the_reserved_hyperparameters() -> None:
    request = create_training_job(SPEC)
    assert request["InputDataConfig"][-1]["ChannelName"] == "code"
    assert request["HyperParameters"] == {
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": "/opt/ml/input/data/code/sourcedir.tar.gz",
        "sagemaker_s3_output": "s3://bucket/prefix",
        "sagemaker_job_name": "train-1",
        "sagemaker_region": "us-east-1",
    }


def test_checkpoints_always_have_a_place() -> None:
    assert create_training_job(SPEC)["CheckpointConfig"] == {
        "S3Uri": "s3://bucket/prefix/train-1/checkpoints",
        "LocalPath": "/opt/ml/checkpoints",
    }
    resumed = create_training_job(changed(checkpoint_s3_uri="s3://bucket/old/checkpoints"))
    assert resumed["CheckpointConfig"]["S3Uri"] == "s3://bucket/old/checkpoints"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@given(json_values)
def test_A31_every_hyperparameter_comes_back_as_it_was(value: Any) -> None:
    try:
        request = create_training_job(changed(hyperparameters={"key": value}))
    except InputError:
        assert len(wire.encode_value(value)) > wire.MAX_VALUE_LENGTH or "\n" in wire.encode_value(value)
        return
    assert wire.user_values(request["HyperParameters"]) == {"key": value}


def test_all_faults_are_reported_together() -> None:
    with pytest.raises(InputError) as caught:
        create_training_job(
            changed(
                job_name="a_b",
                role="x",
                instance_type="ml.m5.larg",
                use_spot_instances=True,
                hyperparameters={"a": "x" * 2501, "sagemaker_x": 1, "o": object()},
                environment={"1a": "v", "TRAINING_JOB_NAME": "x", "B": "x" * 600},
                metric_definitions={"m": "no group", "n": "(", "vast": "(a){99999999999}"},
                subnets=("subnet-1",),
                channels=(Channel("code", "s3://b/x"), Channel("t", "s3://b/x"), Channel("t", "http://b/x")),
            )
        )
    message = caught.value.message
    for part in (
        *("TrainingJobName: 'a_b'", "RoleArn", "did you mean 'ml.m5.large'?", "spot job needs max_wait"),
        *("hyperparameter 'a'", "sagemaker_ are reserved", "'o': a object", "'1a'", "TRAINING_JOB_NAME is set by"),
        *(
            "B: 600 characters",
            "no group",
            "'n': the regular",
            "'vast': the regular",
            "subnets and",
            "'code' is taken",
            "'t' is given twice",
        ),
        "S3Uri",
    ):
        assert part in message, part


@pytest.mark.parametrize(
    "path",
    [
        *("/opt/ml/../../../tmp/x", "/opt/ml/checkpoints/..", "/", "/opt", "/opt/ml", "/opt/ml/", "//opt/ml", "ckpt"),
        *("/opt/ml/model", "/opt/ml/model/", "/opt/ml/./code", "/opt/ml/input", "/opt/ml/input/data/training"),
        *("/opt/ml/output", "/opt/ml/output/data", "/opt/ml/output/intermediate/x"),
    ],
)
def test_checkpoints_have_a_folder_of_their_own(path: str) -> None:
    with pytest.raises(InputError, match="checkpoint_local_path"):
        create_training_job(changed(checkpoint_local_path=path))


@pytest.mark.parametrize("path", ["/opt/ml/checkpoints", "/opt/ml/model-checkpoints", "/tmp/x", "/opt/ml/a..b"])
def test_other_folders_for_checkpoints_are_taken(path: str) -> None:
    assert create_training_job(changed(checkpoint_local_path=path))["CheckpointConfig"]["LocalPath"] == path


@pytest.mark.parametrize("name", [".", ".."])
def test_a_channel_has_a_folder_of_its_own(name: str) -> None:
    with pytest.raises(InputError, match=r"channel '\.+'"):
        create_training_job(changed(channels=(Channel(name, "s3://b/x"),)))


def test_D191_more_than_100_hyperparameters_are_refused() -> None:
    with pytest.raises(InputError, match=r"HyperParameters has \d+ entries, at most 100"):
        create_training_job(changed(hyperparameters={f"k{n}": n for n in range(100)}))


def test_A91_a_job_runs_for_28_days_at_most() -> None:
    longest = create_training_job(changed(max_run=2419200, use_spot_instances=True, max_wait=2419201))
    assert longest["StoppingCondition"] == {"MaxRuntimeInSeconds": 2419200, "MaxWaitTimeInSeconds": 2419201}
    with pytest.raises(InputError, match=r"max_run \(2419201 s\) is above 28 days"):
        create_training_job(changed(max_run=2419201))
    with pytest.raises(InputError, match="is above 28 days"):
        create_training_job(changed(max_run=2419201, use_spot_instances=True, max_wait=2419201))


def test_A93_the_time_limits_of_a_spot_job_fit_together() -> None:
    with pytest.raises(InputError, match="below max_run"):
        create_training_job(changed(use_spot_instances=True, max_run=100, max_wait=99))
    with pytest.raises(InputError, match="use_spot_instances=True"):
        create_training_job(changed(max_wait=99))


@given(st.text())
def test_D189_a_name_made_from_any_base_is_valid(base: str) -> None:
    name = job_name_from(base)
    assert NAME_PATTERN.fullmatch(name)
    assert len(name) <= MAX_NAME


def test_D215_names_made_in_the_same_moment_differ_and_sort_by_time() -> None:
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    assert len({job_name_from("x", now) for _ in range(200)}) == 200
    assert re.fullmatch(r"x-20260102-030405-[0-9a-f]{6}", job_name_from("x", now))


@pytest.mark.parametrize("name", ["a_b", "-a", "a-", "", "a" * 64, "a.b", "é", "a" + "-" * 62 + "bc"])
def test_D189_a_name_that_the_api_refuses_is_refused_with_one_that_it_takes(name: str) -> None:
    with pytest.raises(InputError) as caught:
        check_job_name(name)
    proposed = str(caught.value.hint).split("'")[1]
    check_job_name(proposed)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("epoch=3 wis=22.5 sdr=-1.25e-3 loss=.5", {"wis": 22.5, "sdr": -1.25e-3, "loss": 0.5}),
        ("mean_return=195.33 episodes=100", {"mean_return": 195.33}),
        ("  score=-1.25 (Paired)", {"score": -1.25}),
        ("swiss=3 wis=nan", {}),
    ],
)
def test_A113_E228_the_default_metrics_read_the_lines_of_our_scripts(line: str, expected: dict[str, float]) -> None:
    found = {name: re.search(text, line) for name, text in DEFAULT_METRICS.items()}
    assert {name: float(match[1]) for name, match in found.items() if match} == expected


def test_the_request_is_plain_json() -> None:
    request = create_training_job(SPEC)
    assert json.loads(json.dumps(request)) == request


def test_unknown_keys_are_named_with_the_nearest() -> None:
    request = create_training_job(SPEC) | {"RoleARN": "x"}
    assert servicemodel.problems("sagemaker", "CreateTrainingJob", request) == [
        "RoleARN is unknown; did you mean RoleArn?"
    ]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"environment": "A=b"}, "environment: give a mapping"),
        ({"hyperparameters": "a=b"}, "hyperparameters: give a mapping"),
        ({"hyperparameters": {1: 2}}, "hyperparameter 1: its name is no text"),
        ({"subnets": "subnet-1", "security_group_ids": ["sg-1"]}, "subnets: give a list"),
        ({"metric_definitions": {"a": "(" * 3000}}, "metric 'a': the regular expression is not valid"),
        ({"metric_definitions": {"a": "(x){99999999999999999999}"}}, "metric 'a': the regular expression is not valid"),
        ({"metric_definitions": {"a": 5}}, "metric 'a': the regular expression is not valid"),
        ({"max_run": "x" * 70_000}, "MaxRuntimeInSeconds"),
        ({"subnets": ["(" * 70_000], "security_group_ids": ["sg-1"]}, "VpcConfig.Subnets"),
    ],
)
def test_whatever_an_option_is_the_user_is_told_in_few_words(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)) as caught:
        create_training_job(changed(**changes))
    assert len(str(caught.value)) < 2000
