"""``RLEstimator``: its arguments, its plan without side effects, and requests that AWS takes."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from batchrl.contract.direct import ANSWERED
from batchrl.contract.errors import InputError
from launcher import RLEstimator
from launcher.api.arguments import IGNORED, RENAMED, UnknownArgument
from launcher.jobs.training import Job
from launcher.local import preflight
from launcher.local.host.address import StoreSettings
from launcher.local.host.home import HomePaths
from launcher.session.session import AwsSession, LocalSession, Session
from launcher.training.plan import TRAINING_JOB

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/batchrl:1"
ROLE = "arn:aws:iam::123456789012:role/jobs"


@pytest.fixture
def no_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any client that is made is a fault."""

    def refuse(*_: Any) -> Any:
        raise AssertionError("a client was made")

    monkeypatch.setattr(LocalSession, "_make_client", refuse)
    monkeypatch.setattr(AwsSession, "_make_client", refuse)


@pytest.fixture
def data(project: Path) -> Path:
    (project / "cartpole.csv").write_text("a\n")
    return project / "cartpole.csv"


def files_below(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def test_a_plan_has_no_side_effect(no_cloud: None, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("BATCHRL_HOME", str(home))
    before = files_below(data.parent)
    plan = RLEstimator("my.py", instance_type="local_process").plan({"training": str(data)})
    assert files_below(data.parent) == before
    assert not home.exists()
    shown = json.loads(plan.to_json())
    assert shown["request"] == plan.request
    assert [entry["url"] for entry in shown["uploads"]] == [
        f"s3://batchrl-local/source/{plan.package.sha256}/sourcedir.tar.gz",
        plan.request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"],
    ]
    assert all(len(entry["sha256"]) == 64 and entry["size"] for entry in shown["uploads"])


def test_the_plan_is_what_is_submitted(aws: AwsSession, data: Path) -> None:
    estimator = RLEstimator("my.py", instance_type="ml.m5.large", role=ROLE, image_uri=IMAGE, session=aws)
    plan = estimator.plan({"training": str(data)})
    job = estimator.submit(plan, wait=False)
    sent: list[dict[str, Any]] = []
    aws.sagemaker.meta.events.register(
        "provide-client-params.sagemaker.CreateTrainingJob", lambda params, **_: sent.append(params)
    )
    plan.request["TrainingJobName"] = "again"
    estimator.submit(plan, wait=False)
    assert sent == [plan.request]
    assert job.status().status == "Completed"  # moto's jobs are born so


def test_an_ml_job_goes_to_aws_with_everything(aws: AwsSession, data: Path) -> None:
    estimator = RLEstimator(
        entry_point="my.py",
        role="jobs",
        instance_type="ml.m5.xlarge",
        instance_count=2,
        image_uri=IMAGE,
        session=aws,
        output_path="s3://mine/runs",
        code_location=f"s3://{aws.default_bucket}/code",
        base_job_name="cart_pole",
        hyperparameters={"lr": 0.1, "name": "x"},
        use_spot_instances=True,
        max_run=600,
        max_wait=1200,
        tags=[{"Key": "team", "Value": "rl"}],
        environment={"A": "b"},
        subnets=["subnet-1"],
        security_group_ids=["sg-1"],
        enable_network_isolation=True,
        checkpoint_s3_uri="s3://mine/ck",
        metric_definitions=[{"Name": "score", "Regex": "score=(.*)"}],
    )
    job = estimator.fit({"training": str(data)}, wait=False)
    known = job.describe()
    assert job.name.startswith("cart-pole-")
    assert known["RoleArn"] == f"arn:aws:iam::{aws.account_id}:role/jobs"
    assert known["EnableManagedSpotTraining"] is True
    assert known["StoppingCondition"] == {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200}
    assert known["VpcConfig"]["Subnets"] == ["subnet-1"]
    assert known["EnableNetworkIsolation"] is True
    assert known["CheckpointConfig"]["S3Uri"] == "s3://mine/ck"
    assert known["HyperParameters"]["lr"] == "0.1"
    assert aws.sagemaker.list_tags(ResourceArn=known["TrainingJobArn"])["Tags"] == [{"Key": "team", "Value": "rl"}]
    regexes = {
        entry["Name"]
        for entry in estimator.plan({"training": str(data)}).request["AlgorithmSpecification"]["MetricDefinitions"]
    }
    assert regexes == {"wis", "sdr", "loss", "mean_return", "score"}


def test_an_unchanged_tree_uploads_nothing(aws: AwsSession, data: Path) -> None:
    estimator = RLEstimator("my.py", instance_type="ml.m5.large", role=ROLE, image_uri=IMAGE, session=aws)
    estimator.fit({"training": str(data)}, wait=False)
    puts: list[str] = []
    aws.s3.meta.events.register("provide-client-params.s3.PutObject", lambda params, **_: puts.append(params["Key"]))
    aws.s3.meta.events.register(f"{ANSWERED}.PutObject", lambda url, **_: puts.append(url.key))
    estimator.fit({"training": str(data)}, wait=False)
    assert puts == []
    (data.parent / "my.py").write_text("print('changed')\n")
    estimator.fit({"training": str(data)}, wait=False)
    assert len(puts) == 1


def test_an_ml_job_without_an_image_says_how_to_obtain_one(aws: AwsSession, data: Path) -> None:
    with pytest.raises(InputError) as caught:
        RLEstimator("my.py", instance_type="ml.m5.large", role=ROLE, session=aws).plan()
    assert "docker push" in str(caught.value)
    assert "image_uris.retrieve" in str(caught.value)


def test_an_ml_job_without_a_role_says_how_to_obtain_one(aws: AwsSession, data: Path) -> None:
    with pytest.raises(InputError, match="get_execution_role"):
        RLEstimator("my.py", instance_type="ml.m5.large", image_uri=IMAGE, session=aws).plan()


def test_F231_the_same_ml_request_goes_to_the_local_cloud_when_told_so(no_cloud: None, data: Path) -> None:
    plan = RLEstimator("my.py", instance_type="ml.m5.large", session=Session.local()).plan()
    assert plan.request["ResourceConfig"]["InstanceType"] == "ml.m5.large"


@pytest.mark.parametrize("name", sorted(RENAMED))
def test_old_names_of_arguments_work_and_are_told(name: str, project: Path, capsys: Any) -> None:
    value: Any = {"train_instance_type": "local", "image_name": "x:1", "sagemaker_session": None}.get(name, 1)
    options = RLEstimator("my.py", **{name: value}).options
    assert getattr(options, RENAMED[name]) == value
    assert RENAMED[name] in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(IGNORED))
def test_arguments_without_meaning_are_told_politely(name: str, capsys: Any) -> None:
    RLEstimator("my.py", **{name: "x"})
    assert f"'{name}' has no effect" in capsys.readouterr().err


def test_an_unknown_argument_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(TypeError, match="Did you mean 'instance_type'") as caught:
        RLEstimator("my.py", instancetype="local")
    assert isinstance(caught.value, UnknownArgument)
    assert isinstance(caught.value, InputError)


def test_an_argument_that_would_change_the_job_is_refused_with_what_to_use() -> None:
    with pytest.raises(UnknownArgument, match="source_dir"):
        RLEstimator("my.py", git_config={"repo": "x"})


def test_an_unknown_instance_type_is_refused() -> None:
    with pytest.raises(InputError, match="local_process"):
        RLEstimator("my.py", instance_type="locl")


def test_editors_see_the_options() -> None:
    assert {"preset", "hyperparameters", "max_wait"} <= set(inspect.signature(RLEstimator).parameters)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "cartpole-ddqn-bcp"}, "cartpole-ddqn-bcq"),
        ({"preset": "cartpole-ddqn-bcq", "hyperparameters": {"agent.discout": 1}}, "agent.discount"),
        ({"preset": "cartpole-ddqn-bcq", "hyperparameters": {"agent.discount": 7}}, "agent.discount"),
        ({"preset": "cartpole-ddqn-bcq-env"}, "kind"),
        ({}, "needs a preset"),
        ({"preset": "a", "hyperparameters": {"RLCOACH_PRESET": "b"}}, "two presets"),
        ({"preset": "nowhere.yaml"}, "nowhere.yaml"),
        ({"preset": "cartpole-ddqn-bcq", "hyperparameters": {"evaluate_steps": 5}}, "plays no episodes"),
    ],
)
def test_a_wrong_preset_is_refused_before_anything_is_sent(
    no_cloud: None, project: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        RLEstimator("train.py", instance_type="local_process", **arguments).fit()
    assert caught.value.exit_code == 2


def test_an_evaluation_that_should_save_a_model_is_refused(no_cloud: None, project: Path) -> None:
    settings = {"RLCOACH_PRESET": "preset-cartpole-ddqnbcq-env", "save_model": 1}
    estimator = RLEstimator("evaluate.py", instance_type="local_process", hyperparameters=settings)
    with pytest.raises(InputError, match="makes no model"):
        estimator.fit({"checkpoint": "s3://bucket/key"})


def test_the_seeds_own_call_works(no_cloud: None, project: Path) -> None:
    plan = RLEstimator(
        entry_point="train.py",
        role="role",
        instance_type="local",
        instance_count=1,
        output_path="s3://bucket",
        base_job_name="job",
        hyperparameters={"RLCOACH_PRESET": "preset-cartpole-ddqnbcq", "save_model": 1},
    ).plan("s3://bucket/data.csv")
    sent = plan.request["HyperParameters"]
    assert sent["RLCOACH_PRESET"] == "preset-cartpole-ddqnbcq"
    assert sent["save_model"] == "1"
    assert sent["sagemaker_program"] == "train.py"


def test_a_preset_file_travels_and_is_named_by_its_place(no_cloud: None, project: Path) -> None:
    import presets

    (project / "sub").mkdir()
    (project / "sub" / "mine.yaml").write_text((presets.FOLDER / "cartpole-ddqn-bcq.yaml").read_text())
    plan = RLEstimator("train.py", preset=project / "sub" / "mine.yaml", instance_type="local_process").plan(
        "s3://bucket/data.csv"
    )
    assert plan.request["HyperParameters"]["preset"] == "user_presets/mine.yaml"
    assert "user_presets/mine.yaml" in {file.name for file in plan.package.listing.files}


def test_a_script_of_the_users_has_hyperparameters_of_its_own(no_cloud: None, project: Path) -> None:
    RLEstimator("my.py", hyperparameters={"lr": 1, "dotted.key": 2}).plan()
    with pytest.raises(InputError, match=r"agent\.discount"):
        RLEstimator("my.py", preset="cartpole-ddqn-bcq", hyperparameters={"agent.discont": 1}).plan()


def test_a_bad_job_name_is_refused_before_anything_is_sent(no_cloud: None, project: Path) -> None:
    with pytest.raises(InputError, match="bad_name"):
        RLEstimator("my.py").fit(job_name="bad_name")


def test_a_name_that_is_taken_is_refused(aws: AwsSession, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.exceptions

    estimator = RLEstimator("my.py", instance_type="ml.m5.large", role=ROLE, image_uri=IMAGE, session=aws)

    def in_use(**_: Any) -> None:
        raise botocore.exceptions.ClientError(
            {"Error": {"Code": "ResourceInUse", "Message": "Job name must be unique"}}, "CreateTrainingJob"
        )

    monkeypatch.setattr(aws.sagemaker, "create_training_job", in_use)
    with pytest.raises(InputError, match="exists already"):
        estimator.fit(job_name="taken", wait=False)


def test_nothing_is_sent_under_a_name_that_is_taken(
    aws: AwsSession, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator = RLEstimator("my.py", instance_type="ml.m5.large", role=ROLE, image_uri=IMAGE, session=aws)
    estimator.fit({"training": data}, job_name="taken", wait=False)

    def refuse(*_: Any) -> None:
        raise AssertionError("something was sent")

    monkeypatch.setattr("launcher.training.plan.send", refuse)
    with pytest.raises(InputError, match="'taken' exists already"):
        estimator.fit({"training": data}, job_name="taken", wait=False)


def test_a_request_that_the_local_cloud_refuses_is_refused_before_anything_is_sent(no_cloud: None, data: Path) -> None:
    estimator = RLEstimator("my.py", instance_type="local_process", instance_count=2)
    with pytest.raises(InputError, match="InstanceCount 2 is not supported by the local cloud") as caught:
        estimator.fit({"training": data}, job_name="two")
    assert caught.value.exit_code == 2


def test_files_that_do_not_fit_the_disk_are_refused_before_anything_is_sent(
    no_cloud: None, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    estimator = RLEstimator("my.py", instance_type="local_process", session=Session.local(home))
    plan = estimator.plan({"training": data})
    needed = 2 * plan.size + 64 * 1024**2
    monkeypatch.setattr("launcher.local.preflight.shutil.disk_usage", lambda _: SimpleNamespace(free=needed - 1))
    with pytest.raises(InputError) as caught:
        estimator.submit(plan)
    assert f"{home} is full: the job needs {needed} bytes there, {needed - 1} are free" in caught.value.message
    assert not home.exists()
    monkeypatch.setattr("launcher.local.preflight.shutil.disk_usage", lambda _: SimpleNamespace(free=needed))
    preflight.check_space(plan.size, home)


def test_a_store_elsewhere_needs_no_space_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StoreSettings("http://127.0.0.1:9", profile="somebody").write(HomePaths.of(tmp_path).settings)
    monkeypatch.setattr("launcher.local.preflight.shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    preflight.check_space(1, tmp_path)


def test_D205_a_repeated_request_finds_the_job_that_its_first_try_made(
    aws: AwsSession, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import botocore.exceptions

    estimator = RLEstimator("my.py", instance_type="ml.m5.large", role=ROLE, image_uri=IMAGE, session=aws)
    create = aws.sagemaker.create_training_job

    def made_but_answer_lost(**request: Any) -> None:
        create(**request)
        raise botocore.exceptions.ClientError(
            {"Error": {"Code": "ResourceInUse"}, "ResponseMetadata": {"RetryAttempts": 1}},  # type: ignore[typeddict-item]
            "CreateTrainingJob",
        )

    monkeypatch.setattr(aws.sagemaker, "create_training_job", made_but_answer_lost)
    job = estimator.fit(wait=False)
    assert job.describe()["TrainingJobName"] == job.name


def test_attach_brings_an_estimator_back(aws: AwsSession, data: Path) -> None:
    job = RLEstimator(
        "my.py", instance_type="ml.m5.large", role=ROLE, image_uri=IMAGE, session=aws, hyperparameters={"lr": 0.1}
    ).fit(wait=False)
    back = RLEstimator.attach(job.name, aws)
    assert back.checkpoint_uri == job.checkpoint_uri
    assert back.options.hyperparameters == {"lr": 0.1}
    assert back.options.entry_point == "my.py"
    assert back.latest_job is not None
    assert back.latest_job.name == job.name


def test_attach_carries_every_option_that_the_cloud_tells(
    aws: AwsSession, data: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {
        "environment": {"STAGE": "test"},
        "max_run": 3600,
        "max_wait": 7200,
        "use_spot_instances": True,
        "tags": [{"Key": "team", "Value": "rl"}],
        "metric_definitions": [{"Name": "speed", "Regex": "speed=([0-9]+)"}],
        "checkpoint_s3_uri": "s3://bucket/kept",
        "checkpoint_local_path": "/opt/ml/mine",
        "volume_size": 55,
        "enable_network_isolation": True,
        "subnets": ["subnet-1"],
        "security_group_ids": ["sg-1"],
    }
    whose = {"instance_type": "ml.m5.large", "role": ROLE, "image_uri": IMAGE, "session": aws}
    estimator = RLEstimator("my.py", source_dir=".", **whose, **options)
    job = estimator.fit(wait=False)
    sent = estimator.plan(job_name=job.name).request
    # moto answers some of what it is sent by what stands in its own examples.
    monkeypatch.setattr(Job, "describe", lambda self: sent | {"TrainingJobArn": self._ask()["TrainingJobArn"]})
    capsys.readouterr()

    back = RLEstimator.attach(job.name, aws)

    assert {name: getattr(back.options, name) for name in options} == options
    said = capsys.readouterr().err
    assert "source_dir" in said and "sourcedir.tar.gz" in said
    assert {**back.plan(job_name=job.name).request, "InputDataConfig": sent["InputDataConfig"]} == sent


def test_attach_leaves_the_jobs_own_checkpoints_to_that_job(aws: AwsSession, data: Path) -> None:
    job = RLEstimator("my.py", instance_type="ml.m5.large", role=ROLE, image_uri=IMAGE, session=aws).fit(wait=False)
    back = RLEstimator.attach(job.name, aws)
    assert back.options.checkpoint_s3_uri is None  # another job of this estimator would go on where this one ended
    assert back.checkpoint_uri == job.checkpoint_uri


def test_attach_says_which_settings_it_has_no_option_for(aws: AwsSession, data: Path, capsys: Any) -> None:
    request = (
        RLEstimator("my.py", instance_type="ml.m5.large", role=ROLE, image_uri=IMAGE, session=aws)
        .plan(job_name="by-hand")
        .request
    )
    request["AlgorithmSpecification"]["ContainerArguments"] = ["--x"]
    request["DebugHookConfig"] = {"S3OutputPath": "s3://bucket/debug"}
    aws.sagemaker.create_training_job(**request)
    RLEstimator.attach("by-hand", aws)
    said = capsys.readouterr().err
    assert "AlgorithmSpecification.ContainerArguments" in said
    assert "DebugHookConfig.S3OutputPath" in said


def test_what_stays_behind_is_told_when_a_job_is_submitted(aws: AwsSession, project: Path, capsys: Any) -> None:
    (project / "secrets.py").write_text("KEY = 1")
    RLEstimator("my.py", instance_type="ml.m5.large", role=ROLE, image_uri=IMAGE, session=aws, source_dir=project).fit(
        wait=False
    )
    assert "Warning: 1 file or folder of your code stays here: secrets.py" in capsys.readouterr().err


def test_what_a_local_job_records_without_effect_is_told(aws: AwsSession, data: Path, capsys: Any) -> None:
    whose = {"instance_type": "ml.m5.large", "role": ROLE, "image_uri": IMAGE, "session": aws}
    estimator = RLEstimator("my.py", keep_alive_period_in_seconds=60, **whose)
    aws.is_local = True  # type: ignore[misc]
    TRAINING_JOB.create(aws, estimator.plan().request)
    assert "Note: ResourceConfig.KeepAlivePeriodInSeconds is recorded and has no effect" in capsys.readouterr().err


def test_an_estimator_without_a_job_says_so() -> None:
    with pytest.raises(InputError, match="has run no job"):
        _ = RLEstimator("my.py").checkpoint_uri


HEADER = "action,all_action_probabilities,episode_id,reward,cumulative_rewards,state_feature_0,state_feature_1\n"


def logged_data(probabilities: str = "[0.5, 0.5]") -> str:
    rows = [f'{n % 2},"{probabilities}",{n // 10},1.0,{n % 10 + 1}.0,0.{n},1.{n}' for n in range(100)]
    return HEADER + "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (logged_data("[0.9, 0.5]"), "does not sum to 1"),
        (logged_data().replace("state_feature_1\n", "unknown\n").replace("reward,cum", "rewad,cum"), "reward"),
        (logged_data().replace("0.17,", "inf,"), "line 19"),
        (HEADER, "bad.csv"),
        (HEADER + '0,"[0.5, 0.5]",0,1.0,1.0,0.1,1.1\n', "cannot fill training and evaluation"),
        (HEADER + logged_data().partition("\n")[2][:300].rpartition("\n")[0] + "\n", "cannot fill training"),
        ("", "bad.csv"),
    ],
)
def test_data_that_the_job_would_refuse_is_refused_before_anything_is_sent(
    no_cloud: None, project: Path, content: str, message: str
) -> None:
    (project / "bad.csv").write_text(content)
    estimator = RLEstimator("train.py", preset="cartpole-ddqn-bcq", instance_type="local_process")
    with pytest.raises(InputError, match=message) as caught:
        estimator.fit({"training": project / "bad.csv"})
    assert caught.value.exit_code == 2


def test_good_data_is_checked_once(no_cloud: None, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "good.csv").write_text(logged_data())
    estimator = RLEstimator("train.py", preset="cartpole-ddqn-bcq", instance_type="local_process")
    estimator.plan({"training": project / "good.csv"})

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("checked again")

    monkeypatch.setattr("launcher.library.ask.subprocess.run", refuse)
    estimator.plan({"training": project / "good.csv"})


@pytest.mark.parametrize(
    ("script", "preset", "channel"),
    [
        ("train.py", "cartpole-ddqn-bcq", "training"),
        ("evaluate.py", "cartpole-ddqn-bcq-env", "checkpoint"),
    ],
)
def test_a_missing_channel_is_told_with_what_to_give(
    no_cloud: None, project: Path, script: str, preset: str, channel: str
) -> None:
    with pytest.raises(InputError, match=f"needs the channel '{channel}'"):
        RLEstimator(script, preset=preset, instance_type="local_process").plan({"other": "s3://b/x"})


def test_a_debugged_job_runs_its_source_in_place(no_cloud: None, project: Path, tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "tools.py").write_text("")
    estimator = RLEstimator("my.py", source_dir=str(project), dependencies=[str(tmp_path / "common")])
    request = estimator.plan(debug=True).request
    assert request["ResourceConfig"]["InstanceType"] == "local_debug"
    assert request["HyperParameters"]["sagemaker_submit_directory"] == str(project)
    assert str(tmp_path) in request["Environment"]["PYTHONPATH"].split(":")


def test_a_job_on_aws_has_no_terminal_to_debug_on(aws: AwsSession, project: Path) -> None:
    with pytest.raises(InputError, match="no terminal"):
        RLEstimator("my.py", instance_type="ml.m5.large", role=ROLE, image_uri=IMAGE, session=aws).plan(debug=True)
