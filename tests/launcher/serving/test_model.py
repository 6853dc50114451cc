"""``Model``: created once and only when needed, of jobs that left one, on the cloud that is meant."""

from __future__ import annotations

import gzip
import inspect
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from serving_cloud import AWS_IMAGE, ROLE, Cloud, FakeSession, refused

from batchrl.contract.errors import InputError
from batchrl.contract.manifest import sha256_of
from launcher import Job, Model, RLEstimator
from launcher.api.arguments import UnknownArgument
from launcher.local.engine.image import default_image
from launcher.serving.modelplan import delete_models_of
from launcher.session.session import AwsSession, LocalSession

ARCHIVE = "s3://bucket/my-job/output/model.tar.gz"


def test_making_one_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("a client was made")

    monkeypatch.setattr(LocalSession, "_make_client", refuse)
    plan = Model(ARCHIVE).plan()
    assert plan.request["PrimaryContainer"] == {"Image": default_image(), "ModelDataUrl": ARCHIVE}
    assert plan.uploads == ()


def test_the_model_of_a_job_is_served_as_it_was_trained(job: Job, cloud: Cloud) -> None:
    model = Model.of_job(job)
    assert model.create() == model.name
    assert cloud.operations() == ["create_model"]
    request = cloud.models[model.name]
    assert request["PrimaryContainer"] == {"Image": "mine:1", "ModelDataUrl": ARCHIVE}
    assert request["ExecutionRoleArn"] == ROLE
    assert model.options.instance_type == "local_process"
    assert model.name.startswith("my-job-")


def test_of_our_own_images_the_one_of_this_version_serves(job: Job, cloud: Cloud) -> None:
    cloud.jobs["my-job"]["AlgorithmSpecification"]["TrainingImage"] = "batchrl:0.0.1"
    assert Model.of_job(job).plan().image == default_image()
    assert Model.of_job(job, image_uri="other:2").plan().image == "other:2"


def test_a_debugged_jobs_model_is_served_by_a_process(job: Job, cloud: Cloud) -> None:
    cloud.jobs["my-job"]["ResourceConfig"]["InstanceType"] = "local_debug"
    assert Model.of_job(job).options.instance_type == "local_process"


def test_asking_again_makes_no_second_model(job: Job, cloud: Cloud) -> None:
    first, again = Model.of_job(job), Model.of_job(job)
    assert first.create() == again.create()
    assert cloud.operations() == ["create_model"]
    other = Model.of_job(job, env={"BATCHRL_TARGET_POLICY": "greedy"})
    assert other.create() != first.name
    assert cloud.operations() == ["create_model"] * 2


def test_D207_a_model_that_somebody_else_makes_at_this_moment_is_taken(
    job: Job, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model.of_job(job)
    create = cloud.create_model

    def lose_the_race(**request: Any) -> None:
        create(**request)
        create(**request)

    monkeypatch.setattr(cloud, "create_model", lose_the_race)
    assert model.create() == model.name


def test_another_model_of_the_same_name_is_not_touched(job: Job, cloud: Cloud) -> None:
    Model(ARCHIVE, "mine:1", name="mine", session=job.session).create()
    with pytest.raises(InputError, match="'mine' exists already, with another archive"):
        Model(ARCHIVE, "mine:2", name="mine", session=job.session).create()
    assert len(cloud.models) == 1


def test_who_may_not_look_at_models_can_still_make_them(job: Job, cloud: Cloud) -> None:
    cloud.fail["describe_model"] = refused("AccessDeniedException", status=403)
    Model.of_job(job).create()
    assert cloud.operations() == ["create_model"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "InProgress", "archive": False}, "has not ended (InProgress)"),
        ({"status": "Failed", "archive": False, "FailureReason": "AlgorithmError: boo"}, "AlgorithmError: boo"),
        ({"archive": False}, "has left no model: there is no s3://bucket/other/output/model.tar.gz"),
    ],
)
def test_a_job_without_a_model_is_refused_before_anything_is_created(
    session: FakeSession, cloud: Cloud, changes: dict[str, Any], said: str
) -> None:
    cloud.add_job("other", **changes)
    with pytest.raises(InputError) as caught:
        Model.of_job(Job("other", session))
    assert said in caught.value.message
    assert cloud.sent == []


def test_the_model_of_a_stopped_job_counts(session: FakeSession, cloud: Cloud) -> None:
    cloud.add_job("stopped", "Stopped")
    Model.of_job(Job("stopped", session)).create()
    assert cloud.operations() == ["create_model"]


def test_a_missing_archive_is_refused_before_anything_is_created(session: FakeSession, cloud: Cloud) -> None:
    with pytest.raises(InputError, match="no model archive s3://bucket/nope"):
        Model("s3://bucket/nope.tar.gz", session=session).create()
    assert cloud.sent == []


