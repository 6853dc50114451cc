"""``Transformer`` and the jobs that it starts: the seed's own call, plans without side effects, ends told apart."""

from __future__ import annotations

import gzip
import inspect
import json
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from serving_cloud import AWS_IMAGE, AWS_ROLE, MINUTE, NOW, Cloud, FakeSession, refused, request_of

from batchrl.contract.errors import InputError, JobFailed, JobStopped
from batchrl.contract.manifest import sha256_of
from launcher import Model, RLEstimator, Transformer, TransformJob, list_transform_jobs
from launcher.api.arguments import UnknownArgument
from launcher.session.session import AwsSession, LocalSession

STATES = "".join(json.dumps([n / 10, 0.0, 0.1, -0.2]) + "\n" for n in range(3))


@pytest.fixture
def transformer(model: Model) -> Transformer:
    return model.transformer()


@pytest.fixture
def states(tmp_path: Path) -> Path:
    path = tmp_path / "states.jsonl"
    path.write_text(STATES)
    return path


def test_E225_the_seeds_own_call(model: Model, cloud: Cloud) -> None:
    batch_input, batch_output, instance_type = (
        "s3://bucket/batch_input/states.jsonl",
        "s3://bucket/out",
        "local_process",
    )

    transformer = model.transformer(
        instance_count=1,
        instance_type=instance_type,
        output_path=batch_output,
        assemble_with="Line",
        accept="application/jsonlines",
        strategy="SingleRecord",
    )
    transformer.transform(
        data=batch_input,
        data_type="S3Prefix",
        content_type="application/jsonlines",
        split_type="Line",
        join_source="Input",
    )

    assert cloud.operations() == ["create_model", "create_transform_job"]
    request = request_of(cloud)
    assert request.pop("TransformJobName").startswith("my-job-transform-")
    assert request == {
        "ModelName": model.name,
        "BatchStrategy": "SingleRecord",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": batch_input}},
            "ContentType": "application/jsonlines",
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": batch_output,
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": instance_type, "InstanceCount": 1},
        "DataProcessing": {"JoinSource": "Input"},
    }


def test_the_short_call_of_the_design(session: FakeSession, cloud: Cloud, states: Path) -> None:
    estimator = RLEstimator.attach("my-job", session)
    job = estimator.transformer(instance_type="local_process").transform(states, split_type="Line", join_source="Input")
    request = request_of(cloud)
    assert request["TransformInput"]["ContentType"] == request["TransformOutput"]["Accept"] == "application/jsonlines"
    assert request["TransformOutput"]["AssembleWith"] == "Line"
    assert job.output_uri == f"s3://bucket/{job.name}/"


def test_files_of_this_computer_go_under_their_content(transformer: Transformer, cloud: Cloud, states: Path) -> None:
    first = transformer.transform(states, split_type="Line")
    key = f"datasets/{sha256_of(STATES.encode())}/states.jsonl"
    assert cloud.objects[key] == STATES.encode()
    source = first.describe()["TransformInput"]["DataSource"]["S3DataSource"]
    assert source == {"S3DataType": "S3Prefix", "S3Uri": f"s3://bucket/{key}"}
    transformer.transform(str(states), split_type="Line")
    assert cloud.calls.count(f"put {key}") == 1


def test_a_folder_is_a_prefix_of_its_files(transformer: Transformer, cloud: Cloud, tmp_path: Path) -> None:
    folder = tmp_path / "inputs"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jsonl", "sub/b.jsonl"):
        (folder / name).write_text(STATES)
    transformer.transform(folder, split_type="Line")
    given = request_of(cloud)["TransformInput"]
    assert given["DataSource"]["S3DataSource"]["S3Uri"].endswith("/")
    assert given["ContentType"] == "application/jsonlines"
    assert {key.split("/", 2)[2] for key in cloud.objects if key.startswith("datasets/")} == {"a.jsonl", "sub/b.jsonl"}


def test_files_of_several_kinds_tell_no_content_type(transformer: Transformer, tmp_path: Path, cloud: Cloud) -> None:
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "a.jsonl").write_text(STATES)
    (folder / "b.csv").write_text("1,2\n")
    transformer.transform(folder)
    assert "ContentType" not in request_of(cloud)["TransformInput"]
    with pytest.raises(InputError, match="without ContentType"):
        transformer.plan(folder, split_type="Line", join_source="Input")


