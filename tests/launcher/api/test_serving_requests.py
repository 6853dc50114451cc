"""Requests of models, transform jobs and endpoints: what the API accepts, and every reason why it would not."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import botocore.session
import pytest
from botocore.validate import validate_parameters
from hypothesis import given
from hypothesis import strategies as st

from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3Url
from launcher.api import instances, servicemodel
from launcher.api.endpoint import EndpointSpec, create_endpoint
from launcher.api.model import (
    create_model,
    is_named_by_content,
    is_same_model,
    name_base,
    named_by_content,
    without_time,
)
from launcher.api.names import MAX_NAME, check_job_name, job_name_from
from launcher.api.servingoptions import ModelOptions
from launcher.api.transform import TransformSpec, content_type_of, create_transform_job

ROLE = "arn:aws:iam::123456789012:role/jobs"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/batchrl:1"

MODEL = ModelOptions("s3://bucket/job/output/model.tar.gz", IMAGE, ROLE, name="my-model")
TRANSFORM = TransformSpec(
    "my-model",
    job_name="states-1",
    data_uri="s3://bucket/in/states.jsonl",
    output_path="s3://bucket/out",
    instance_type="ml.m5.large",
)
SEED = dataclasses.replace(
    TRANSFORM,
    instance_type="ml.m4.xlarge",
    content_type="application/jsonlines",
    split_type="Line",
    strategy="SingleRecord",
    assemble_with="Line",
    accept="application/jsonlines",
    join_source="Input",
)
ENDPOINT = EndpointSpec(endpoint_name="my-endpoint", model_name="my-model", instance_type="ml.m5.large")


def model(**values: Any) -> dict[str, Any]:
    return create_model(dataclasses.replace(MODEL, **values))


def transform(**values: Any) -> dict[str, Any]:
    return create_transform_job(dataclasses.replace(TRANSFORM, **values))


def endpoint(**values: Any) -> Any:
    return create_endpoint(dataclasses.replace(ENDPOINT, **values))


def botocore_accepts(operation: str, request: dict[str, Any]) -> None:
    service = botocore.session.get_session().get_service_model("sagemaker")
    validate_parameters(request, service.operation_model(operation).input_shape)
    assert json.loads(json.dumps(request)) == request


def test_a_model_with_everything_in_it() -> None:
    request = model(
        env={"BATCHRL_TARGET_POLICY": "softmax"},
        enable_network_isolation=True,
        subnets=("subnet-1",),
        security_group_ids=("sg-1",),
        tags={"team": "rl"},
    )
    botocore_accepts("CreateModel", request)
    assert request == {
        "ModelName": "my-model",
        "PrimaryContainer": {
            "Image": IMAGE,
            "ModelDataUrl": "s3://bucket/job/output/model.tar.gz",
            "Environment": {"BATCHRL_TARGET_POLICY": "softmax"},
        },
        "ExecutionRoleArn": ROLE,
        "EnableNetworkIsolation": True,
        "VpcConfig": {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
        "Tags": [{"Key": "team", "Value": "rl"}],
    }


def test_B127_a_model_without_an_archive_leaves_it_out() -> None:
    assert model(model_data=None)["PrimaryContainer"] == {"Image": IMAGE}


def test_E225_the_seeds_own_transform_job() -> None:
    request = create_transform_job(SEED)
    botocore_accepts("CreateTransformJob", request)
    assert request == {
        "TransformJobName": "states-1",
        "ModelName": "my-model",
        "BatchStrategy": "SingleRecord",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in/states.jsonl"}},
            "ContentType": "application/jsonlines",
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": "s3://bucket/out",
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "ml.m4.xlarge", "InstanceCount": 1},
        "DataProcessing": {"JoinSource": "Input"},
    }


def test_a_transform_job_with_everything_in_it() -> None:
    request = create_transform_job(
        dataclasses.replace(
            SEED,
            instance_count=3,
            strategy="MultiRecord",
            max_concurrent_transforms=4,
            max_payload=25,
            compression_type="Gzip",
            env={"BATCHRL_BAD_RECORDS": "reject"},
            input_filter="$",
            output_filter="$['SageMakerOutput']",
            model_client_config={"InvocationsTimeoutInSeconds": 60, "InvocationsMaxRetries": 0},
            output_kms_key="key",
            volume_kms_key="key",
            transform_ami_version="al2-ami-sagemaker-batch-gpu-535",
            tags={"team": "rl"},
        )
    )
    botocore_accepts("CreateTransformJob", request)
    assert request["ModelClientConfig"] == {"InvocationsTimeoutInSeconds": 60, "InvocationsMaxRetries": 0}
    assert request["DataProcessing"] == {
        "InputFilter": "$",
        "OutputFilter": "$['SageMakerOutput']",
        "JoinSource": "Input",
    }
    assert request["MaxPayloadInMB"] * request["MaxConcurrentTransforms"] == 100


def test_D203_everything_that_is_left_out_has_the_apis_own_default() -> None:
    assert set(transform()) == {
        "TransformJobName",
        "ModelName",
        "TransformInput",
        "TransformOutput",
        "TransformResources",
    }


def test_an_endpoint_and_its_configuration_have_one_name() -> None:
    requests = endpoint(
        initial_instance_count=2, container_startup_health_check_timeout=600, volume_size=10, tags={"team": "rl"}
    )
    botocore_accepts("CreateEndpointConfig", requests.config)
    botocore_accepts("CreateEndpoint", requests.endpoint)
    assert requests.endpoint["EndpointName"] == requests.config["EndpointConfigName"] == "my-endpoint"
    assert requests.config["ProductionVariants"] == [
        {
            "VariantName": "AllTraffic",
            "ModelName": "my-model",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 2,
            "InitialVariantWeight": 1.0,
            "VolumeSizeInGB": 10,
            "ContainerStartupHealthCheckTimeoutInSeconds": 600,
        }
    ]


@pytest.mark.parametrize("instance_type", ["local", "local_gpu", "local_process"])
def test_the_local_clouds_instance_types_serve(instance_type: str) -> None:
    assert transform(instance_type=instance_type)["TransformResources"]["InstanceType"] == instance_type
    assert endpoint(instance_type=instance_type)


def test_a_terminal_serves_nobody() -> None:
    for make in (transform, endpoint):
        with pytest.raises(InputError, match="'local_debug' is not valid"):
            make(instance_type="local_debug")


@pytest.mark.parametrize(
    ("make", "values", "said"),
    [
        (model, {"name": "a_b"}, "ModelName: 'a_b'"),
        (model, {"name": "a" * 64}, "at most 63"),
        (model, {"image_uri": "has blank"}, r"Image: 'has blank'"),
        (model, {"image_uri": "i" * 256}, "at most 255"),
        (model, {"role": "x"}, "ExecutionRoleArn"),
        (model, {"model_data": "/opt/model.tar.gz"}, "not an S3 URL"),
        (model, {"model_data": "s3://bucket/model.tgz"}, "of one .tar.gz archive"),
        (model, {"model_data": "s3://bucket/models/"}, "of one .tar.gz archive"),
        (model, {"env": {f"A{n}": "1" for n in range(101)}}, "101 entries, at most 100"),
        (model, {"env": {"A": "x" * 1025}}, "1025 characters, at most 1024"),
        (model, {"env": {f"A{n}": "x" * 1024 for n in range(40)}}, "at most 32768"),
        (model, {"env": {"1A": "x"}}, "'1A'"),
        (model, {"env": {"A": 1}}, "1 is no text"),
        (model, {"subnets": ("subnet-1",)}, "together"),
        (model, {"tags": {"a" * 129: "x"}}, "at most 128"),
        (transform, {"job_name": "-a"}, "TransformJobName: '-a'"),
        (transform, {"model_name": "a.b"}, "ModelName"),
        (transform, {"data_uri": "file:///tmp/x"}, "S3Uri"),
        (transform, {"data_uri": "s3://b/" + "k" * 1024}, "at most 1024"),
        (transform, {"data_type": "S3Prefx"}, "did you mean 'S3Prefix'"),
        (transform, {"instance_type": "ml.m5.larg"}, "did you mean 'ml.m5.large'"),
        (transform, {"instance_type": "loca"}, "did you mean 'local'"),
        (transform, {"instance_count": 0}, "below 1"),
        (transform, {"instance_count": 101}, "above 100"),
        (transform, {"instance_count": "two"}, "no whole number"),
        (transform, {"split_type": "line"}, "did you mean 'Line'"),
        (transform, {"assemble_with": "line"}, "did you mean 'Line'"),
        (transform, {"strategy": "Singlerecord"}, "did you mean 'SingleRecord'"),
        (transform, {"compression_type": "gzip"}, "did you mean 'Gzip'"),
        (transform, {"join_source": "input"}, "did you mean 'Input'"),
        (transform, {"env": {f"A{n}": "1" for n in range(17)}}, "17 entries, at most 16"),
        (transform, {"env": {"A": "x" * 10241}}, "at most 10240"),
        (transform, {"model_client_config": {"InvocationsMaxRetries": 4}}, "above 3"),
        (transform, {"model_client_config": {"InvocationsTimeoutInSeconds": 3601}}, "above 3600"),
        (transform, {"model_client_config": {"InvocationsMaxRetry": 1}}, "did you mean InvocationsMaxRetries"),
        (transform, {"output_filter": "$" + "a" * 63}, "at most 63"),
        (endpoint, {"endpoint_name": "a_b"}, "EndpointName: 'a_b'"),
        (endpoint, {"initial_instance_count": 0}, "below 1"),
        (endpoint, {"volume_size": 1000}, "above 512"),
        (endpoint, {"container_startup_health_check_timeout": 10}, "below 60"),
        (endpoint, {"instance_type": "ml.m5.larg"}, "did you mean 'ml.m5.large'"),
    ],
)
def test_D203_what_the_service_would_refuse_is_refused_here(make: Any, values: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        make(**values)
    assert said in caught.value.message
    assert "cannot be requested" in caught.value.message


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        ("142", {"max_concurrent_transforms": 5, "max_payload": 25}),
        ("142", {"max_payload": 101}),
        ("154", {"output_path": S3Url("bucket", "in"), "data_uri": "s3://bucket/in"}),
        ("154", {"output_path": S3Url("bucket", "in_out"), "data_uri": "s3://bucket/in"}),
        ("162", {"input_filter": "$..a", "content_type": "application/json"}),
        ("166", {"accept": "text/csv"}),
        ("166", {"assemble_with": None}),
    ],
)
def test_B142_B154_B162_B166_the_rules_between_fields_are_kept_before_anything_is_sent(
    number: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="cannot be requested"):
        create_transform_job(dataclasses.replace(SEED, **changes))


def test_all_faults_are_reported_together() -> None:
    with pytest.raises(InputError) as caught:
        create_transform_job(
            dataclasses.replace(
                SEED, job_name="a_b", instance_type="ml.x", accept="text/csv", max_payload=200, strategy="Single"
            )
        )
    for part in ("TransformJobName", "InstanceType", "Accept is 'text/csv'", "MaxPayloadInMB 200", "BatchStrategy"):
        assert part in caught.value.message, part


def test_a_model_is_named_by_what_it_is_made_of() -> None:
    named = named_by_content(MODEL, "my-job")
    assert named.name.startswith("my-job-")
    same = named_by_content(dataclasses.replace(MODEL, name="other", tags={"a": "b"}), "my-job")
    assert same.name == named.name
    for change in ({"image_uri": "x:2"}, {"model_data": "s3://b/other"}, {"env": {"A": "b"}}):
        assert named_by_content(dataclasses.replace(MODEL, **change), "my-job").name != named.name
    assert is_named_by_content(named.name, "my-job")
    assert not is_named_by_content(named.name, "my")
    assert not is_named_by_content("my-job-hello", "my-job")


@given(st.text())
def test_D190_a_name_made_from_any_base_is_valid(base: str) -> None:
    spec = named_by_content(MODEL, base)
    assert len(spec.name) <= MAX_NAME
    check_job_name(spec.name)
    assert is_named_by_content(spec.name, base)
    assert spec.name.startswith(name_base(base))


def test_a_model_that_the_cloud_describes_is_compared_by_what_it_does() -> None:
    request = model(env={"A": "b"}, tags={"team": "rl"})
    known = {
        **request,
        "ModelArn": "arn",
        "PrimaryContainer": {**request["PrimaryContainer"], "Mode": "SingleModel"},
        "EnableNetworkIsolation": False,
    }
    del known["Tags"]
    assert is_same_model(known, request)
    assert not is_same_model(known, model(env={"A": "c"}))
    assert not is_same_model(known, model(env={"A": "b"}, image_uri="x:2"))


def test_the_time_of_a_job_is_no_part_of_what_its_endpoints_are_called() -> None:
    assert without_time(job_name_from("cartpole")) == "cartpole"
    assert without_time("my-job-2") == "my-job-2"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("s3://b/in/states.jsonl", "application/jsonlines"),
        ("STATES.NDJSON", "application/jsonlines"),
        ("states.jsonl.gz", "application/jsonlines"),
        ("states.json", "application/json"),
        ("states.csv", "text/csv"),
        ("states.parquet", None),
        ("s3://b/prefix/", None),
        ("jsonl", None),
    ],
)
def test_the_end_of_a_name_tells_the_content_type(name: str, kind: str | None) -> None:
    assert content_type_of(name) == kind


def test_no_instance_type_of_ours_is_known_to_aws() -> None:
    for shape, own in instances.EXTRA_VALUES.items():
        enum = servicemodel.service_model("sagemaker").shape_for(shape).enum
        assert enum
        assert not set(own) & set(enum)
