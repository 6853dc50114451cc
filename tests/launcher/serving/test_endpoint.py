"""Endpoints: made as a whole or not at all, waited for, and deleted with what belongs to them alone."""

from __future__ import annotations

from typing import Any

import pytest
from serving_cloud import AWS_IMAGE, AWS_ROLE, Cloud, FakeSession, refused

from batchrl.contract.errors import InputError, JobFailed
from launcher import Endpoint, Model, Predictor, RLEstimator, list_endpoints
from launcher.api.arguments import UnknownArgument
from launcher.serving.deployment import remove
from launcher.session.session import AwsSession


def test_an_endpoint_its_configuration_and_its_model_have_one_name(session: FakeSession, cloud: Cloud) -> None:
    predictor = RLEstimator.attach("my-job", session).deploy(endpoint_name="mine", env={"BATCHRL_EPSILON": "0.1"})
    assert isinstance(predictor, Predictor)
    assert cloud.operations() == ["create_model", "create_endpoint_config", "create_endpoint"]
    assert cloud.models["mine"]["PrimaryContainer"]["Environment"] == {"BATCHRL_EPSILON": "0.1"}
    assert cloud.endpoints["mine"] == {"EndpointName": "mine", "EndpointConfigName": "mine"}
    (variant,) = cloud.configs["mine"]["ProductionVariants"]
    assert variant == {
        "VariantName": "AllTraffic",
        "ModelName": "mine",
        "InstanceType": "local_process",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1.0,
    }


def test_a_name_is_made_of_the_jobs(model: Model) -> None:
    assert model.deploy().endpoint_name.startswith("my-job-endpoint-")


def test_a_named_model_keeps_its_name(session: FakeSession, cloud: Cloud) -> None:
    model = Model("s3://bucket/my-job/output/model.tar.gz", "mine:1", name="named", session=session)
    model.deploy(instance_type="local_process", endpoint_name="mine")
    assert cloud.configs["mine"]["ProductionVariants"][0]["ModelName"] == "named"


def test_the_rarer_options_reach_the_configuration(model: Model, cloud: Cloud) -> None:
    model.deploy(
        2,
        "ml.m5.large",
        "mine",
        volume_size=10,
        model_data_download_timeout=100,
        container_startup_health_check_timeout=200,
        kms_key="key",
        tags={"team": "rl"},
    )
    config = cloud.configs["mine"]
    assert (config["KmsKeyId"], config["Tags"]) == ("key", [{"Key": "team", "Value": "rl"}])
    assert config["ProductionVariants"][0] | {"InitialInstanceCount": 2} == {
        "VariantName": "AllTraffic",
        "ModelName": "mine",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 2,
        "InitialVariantWeight": 1.0,
        "VolumeSizeInGB": 10,
        "ModelDataDownloadTimeoutInSeconds": 100,
        "ContainerStartupHealthCheckTimeoutInSeconds": 200,
    }


def test_it_is_waited_for_until_it_is_in_service(session: FakeSession, cloud: Cloud, clock: Any) -> None:
    cloud.endpoints["slow"] = {"EndpointName": "slow", "EndpointConfigName": "slow"}
    cloud.states["slow"] = lambda: ("Creating", None) if clock.now() < 5 else ("InService", None)
    assert str(Endpoint("slow", session, clock).wait()) == "InService"
    assert 5 <= clock.now() <= 8


def test_an_endpoint_that_fails_says_why_and_shows_the_end_of_its_log(session: FakeSession, cloud: Cloud) -> None:
    cloud.endpoints["bad"] = {"EndpointName": "bad", "EndpointConfigName": "bad"}
    cloud.states["bad"] = lambda: ("Failed", "The server did not answer /ping.")
    cloud.lines["/aws/sagemaker/Endpoints/bad", "AllTraffic/i-1"] = ["RuntimeError: no weights"]
    with pytest.raises(JobFailed) as caught:
        Endpoint("bad", session).wait()
    assert "the endpoint 'bad' failed: The server did not answer /ping." in caught.value.message
    assert "RuntimeError: no weights" in caught.value.message
    assert caught.value.exit_code == 1


