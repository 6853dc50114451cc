"""``HyperparameterTuner``: its request, what it refuses, and a tuning job in a real local cloud."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchrl.contract.errors import InputError, JobFailed
from launcher import (
    CategoricalParameter,
    ContinuousParameter,
    HyperparameterTuner,
    IntegerParameter,
    RLEstimator,
    Session,
    list_tuning_jobs,
)
from launcher.api.servicemodel import problems
from launcher.local import cloud
from launcher.session.session import AwsSession, LocalSession
from launcher.training.ranges import parameter_of
from launcher.training.searchspace import SearchSpace

SCRIPT = """
import sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if given.get("--mode") == "silent":
    sys.exit(0)
print(f"quality={-(float(given['--rate']) - 3) ** 2}")
"""


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSession]:
    """A local cloud of this module's own."""
    home = tmp_path_factory.mktemp("home")
    yield Session.local(home)
    cloud.down(home, stop_jobs=True)


def of_script(session: Any, folder: Path, **options: Any) -> RLEstimator:
    script = folder / "my.py"
    script.write_text(SCRIPT)
    given = {"instance_type": "local_process", "metric_definitions": {"quality": r"quality=(\S+)"}, **options}
    return RLEstimator(str(script), session=session, **given)


def test_the_best_of_a_grid_is_found_and_its_estimator_goes_on(local: LocalSession, tmp_path: Path) -> None:
    tuner = HyperparameterTuner(
        of_script(local, tmp_path, hyperparameters={"mode": "loud"}),
        {"rate": CategoricalParameter([1, 3.5, 10])},
        "quality",
        max_parallel_jobs=2,
    )
    job = tuner.fit()
    found = {one.parameters["rate"]: one.value for one in job.training_jobs()}
    assert found == {"1": -4.0, "3.5": -0.25, "10": -49.0}
    best = job.best()
    assert best is not None and best.parameters == {"rate": "3.5"}
    assert tuner.best_estimator().latest_job is not None
    assert job.name in {summary.name for summary in list_tuning_jobs(local)}
    made = job.best_job()
    assert made is not None and made.describe()["HyperParameters"]["mode"] == "loud"
    assert made.checkpoint_uri.rstrip("/").endswith(f"checkpoints/{made.name}")
    job.delete()
    with pytest.raises(InputError, match="no tuning job named"):
        job.describe()


def test_a_tuning_job_that_fails_says_why(local: LocalSession, tmp_path: Path) -> None:
    tuner = HyperparameterTuner(
        of_script(local, tmp_path, hyperparameters={"mode": "silent"}),
        {"rate": CategoricalParameter([1, 2])},
        "quality",
        max_parallel_jobs=2,
    )
    with pytest.raises(JobFailed, match="no value of the objective metric 'quality'"):
        tuner.fit()


def test_a_request_is_one_that_the_api_takes(aws: AwsSession, project: Path) -> None:
    estimator = RLEstimator(
        "my.py",
        session=aws,
        instance_type="ml.m5.large",
        image_uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/x:1",
        role="arn:aws:iam::123456789012:role/jobs",
        hyperparameters={"fixed": 1, "rate": 5},
        tags={"team": "x"},
    )
    ranges = {"rate": ContinuousParameter(1e-4, 0.1, "Logarithmic"), "n": IntegerParameter(1, 9)}
    tuner = HyperparameterTuner(estimator, ranges, max_jobs=20, max_parallel_jobs=4, target=1.5, random_seed=7)
    request = tuner.plan(job_name="t").request
    assert problems("sagemaker", "CreateHyperParameterTuningJob", request) == []
    config, definition = request["HyperParameterTuningJobConfig"], request["TrainingJobDefinition"]
    assert (config["Strategy"], config["RandomSeed"]) == ("Bayesian", 7)
    assert config["ParameterRanges"] == {
        "ContinuousParameterRanges": [
            {"Name": "rate", "MinValue": "0.0001", "MaxValue": "0.1", "ScalingType": "Logarithmic"}
        ],
        "IntegerParameterRanges": [{"Name": "n", "MinValue": "1", "MaxValue": "9", "ScalingType": "Auto"}],
    }
    static = definition["StaticHyperParameters"]
    assert static["fixed"] == "1"
    assert not {"rate", "n", "sagemaker_job_name"} & set(static)
    assert "CheckpointConfig" not in definition  # on AWS it may be shared by all
    assert request["Tags"] == [{"Key": "team", "Value": "x"}]


def test_names_are_made_short_enough(local: LocalSession, tmp_path: Path) -> None:
    estimator = of_script(local, tmp_path, base_job_name="a-very-long-name-of-a-job-indeed")
    tuner = HyperparameterTuner(estimator, {"rate": CategoricalParameter([1])}, "quality")
    assert re.fullmatch(r"a-very-long-n?-?\d{6}-\d{6}-[0-9a-f]{4}", tuner.plan().job_name)
    for length in (33, 60):
        with pytest.raises(InputError, match="cannot be the name of a tuning job: 1 to 32 letters"):
            tuner.plan(job_name="x" * length)