def test_B144_compressed_files_are_told_by_their_names(transformer: Transformer, tmp_path: Path, cloud: Cloud) -> None:
    (tmp_path / "states.jsonl.gz").write_bytes(gzip.compress(STATES.encode()))
    transformer.transform(tmp_path / "states.jsonl.gz", split_type="Line")
    given = request_of(cloud)["TransformInput"]
    assert (given["ContentType"], given["CompressionType"]) == ("application/jsonlines", "Gzip")


def test_B149_the_default_output_path_is_the_jobs_own(transformer: Transformer) -> None:
    assert transformer.output_path is None
    for name in ("one", "two"):
        job = transformer.transform("s3://bucket/in/", content_type="text/csv", job_name=name)
        assert job.output_uri == f"s3://bucket/{name}/"
        assert transformer.output_path == f"s3://bucket/{name}"
        assert transformer.latest_transform_job is job


def test_a_second_job_makes_no_second_model(transformer: Transformer, cloud: Cloud) -> None:
    for _ in range(2):
        transformer.transform("s3://bucket/in/x.csv")
    assert cloud.operations() == ["create_model", "create_transform_job", "create_transform_job"]


def test_a_plan_has_no_side_effect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, states: Path) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("a client was made")

    monkeypatch.setattr(LocalSession, "_make_client", refuse)
    home = tmp_path / "home"
    monkeypatch.setenv("BATCHRL_HOME", str(home))
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(b"tar"))
    plan = Model(archive).transformer(instance_type="local").plan(states, split_type="Line", join_source="Input")
    assert not home.exists()
    shown = json.loads(plan.to_json())
    assert shown["request"] == plan.request
    assert shown["model"]["ModelName"] == plan.request["ModelName"]
    assert [upload["path"] for upload in shown["uploads"]] == [str(archive), str(states)]
    assert plan.size == archive.stat().st_size + states.stat().st_size


def test_the_plan_is_what_is_submitted(transformer: Transformer, cloud: Cloud, states: Path) -> None:
    plan = transformer.plan(states, split_type="Line")
    assert cloud.sent == []
    transformer.submit(plan)
    assert request_of(cloud) == plan.request


def test_a_model_by_its_name_must_exist(session: FakeSession, cloud: Cloud, states: Path) -> None:
    by_name = Transformer("mine", 1, "local_process", session=session)
    with pytest.raises(InputError, match="no model named 'mine'"):
        by_name.transform(states, split_type="Line")
    assert cloud.sent == []
    assert not any(call.startswith("put") for call in cloud.calls)
    Model("s3://bucket/my-job/output/model.tar.gz", "mine:1", name="mine", session=session).create()
    assert by_name.transform(states, split_type="Line").model_name == "mine"
    by_name.delete_model()
    assert cloud.models == {}


