"""CreateModel, DescribeModel, ListModels, DeleteModel through unmodified boto3 clients."""

from __future__ import annotations

from typing import Any

import pytest
from api_servers import ROLE, RunningServer, call, model_request
from botocore.exceptions import ClientError


def _error(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_a_model_is_described_as_it_was_asked_for(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    request = model_request(Environment={"BATCHRL_EPSILON": "0.1"}) | {"EnableNetworkIsolation": True}
    arn = client.create_model(**request, Tags=[{"Key": "team", "Value": "blue"}])["ModelArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:000000000000:model/model-1"
    answer = client.describe_model(ModelName="model-1")
    assert answer["PrimaryContainer"] == {"Mode": "SingleModel", **request["PrimaryContainer"]}
    assert (answer["ExecutionRoleArn"], answer["EnableNetworkIsolation"]) == (ROLE, True)
    # The `sagemaker` SDK demands subnets wherever there is a VpcConfig.
    assert "VpcConfig" not in answer
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "blue"}]


def test_D207_a_duplicate_model_is_a_validation_error(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    arn = client.create_model(**model_request())["ModelArn"]
    code, message = _error(client.create_model, **model_request())
    assert code == "ValidationException"
    assert arn in message


def test_one_container_in_a_list_is_the_primary_one(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    request = model_request()
    container = request.pop("PrimaryContainer")
    client.create_model(**request, Containers=[container])
    assert client.describe_model(ModelName="model-1")["PrimaryContainer"]["Image"] == "batchrl:0"


def test_models_are_listed_the_newest_first_in_pages(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    for name in ("b-1", "a-1", "b-2"):
        client.create_model(**model_request(name))
    assert [model["ModelName"] for model in client.list_models()["Models"]] == ["b-2", "a-1", "b-1"]
    pages = client.get_paginator("list_models").paginate(
        SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 2}
    )
    assert [[model["ModelName"] for model in page["Models"]] for page in pages] == [["a-1", "b-1"], ["b-2"]]
    assert [model["ModelName"] for model in client.list_models(NameContains="a-")["Models"]] == ["a-1"]


@pytest.mark.parametrize("sort_by", ["Name", "CreationTime"])
def test_a_list_goes_on_where_it_was_though_its_last_entry_was_deleted(api_server: RunningServer, sort_by: str) -> None:
    client = api_server.client("sagemaker")
    for name in ("a", "b", "c", "d"):
        client.create_model(**model_request(name))
    asked = {"SortBy": sort_by, "SortOrder": "Ascending", "MaxResults": 2}
    first = client.list_models(**asked)
    client.delete_model(ModelName="b")
    second = client.list_models(**asked, NextToken=first["NextToken"])
    assert [model["ModelName"] for page in (first, second) for model in page["Models"]] == ["a", "b", "c", "d"]


def test_a_deleted_model_is_gone_with_its_tags(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    arn = client.create_model(**model_request(), Tags=[{"Key": "a", "Value": "b"}])["ModelArn"]
    client.delete_model(ModelName="model-1")
    assert client.list_models()["Models"] == []
    assert api_server.records.tags(arn) == {}
    for operation in (client.describe_model, client.delete_model):
        code, message = _error(operation, ModelName="model-1")
        assert (code, arn in message) == ("ValidationException", True)


@pytest.mark.parametrize(
    ("container", "said"),
    [
        ({"Image": "two words"}, "primaryContainer.image"),
        ({"ModelDataUrl": "s3://bucket/model.zip"}, "must name one gzip-compressed tar archive"),
        ({"ModelDataUrl": "https://host/model.tar.gz"}, "is not an S3 URL"),
        ({"Mode": "MultiModel"}, "MultiModel is not supported by the local cloud"),
        ({"Environment": {f"K{n}": "x" * 1000 for n in range(40)}}, "at most 32768"),
        ({"ModelPackageName": "package"}, "ModelPackageName is not supported"),
    ],
)
def test_D190_D194_D195_models_that_cannot_be_are_refused(
    api_server: RunningServer, container: dict[str, Any], said: str
) -> None:
    code, message = _error(api_server.client("sagemaker", validate=False).create_model, **model_request(**container))
    assert code == "ValidationException"
    assert said in message
    assert api_server.records.resources.list("model") == []


def test_a_model_needs_one_container(api_server: RunningServer) -> None:
    request = model_request()
    container = request.pop("PrimaryContainer")
    for containers in ([], [container, container]):
        status, answer = call(api_server, "SageMaker.CreateModel", request | {"Containers": containers})
        assert (status, answer["__type"]) == (400, "ValidationException")