def test_B126_an_archive_of_this_computer_is_uploaded_by_its_content(
    session: FakeSession, cloud: Cloud, tmp_path: Path
) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(b"tar"))
    model = Model(archive, session=session)
    key = f"datasets/{sha256_of(archive.read_bytes())}/model.tar.gz"
    assert not cloud.calls
    model.create()
    assert cloud.objects[key] == archive.read_bytes()
    assert cloud.models[model.name]["PrimaryContainer"]["ModelDataUrl"] == f"s3://bucket/{key}"
    Model(f"file://{archive}", session=session, name="again").create()
    assert cloud.calls.count(f"put {key}") == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [("no-such-file.tar.gz", "No such file"), ("text.tar.gz", "is no gzip archive"), ("folder", "is a folder")],
)
def test_B126_what_is_no_archive_is_refused_with_its_path(
    session: FakeSession, tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.tar.gz").write_text("no archive")
    with pytest.raises(InputError, match=said) as caught:
        Model(tmp_path / name, session=session).create()
    assert str(tmp_path / name) in caught.value.message


def test_deleting_a_job_takes_the_models_that_were_made_of_it(job: Job, session: FakeSession, cloud: Cloud) -> None:
    cloud.add_job("my-job-2")
    made = [Model.of_job(job).create(), Model.of_job(job, env={"A": "b"}).create()]
    Model(ARCHIVE, "mine:1", name="my-job-by-hand", session=session).create()
    other = Model.of_job(Job("my-job-2", session)).create()
    assert sorted(delete_models_of(job)) == sorted(made)
    assert set(cloud.models) == {"my-job-by-hand", other}


def test_deleting_a_model_twice_is_no_fault(job: Job, cloud: Cloud) -> None:
    model = Model.of_job(job)
    model.create()
    model.delete()
    model.delete()
    assert cloud.operations() == ["create_model", "delete_model"]


def test_a_model_on_aws_needs_an_image_that_serves(aws: AwsSession) -> None:
    with pytest.raises(InputError, match="docker push"):
        Model(ARCHIVE, role=ROLE, session=aws, instance_type="ml.m5.large").plan()
    trains = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.6-cpu-py312"
    with pytest.raises(InputError, match="has no server"):
        Model(ARCHIVE, trains, role=ROLE, session=aws, instance_type="ml.m5.large").plan()


def test_a_model_on_aws_needs_a_role(aws: AwsSession) -> None:
    with pytest.raises(InputError, match="get_execution_role"):
        Model(ARCHIVE, AWS_IMAGE, session=aws, instance_type="ml.m5.large").plan()


def test_D207_on_aws_a_model_is_created_once_and_described_as_it_was_asked_for(aws: AwsSession) -> None:
    aws.provide_bucket(aws.default_bucket)
    url = f"s3://{aws.default_bucket}/my-job/output/model.tar.gz"
    aws.s3.put_object(Bucket=aws.default_bucket, Key="my-job/output/model.tar.gz", Body=b"\x1f\x8b")
    model = Model(url, AWS_IMAGE, "jobs", {"A": "b"}, session=aws, instance_type="ml.m5.large", tags={"team": "rl"})
    assert model.create() == model.create()
    known = aws.sagemaker.describe_model(ModelName=model.name)
    assert known["ExecutionRoleArn"] == f"arn:aws:iam::{aws.account_id}:role/jobs"
    assert known["PrimaryContainer"]["Environment"] == {"A": "b"}
    model.delete()
    with pytest.raises(botocore.exceptions.ClientError, match="Could not find model"):
        aws.sagemaker.describe_model(ModelName=model.name)


def test_an_instance_of_the_other_cloud_is_refused(aws: AwsSession) -> None:
    model = Model(ARCHIVE, AWS_IMAGE, ROLE, session=aws, instance_type="ml.m5.large")
    with pytest.raises(InputError, match="the session is AWS's"):
        model.transformer(instance_type="local").plan("s3://bucket/in/x.jsonl", split_type="Line")


def test_names_of_sagemakers_sdk_are_understood_or_answered(capsys: Any) -> None:
    model = Model(model_data=ARCHIVE, role="jobs", sagemaker_session=None, predictor_cls=object)
    assert model.options.role == "jobs"
    said = capsys.readouterr().err
    assert "'session'" in said
    assert "'predictor_cls' has no effect" in said
    for name, hint in (("vpc_config", "subnets"), ("entry_point", "the server is part of the image")):
        with pytest.raises(UnknownArgument, match=hint):
            Model(ARCHIVE, **{name: "x"})
    with pytest.raises(TypeError, match="Did you mean 'env'"):
        Model(ARCHIVE, envv={})
    assert {"model_data", "image_uri", "env"} <= set(inspect.signature(Model).parameters)


@pytest.mark.parametrize("options", [{"instance_type": "locl"}, {"instance_type": "local_debug"}, {"name": "a_b"}])
def test_what_cannot_be_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Model(ARCHIVE, **options)


def test_an_estimator_hands_its_model_over(session: FakeSession, cloud: Cloud) -> None:
    estimator = RLEstimator.attach("my-job", session)
    assert estimator.model_data == ARCHIVE
    model = estimator.create_model(env={"A": "b"})
    assert model.options.model_data == Model.of_job(Job("my-job", session)).options.model_data
    transformer = estimator.transformer(model_name="mine", role="other", strategy="SingleRecord", accept="text/csv")
    assert transformer.model_name == "mine"
    assert transformer.options.instance_type == "local_process"
    assert transformer.options.accept == "text/csv"
    assert cloud.sent == []


def test_an_estimator_without_a_job_says_so() -> None:
    with pytest.raises(InputError, match="has run no job yet"):
        RLEstimator("train.py", instance_type="local_process").transformer()