@pytest.mark.parametrize(
    ("key", "parameter", "message"),
    [
        ("agent.discount", ContinuousParameter(0.5, 1.5), "agent.discount"),
        ("agent.discount", CategoricalParameter([0.9, 7]), "agent.discount"),
        ("agent.discout", CategoricalParameter([0.9]), "agent.discount"),
    ],
)
def test_a_value_that_a_training_would_refuse_is_refused_before_anything_is_sent(
    local: LocalSession, key: str, parameter: Any, message: str
) -> None:
    estimator = RLEstimator("train.py", preset="cartpole-ddqn-bcq", session=local, instance_type="local_process")
    tuner = HyperparameterTuner(estimator, {key: parameter}, max_jobs=2)
    with pytest.raises(InputError) as caught:
        tuner.plan("s3://batchrl-local/data/")
    assert message in f"{caught.value.message} {caught.value.hint}"


def test_a_range_needs_a_count(local: LocalSession, tmp_path: Path) -> None:
    tuner = HyperparameterTuner(of_script(local, tmp_path), {"rate": ContinuousParameter(0, 1)}, "quality")
    with pytest.raises(InputError, match="how many training jobs"):
        tuner.plan()
    with pytest.raises(InputError, match="nothing to tune"):
        HyperparameterTuner(of_script(local, tmp_path), {}).plan()


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("0.1,0.3", CategoricalParameter((0.1, 0.3))),
        ("a, b", CategoricalParameter(("a", "b"))),
        ("[64,64],[32]", CategoricalParameter(([64, 64], [32]))),
        ("1..5", IntegerParameter(1, 5)),
        ("1e-4..1e-2:log", ContinuousParameter(1e-4, 1e-2, "Logarithmic")),
        ("0..0.99:reverselog", ContinuousParameter(0.0, 0.99, "ReverseLogarithmic")),
        ("[64,64]", None),
        ('"a,b"', None),
        ("0.98", None),
        ("s3://b/x..y", None),
    ],
)
def test_what_a_setting_lets_be_chosen(text: str, parameter: object) -> None:
    assert parameter_of("key", text) == parameter


@pytest.mark.parametrize(
    ("text", "message"),
    [("1..1", "holds nothing"), ("2..1", "holds nothing"), ("1..2:ln", "'ln' is unknown"), ("1,,2", "is empty")],
)
def test_ranges_that_are_none_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parameter_of("key", text)


def test_trainings_of_several_seeds_share_their_split(local: LocalSession, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [f'{step % 2},"[0.5, 0.5]",{step // 2},1,{step}' for step in range(40)]
    log.write_text("\n".join(["action,all_action_probabilities,episode_id,reward,state_feature_0", *rows]) + "\n")

    def static(seeds: bool, **more: Any) -> dict[str, str]:
        estimator = RLEstimator(
            "train.py", preset="generic-discrete", instance_type="local_process", session=local, hyperparameters=more
        )
        key, values = ("seed", (0, 1)) if seeds else ("epochs", (1, 2))
        tuner = HyperparameterTuner(estimator, {key: CategoricalParameter(values)})
        request = tuner.plan({"training": str(log)}).request
        found: dict[str, str] = request["TrainingJobDefinition"]["StaticHyperParameters"]
        return found

    assert static(seeds=True)["data.split_seed"] == "0"
    assert static(seeds=True, **{"data.split_seed": 5})["data.split_seed"] == "5"
    assert "data.split_seed" not in static(seeds=False)


def test_preset_files_of_one_name_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "my.yaml" for folder in ("a", "b")]
    space = SearchSpace({"preset": CategoricalParameter([str(path) for path in paths])})
    with pytest.raises(InputError, match=r"two of the preset files are called my\.yaml"):
        space.preset_files  # noqa: B018
    assert SearchSpace({"preset": CategoricalParameter(["mail-bc", str(paths[0])])}).sent == {
        "preset": CategoricalParameter(("mail-bc", "user_presets/my.yaml"))
    }


def test_a_grid_counts_itself_where_nobody_asks_for_another_number() -> None:
    space = SearchSpace({"a": CategoricalParameter((1, 2)), "b": CategoricalParameter((1, 2, 3))})
    assert [space.count(asked) for asked in (None, 6, 5)] == [6, 6, None]
    assert SearchSpace({"a": IntegerParameter(1, 2)}).count(None) is None


def test_what_cannot_be_chosen_among_is_refused(local: LocalSession, tmp_path: Path) -> None:
    tuner = HyperparameterTuner(of_script(local, tmp_path), {"rate": CategoricalParameter([1, 2])}, "quality")
    with pytest.raises(InputError, match="has run no tuning job yet"):
        tuner.choose()
    (tmp_path / "log.csv").write_text("a\n1\n")
    tuner.fit({"training": str(tmp_path / "log.csv")})
    with pytest.raises(InputError, match=r"only what train\.py trains is known to be a policy"):
        tuner.choose()
    with pytest.raises(InputError, match=r"alpha is 0\.7"):
        tuner.choose(0.7)
    with pytest.raises(InputError, match="--reward-range got '3'"):
        tuner.choose(reward_range="3")