def test_D205_a_name_that_is_taken_is_refused_before_anything_is_sent(
    transformer: Transformer, cloud: Cloud, states: Path
) -> None:
    transformer.transform("s3://bucket/in/x.csv", job_name="taken")
    sent = len(cloud.sent)
    with pytest.raises(InputError, match="a transform job named 'taken' exists already"):
        transformer.transform(states, split_type="Line", job_name="taken")
    assert len(cloud.sent) == sent
    assert not any(call.startswith("put") for call in cloud.calls)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"data": "/nowhere/states.jsonl"}, "no file or folder /nowhere/states.jsonl"),
        ({"data": "s3://bucket/in/x.jsonl", "job_name": "a_b"}, "cannot be the name of a transform job"),
        ({"data": "s3://bucket/in/x.jsonl", "join_source": "Input", "split_type": "RecordIO"}, "RecordIO"),
        ({"data": "s3://bucket/in/x", "join_source": "Input", "split_type": "Line"}, "without ContentType"),
        ({"data": "s3://bucket/in/x.csv", "join_source": "Input"}, "SplitType and AssembleWith Line"),
        ({"data": "s3://bucket/in/x.jsonl", "split_type": "line"}, "did you mean 'Line'"),
        ({"data": "s3://bucket/in/x.jsonl", "model_client_config": {"Retries": 1}}, "Retries is unknown"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    transformer: Transformer, cloud: Cloud, call: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        transformer.transform(**call)
    assert cloud.sent == []


def test_B154_an_output_that_would_be_read_as_input_is_refused(model: Model, cloud: Cloud) -> None:
    for output in ("s3://bucket/in", "s3://bucket/in_out", "s3://bucket/in/out"):
        with pytest.raises(InputError, match="read as input"):
            model.transformer(output_path=output).transform("s3://bucket/in", content_type="text/csv")
    assert cloud.sent == []


def test_the_end_of_a_job_is_waited_for_with_its_log(transformer: Transformer, cloud: Cloud, capsys: Any) -> None:
    cloud.lines["/aws/sagemaker/TransformJobs", "done/i-1-1"] = ["GET /ping"]
    cloud.lines["/aws/sagemaker/TransformJobs", "done/i-1-1/data-log"] = ["MaxConcurrentTransforms=1"]
    transformer.transform("s3://bucket/in/x.csv", job_name="done")
    assert capsys.readouterr().out == "GET /ping\n[data-log] MaxConcurrentTransforms=1\n"
    assert transformer.wait(logs=False).status == "Completed"


def test_a_job_that_is_not_waited_for_is_returned_at_once(transformer: Transformer, cloud: Cloud) -> None:
    cloud.states["long"] = lambda: ("InProgress", None)
    job = transformer.transform("s3://bucket/in/x.csv", job_name="long", wait=False)
    assert str(job.status()) == "InProgress"
    cloud.states["long"] = lambda: ("Stopped", None)
    transformer.stop_transform_job()
    assert cloud.operations()[-1] == "stop_transform_job"


def test_B172_a_failed_job_names_the_object_and_the_line_beside_the_last_lines_of_its_servers(
    cloud: Cloud, session: FakeSession, clock: Any
) -> None:
    cloud.transforms["bad"] = {"TransformJobName": "bad", "TransformOutput": {"S3OutputPath": "s3://bucket/out"}}
    cloud.states["bad"] = lambda: ("Failed", "ClientError: 1 of 2 objects failed")
    group = "/aws/sagemaker/TransformJobs"
    cloud.lines[group, "bad/i-1-1/data-log"] = ["bucket/in/x.jsonl: ClientError: 400", "Message: line 3: no JSON"]
    cloud.lines[group, "bad/i-1-1"] = [f"POST /invocations {n}" for n in range(100)]
    for logs in (True, False):
        with pytest.raises(JobFailed) as caught:
            TransformJob("bad", session, clock).wait(logs=logs)
        lines = caught.value.message.splitlines()
        assert lines[0] == "the transform job 'bad' failed: ClientError: 1 of 2 objects failed"
        assert lines[2:-2] == [f"  POST /invocations {n}" for n in range(82, 100)]
        assert lines[-2:] == [
            "  [data-log] bucket/in/x.jsonl: ClientError: 400",
            "  [data-log] Message: line 3: no JSON",
        ]


def test_B172_the_log_of_a_job_whose_reason_quotes_it_is_not_repeated(
    cloud: Cloud, session: FakeSession, clock: Any
) -> None:
    fault = f"bucket/datasets/{'0a' * 32}/x.jsonl: line 3: no JSON"
    cloud.transforms["bad"] = {"TransformJobName": "bad", "TransformOutput": {"S3OutputPath": "s3://bucket/out"}}
    cloud.states["bad"] = lambda: ("Failed", f"ClientError: 1 of 1 objects failed: s3://{fault}")
    cloud.lines["/aws/sagemaker/TransformJobs", "bad/i-1-1/data-log"] = [fault]
    cloud.lines["/aws/sagemaker/TransformJobs", "bad/i-1-1"] = ["POST /invocations"]

    with pytest.raises(JobFailed) as caught:
        TransformJob("bad", session, clock).wait()

    said = "the transform job 'bad' failed: ClientError: 1 of 1 objects failed: x.jsonl: line 3: no JSON"
    assert caught.value.message == said


@pytest.mark.parametrize(("line", "repeated"), [("Give a number.", False), ("Traceback", True)])
def test_B173_a_log_that_the_reason_holds_whole_is_not_repeated(
    cloud: Cloud, session: FakeSession, clock: Any, line: str, repeated: bool
) -> None:
    cloud.transforms["bad"] = {"TransformJobName": "bad"}
    cloud.states["bad"] = lambda: ("Failed", "AlgorithmError: its log ends with: error: x is 'y'. | Give a number.")
    cloud.lines["/aws/sagemaker/TransformJobs", "bad/i-1-1"] = ["error: x is 'y'.", line]

    with pytest.raises(JobFailed) as caught:
        TransformJob("bad", session, clock).wait()

    assert ("The last lines of its log" in caught.value.message) is repeated


def test_B177_streams_of_several_instances_are_told_apart(cloud: Cloud, session: FakeSession) -> None:
    cloud.transforms["two"] = {"TransformJobName": "two"}
    cloud.states["two"] = lambda: ("Completed", None)
    for instance in ("i-1-1", "i-2-1"):
        for part in ("", "/data-log"):
            cloud.lines["/aws/sagemaker/TransformJobs", f"two/{instance}{part}"] = [f"{instance}{part}"]
    cloud.lines["/aws/sagemaker/TransformJobs", "two-more/i-1-1"] = ["of another job"]
    assert list(TransformJob("two", session).logs(follow=False)) == [
        "i-1-1",
        "[data-log] i-1-1/data-log",
        "[i-2-1] i-2-1",
        "[i-2-1/data-log] i-2-1/data-log",
    ]


def test_B176_a_stopped_job_is_neither_completed_nor_failed(cloud: Cloud, session: FakeSession, clock: Any) -> None:
    cloud.transforms["halted"] = {"TransformJobName": "halted"}
    cloud.states["halted"] = lambda: ("InProgress", None) if clock.now() < 3 else ("Stopped", None)
    with pytest.raises(JobStopped, match="the transform job 'halted' was stopped") as caught:
        TransformJob("halted", session, clock).wait()
    assert caught.value.exit_code == 4


def test_D208_stopping_a_job_that_has_ended_is_no_fault(cloud: Cloud, session: FakeSession) -> None:
    cloud.transforms["over"] = {"TransformJobName": "over"}
    cloud.states["over"] = lambda: ("Completed", None)
    cloud.fail["stop_transform_job"] = refused("ValidationException", "The job is Completed.")
    assert TransformJob("over", session).stop() is False


def test_a_job_that_is_not_there_is_told_by_name(session: FakeSession) -> None:
    with pytest.raises(InputError, match="no transform job named 'nope'"):
        TransformJob.attach("nope", session)


def test_outputs_are_pulled_by_their_paths_and_verified(transformer: Transformer, cloud: Cloud, tmp_path: Path) -> None:
    job = transformer.transform("s3://bucket/in/", content_type="text/csv", job_name="outputs")
    cloud.objects |= {
        "outputs/a.csv.out": b"one",
        "outputs/sub/b.csv.out": b"three",
        "outputs/stray.txt": b"x",
        "outputs-2/a.csv.out": b"of another job",
    }
    assert job.outputs() == [("outputs/a.csv.out", 3), ("outputs/sub/b.csv.out", 5)]
    received: list[int] = []
    report = job.pull(tmp_path / "out", received.append)
    assert report.files == ("a.csv.out", "sub/b.csv.out")
    assert (tmp_path / "out/sub/b.csv.out").read_bytes() == b"three"
    assert sum(received) == report.bytes == 8
    assert job.pull(tmp_path / "out").downloaded == 0


def test_outputs_are_those_of_this_job_alone(transformer: Transformer, cloud: Cloud, tmp_path: Path) -> None:
    job = transformer.transform("s3://bucket/in/", content_type="text/csv", job_name="shared")
    cloud.objects |= {"shared/old.csv.out": b"old", "shared/new.csv.out": b"new", "shared/later.csv.out": b"later"}
    cloud.modified |= {"shared/old.csv.out": NOW - 2 * MINUTE, "shared/later.csv.out": NOW + 2 * MINUTE}
    assert [key for key, _ in job.outputs()] == ["shared/new.csv.out"]
    assert job.pull(tmp_path).files == ("new.csv.out",)
    ahead = format_datetime(datetime.now(UTC) + 2 * MINUTE)
    cloud.head_bucket = lambda Bucket: {"ResponseMetadata": {"HTTPHeaders": {"date": ahead}}}  # type: ignore[method-assign]  # noqa: N803
    assert [key for key, _ in job.outputs()] == ["shared/later.csv.out"]


def test_a_job_that_never_ran_has_no_outputs(transformer: Transformer, cloud: Cloud) -> None:
    job = transformer.transform("s3://bucket/in/", content_type="text/csv", job_name="early")
    cloud.objects["early/a.csv.out"] = b"of a job before it"
    cloud.transforms["early"]["TransformStartTime"] = None
    assert job.outputs() == []


def test_B152_a_job_without_outputs_says_where_to_look(transformer: Transformer, tmp_path: Path) -> None:
    job = transformer.transform("s3://bucket/in/x.csv", job_name="empty")
    with pytest.raises(InputError, match=r"nothing that lies in s3://bucket/empty/ was stored while .* 'empty' ran"):
        job.pull(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_transformer_attaches_to_a_job_with_all_its_options(model: Model, session: FakeSession, cloud: Cloud) -> None:
    options: dict[str, Any] = {
        "strategy": "MultiRecord",
        "max_payload": 3,
        "env": {"BATCHRL_TARGET_POLICY": "greedy"},
        "tags": {"team": "rl"},
        "volume_kms_key": "key",
    }
    transformer = model.transformer(instance_type="local_process", **options)
    transformer.transform("s3://bucket/in/x.jsonl", split_type="Line", job_name="first")
    Transformer.attach("first", session).transform("s3://bucket/in/x.jsonl", split_type="Line", job_name="second")
    assert cloud.transforms["second"] == cloud.transforms["first"] | {"TransformJobName": "second"}


def test_a_transformer_attaches_to_a_job(transformer: Transformer, session: FakeSession, cloud: Cloud) -> None:
    transformer.transform("s3://bucket/in/x.jsonl", split_type="Line", join_source="Input", job_name="first")
    again = Transformer.attach("first", session)
    assert again.latest_transform_job is not None
    assert again.output_path == "s3://bucket/first"
    again.transform("s3://bucket/more/x.jsonl", split_type="Line", join_source="Input", job_name="second")
    assert cloud.transforms["second"]["ModelName"] == cloud.transforms["first"]["ModelName"]


def test_names_of_sagemakers_sdk_are_understood_or_answered(
    transformer: Transformer, model: Model, capsys: Any
) -> None:
    Transformer(model_name="m", instance_type="local_process", sagemaker_session=None)
    assert "'session'" in capsys.readouterr().err
    with pytest.raises(UnknownArgument, match="Did you mean 'assemble_with'"):
        model.transformer(asemble_with="Line")
    with pytest.raises(UnknownArgument, match="Did you mean 'split_type'"):
        transformer.transform("s3://bucket/in/x", splittype="Line")
    with pytest.raises(UnknownArgument, match="tag the job"):
        transformer.transform("s3://bucket/in/x", experiment_config={"TrialName": "x"})
    with pytest.raises(UnknownArgument, match="'model_name' is missing"):
        Transformer(instance_type="local_process")
    assert {"strategy", "accept", "max_payload"} <= set(inspect.signature(Transformer).parameters)


def test_a_transformer_without_a_job_says_so(transformer: Transformer) -> None:
    for call in (transformer.wait, transformer.stop_transform_job):
        with pytest.raises(InputError, match="has run no job yet"):
            call()


def test_on_aws_the_request_is_described_as_it_was_sent(aws: AwsSession, states: Path) -> None:
    aws.provide_bucket(aws.default_bucket)
    aws.s3.put_object(Bucket=aws.default_bucket, Key="my-job/output/model.tar.gz", Body=b"\x1f\x8b")
    archive = f"s3://{aws.default_bucket}/my-job/output/model.tar.gz"
    model = Model(archive, AWS_IMAGE, AWS_ROLE, session=aws, instance_type="ml.m5.large")
    job = model.transformer(tags={"team": "rl"}, max_payload=5, env={"A": "b"}).transform(
        states, split_type="Line", join_source="Input", output_filter="$.SageMakerOutput", wait=False
    )
    known = job.describe()
    assert known["ModelName"] == model.name
    assert known["DataProcessing"] == {"JoinSource": "Input", "OutputFilter": "$.SageMakerOutput"}
    assert known["TransformResources"] == {"InstanceType": "ml.m5.large", "InstanceCount": 1}
    assert (known["MaxPayloadInMB"], known["Environment"]) == (5, {"A": "b"})
    (summary,) = list_transform_jobs(aws)
    assert (summary.name, summary.kind) == (job.name, "transform")


def test_ctrl_c_without_a_terminal_stops_the_job(
    transformer: Transformer, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    looks = iter([KeyboardInterrupt()])

    def state() -> tuple[str, str | None]:
        for error in looks:
            raise error
        return "Stopped", None

    cloud.states["interrupted"] = state
    with pytest.raises(KeyboardInterrupt):
        transformer.transform("s3://bucket/in/x.csv", job_name="interrupted")
    assert cloud.operations()[-1] == "stop_transform_job"
    assert "Stopping 'interrupted'" in capsys.readouterr().err