def test_a_timeout_leaves_it_alone(session: FakeSession, cloud: Cloud, clock: Any) -> None:
    cloud.endpoints["slow"] = {"EndpointName": "slow", "EndpointConfigName": "slow"}
    cloud.states["slow"] = lambda: ("Creating", None)
    with pytest.raises(TimeoutError, match="the endpoint 'slow' has not come into service after 10 s"):
        Endpoint("slow", session, clock).wait(timeout=10)


def test_its_log_is_followed_until_it_is_deleted(session: FakeSession, cloud: Cloud, clock: Any) -> None:
    cloud.endpoints["mine"] = {"EndpointName": "mine", "EndpointConfigName": "mine"}
    cloud.lines["/aws/sagemaker/Endpoints/mine", "AllTraffic/i-1"] = ["up"]

    def state() -> tuple[str, str | None]:
        if clock.now() > 20:
            cloud.lines["/aws/sagemaker/Endpoints/mine", "AllTraffic/i-1"].append("down")
            raise refused("ValidationException", 'Could not find endpoint "mine".')
        return "InService", None

    cloud.states["mine"] = state
    lines = Endpoint("mine", session, clock).logs()
    assert next(lines) == "up"
    assert next(lines) == "down"
    assert clock.now() > 20


@pytest.mark.parametrize("refused_one", ["create_endpoint_config", "create_endpoint"])
def test_nothing_is_left_behind_when_the_cloud_refuses(model: Model, cloud: Cloud, refused_one: str) -> None:
    cloud.fail[refused_one] = refused("ResourceLimitExceeded", "The account-level limit is 0 instances")
    with pytest.raises(InputError, match="limit is 0 instances"):
        model.deploy(endpoint_name="mine")
    assert (cloud.models, cloud.configs, cloud.endpoints) == ({}, {}, {})


def test_a_model_that_was_there_before_stays_when_the_cloud_refuses(session: FakeSession, cloud: Cloud) -> None:
    model = Model("s3://bucket/my-job/output/model.tar.gz", "mine:1", name="named", session=session)
    model.create()
    cloud.fail["create_endpoint"] = refused("ResourceLimitExceeded")
    with pytest.raises(InputError):
        model.deploy(instance_type="local_process", endpoint_name="mine")
    assert (set(cloud.models), cloud.configs) == ({"named"}, {})


def test_D205_a_name_that_is_taken_is_refused_before_anything_is_sent(model: Model, cloud: Cloud) -> None:
    model.deploy(endpoint_name="mine")
    sent = len(cloud.sent)
    with pytest.raises(InputError, match="an endpoint named 'mine' exists already"):
        model.deploy(endpoint_name="mine")
    assert len(cloud.sent) == sent


def test_deleting_takes_configuration_and_model(model: Model, session: FakeSession, cloud: Cloud) -> None:
    model.create()
    removed = model.deploy(endpoint_name="mine").delete()
    assert (removed.config, removed.models, removed.kept) == ("mine", ("mine",), ())
    assert (set(cloud.models), cloud.configs, cloud.endpoints) == ({model.name}, {}, {})


def test_deleting_keeps_what_was_not_made_for_it(session: FakeSession, cloud: Cloud) -> None:
    model = Model("s3://bucket/my-job/output/model.tar.gz", "mine:1", name="own", session=session)
    model.deploy(instance_type="local_process", endpoint_name="one")
    cloud.endpoints["two"] = {"EndpointName": "two", "EndpointConfigName": "one"}
    cloud.states["two"] = lambda: ("InService", None)
    removed = Endpoint("two", session).delete()
    assert (removed.config, removed.models, removed.kept) == (None, (), ("own",))
    removed = Endpoint("one", session).delete()
    assert (removed.config, removed.models, removed.kept) == ("one", (), ("own",))
    assert (set(cloud.models), cloud.configs, cloud.endpoints) == ({"own"}, {}, {})


def test_deleting_one_whose_configuration_is_gone_is_no_fault(model: Model, session: FakeSession, cloud: Cloud) -> None:
    model.deploy(endpoint_name="mine")
    del cloud.configs["mine"]
    assert Endpoint("mine", session).delete().models == ()
    assert cloud.endpoints == {}


def test_one_that_is_not_there_is_told_by_name(session: FakeSession) -> None:
    with pytest.raises(InputError, match="no endpoint named 'nope'"):
        Endpoint.attach("nope", session)


def test_ctrl_c_leaves_it_to_come_into_service(model: Model, cloud: Cloud, capsys: Any) -> None:
    def interrupt() -> tuple[str, str | None]:
        raise KeyboardInterrupt

    cloud.states["mine"] = interrupt
    with pytest.raises(KeyboardInterrupt):
        model.deploy(endpoint_name="mine")
    assert set(cloud.endpoints) == {"mine"}
    assert "batchrl rm mine" in capsys.readouterr().err


def test_names_of_sagemakers_sdk_are_answered(model: Model, cloud: Cloud, capsys: Any) -> None:
    model.deploy(endpoint_name="mine", serializer=None, deserializer=object())
    assert "'deserializer' has no effect" in capsys.readouterr().err
    with pytest.raises(UnknownArgument, match="only endpoints with servers"):
        model.deploy(serverless_inference_config=object())
    with pytest.raises(UnknownArgument, match="Did you mean 'volume_size'"):
        model.deploy(volumesize=1)
    assert set(cloud.endpoints) == {"mine"}


@pytest.mark.parametrize("gone", [(), ("endpoint",), ("endpoint", "endpoint_config"), ("model",)])
def test_on_aws_what_is_left_of_an_endpoint_is_removed_by_name(aws: AwsSession, gone: tuple[str, ...]) -> None:
    name = "-".join(("without", *gone)).replace("_", "-")
    keys = {"endpoint": "EndpointName", "endpoint_config": "EndpointConfigName", "model": "ModelName"}
    aws.provide_bucket(aws.default_bucket)
    aws.s3.put_object(Bucket=aws.default_bucket, Key="my-job/output/model.tar.gz", Body=b"\x1f\x8b")
    archive = f"s3://{aws.default_bucket}/my-job/output/model.tar.gz"
    model = Model(archive, AWS_IMAGE, AWS_ROLE, session=aws, instance_type="ml.m5.large")
    model.deploy(endpoint_name=name)
    for what in gone:
        getattr(aws.sagemaker, f"delete_{what}")(**{keys[what]: name})
    remove(aws, name)
    remove(aws, name)
    assert model.deploy(endpoint_name=name).endpoint_name == name
    remove(aws, name)


def test_on_aws_an_endpoint_is_made_listed_and_deleted(aws: AwsSession) -> None:
    aws.provide_bucket(aws.default_bucket)
    aws.s3.put_object(Bucket=aws.default_bucket, Key="my-job/output/model.tar.gz", Body=b"\x1f\x8b")
    archive = f"s3://{aws.default_bucket}/my-job/output/model.tar.gz"
    predictor = Model(archive, AWS_IMAGE, AWS_ROLE, session=aws, instance_type="ml.m5.large").deploy()
    name = predictor.endpoint_name
    assert predictor.describe()["EndpointStatus"] == "InService"
    assert [(each.name, each.kind) for each in list_endpoints(aws, name_contains=name)] == [(name, "endpoint")]
    assert Endpoint(name, aws).model_names() == [name]
    predictor.delete()
    assert not [each for each in list_endpoints(aws) if each.name == name]
    with pytest.raises(InputError, match="no endpoint named"):
        predictor.describe()
