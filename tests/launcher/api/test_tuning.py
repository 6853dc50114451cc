"""What a tuning job may ask for, and the requests of its training jobs."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tunings import ranges, tuning_request

from launcher.api import tuning_rules
from launcher.api.errors import ApiError
from launcher.api.names import MAX_NAME
from launcher.api.tuning import TuningPlan, number_of, training_job_name
from launcher.api.tuning_ranges import CategoricalRange, NumericRange, ranges_in

DEFINITION = "TrainingJobDefinition"


def changed(config: dict[str, Any] | None = None, **definition: Any) -> dict[str, Any]:
    request = copy.deepcopy(tuning_request(**(config or {})))
    request[DEFINITION] |= definition
    return request


def one(kind: str, low: str, high: str, scaling: str | None = None) -> dict[str, Any]:
    given = {"Name": "rate", "MinValue": low, "MaxValue": high} | ({"ScalingType": scaling} if scaling else {})
    return {f"{kind}ParameterRanges": [given]}


def test_what_a_request_asks_for_is_read() -> None:
    request = changed(
        {
            "ParameterRanges": ranges("Logarithmic", "ab", rate=("0.5", "10"))
            | {"IntegerParameterRanges": [{"Name": "n", "MinValue": "-2", "MaxValue": "3"}]},
            "TuningJobCompletionCriteria": {
                "TargetObjectiveMetricValue": 0.5,
                "BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3},
            },
        }
    )
    plan = tuning_rules.check_tuning_job(request)
    assert plan.ranges == (
        NumericRange("n", -2, 3, "Linear", whole=True),
        NumericRange("rate", 0.5, 10.0, "Logarithmic", whole=False),
        CategoricalRange("letter", ("a", "b")),
    )
    assert (plan.most_jobs, plan.parallel, plan.seed, plan.target, plan.patience) == (4, 2, 7, 0.5, 3)
    assert plan.objective.maximize and plan.objective.better(2, 1)


@pytest.mark.parametrize(
    ("low", "high", "scaling"),
    [("1", "1000", "Logarithmic"), ("1", "99", "Linear"), ("0", "1000", "Linear"), ("-5", "1000", "Linear")],
)
def test_auto_is_logarithmic_for_wide_positive_ranges(low: str, high: str, scaling: str) -> None:
    for given in (one("Integer", low, high), one("Continuous", low, high, "Auto")):
        (found,) = ranges_in(given)
        assert isinstance(found, NumericRange) and found.scaling == scaling


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (one("Integer", "1.5", "2"), "MinValue '1.5' is not an integer"),
        (one("Integer", "1", "1_000"), "MaxValue '1_000' is not an integer"),
        (one("Integer", "0", "9" * 19), "is not an integer within"),
        (one("Continuous", "nan", "1"), "MinValue 'nan' is not a number"),
        (one("Continuous", "0", "1e999"), "MaxValue '1e999' is not a number"),
        (one("Continuous", "0", "9" * 257), "is not a number"),
        (one("Continuous", "2", "1"), "MinValue 2 is above MaxValue 1"),
        (one("Integer", "0", "5", "Logarithmic"), "needs a MinValue above 0, not 0"),
        (one("Continuous", "0.5", "1", "ReverseLogarithmic"), "within 0 <= x < 1"),
        (one("Integer", "0", "0", "ReverseLogarithmic"), "for continuous ranges"),
        ({"CategoricalParameterRanges": [{"Name": "letter", "Values": ["a", "a"]}]}, "'letter' holds a value more"),
        ({"CategoricalParameterRanges": [{"Name": "", "Values": ["a"]}]}, "empty name"),
        (one("Integer", "0", "1") | one("Continuous", "0", "1"), "'rate' is given more than once"),
        (ranges(**{f"p{number}": ("0", "1") for number in range(31)}), "31 hyperparameters"),
    ],
)
def test_ranges_that_cannot_be_searched_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        ranges_in(given)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (changed({"Strategy": "Hyperband"}), "Hyperband is not supported by the local cloud"),
        (changed({"TrainingJobEarlyStoppingType": "Auto"}), "Auto is not supported by the local cloud"),
        (changed({"ParameterRanges": {}}), "ParameterRanges is required"),
        (changed({"ResourceLimits": {"MaxParallelTrainingJobs": 1}}), "give MaxNumberOfTrainingJobs"),
        (
            changed({"ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 2}}),
            "MaxParallelTrainingJobs 2 is above the 1",
        ),
        (
            changed({"ResourceLimits": {"MaxNumberOfTrainingJobs": 1000, "MaxParallelTrainingJobs": 2}}),
            "1000 is above 750",
        ),
        (
            changed({"ResourceLimits": {"MaxNumberOfTrainingJobs": 500, "MaxParallelTrainingJobs": 101}}),
            "101 is above 100",
        ),
        (changed({"Strategy": "Grid"}), "Grid takes CategoricalParameterRanges alone"),
        (changed({"Strategy": "Grid", "ParameterRanges": ranges(letters="abc")}), "runs all 3 combinations"),
        (
            changed({"TuningJobCompletionCriteria": {"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}}}),
            "ConvergenceDetected is not supported",
        ),
        (changed(StaticHyperParameters={"rate": "1"}), "'rate' is both tuned and among the StaticHyperParameters"),
        (changed(StaticHyperParameters={"_tuning_objective_metric": "x"}), "is set by the tuning job itself"),
        (changed(ResourceConfig={}), "either ResourceConfig or"),
        (changed(ResourceConfig={"InstanceType": "local_debug", "InstanceCount": 1}), "terminal"),
        (
            changed({"HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"}}),
            "'loss' is not among the MetricDefinitions of the TrainingJobDefinition: score",
        ),
        ({**tuning_request(), DEFINITION: None}, "TrainingJobDefinition is required"),
        (changed({"HyperParameterTuningJobObjective": None}), "Objective is required"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        tuning_rules.check_tuning_job(request_)


def test_grid_takes_no_count_or_the_right_one() -> None:
    grid = {"Strategy": "Grid", "ParameterRanges": ranges(letters="abc")}
    for limits in ({"MaxParallelTrainingJobs": 1}, {"MaxParallelTrainingJobs": 1, "MaxNumberOfTrainingJobs": 3}):
        assert tuning_rules.check_tuning_job(changed({**grid, "ResourceLimits": limits})).most_jobs == 3


def test_a_training_job_has_what_is_static_what_was_chosen_and_checkpoints_of_its_own() -> None:
    request = changed(
        CheckpointConfig={"S3Uri": "s3://b/check/", "LocalPath": "/opt/ml/checkpoints"}, Environment={"A": "1"}
    )
    plan = TuningPlan.of(request)
    made = plan.training_request("tune-1-001-abc", {"rate": "2.0"}, {"team": "x"})
    assert made["HyperParameters"] == {
        "sagemaker_program": "script.py",
        "rate": "2.0",
        "_tuning_objective_metric": "score",
    }
    assert made["CheckpointConfig"] == {
        "S3Uri": "s3://b/check/tune-1-001-abc",
        "LocalPath": "/opt/ml/checkpoints",
    }
    assert (made["Environment"], made["Tags"]) == ({"A": "1"}, [{"Key": "team", "Value": "x"}])
    assert "StaticHyperParameters" not in made and "DefinitionName" not in made


def test_resources_may_be_given_in_the_tuning_jobs_own_member() -> None:
    resources = {"InstanceType": "local", "InstanceCount": 1, "VolumeSizeInGB": 1}
    request = changed(HyperParameterTuningResourceConfig=resources, ResourceConfig=None)
    assert tuning_rules.check_tuning_job(request).training_request("j", {}, {})["ResourceConfig"] == resources


def test_names_of_training_jobs_are_the_same_each_time_and_fit() -> None:
    name = training_job_name("t" * 32, 750, 1.5)
    assert name == training_job_name("t" * 32, 750, 1.5)
    assert len(name) <= MAX_NAME
    assert name != training_job_name("t" * 32, 750, 2.5)
    assert number_of("t" * 32, name) == 750
    assert number_of("other", "other-x-1") == 0


@pytest.mark.parametrize(
    ("parent", "message"),
    [
        (changed({"HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "score"}}), "objective"),
        (changed({"ParameterRanges": ranges(pace=("0", "1"))}), "other hyperparameters .*: pace, rate"),
        (changed(InputDataConfig=[]), "another InputDataConfig"),
        (
            changed(AlgorithmSpecification={"TrainingImage": "other", "TrainingInputMode": "File"}),
            "another TrainingImage",
        ),
    ],
)
def test_a_parent_of_another_task_is_refused(parent: dict[str, Any], message: str) -> None:
    warm = {"ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "p"}]}
    same = TuningPlan.of(
        {**tuning_request(), "WarmStartConfig": {**warm, "WarmStartType": "IdenticalDataAndAlgorithm"}}
    )
    tuning_rules.check_parent(same, tuning_request())
    with pytest.raises(ApiError, match=message):
        tuning_rules.check_parent(same, parent)
    other = TuningPlan.of({**tuning_request(), "WarmStartConfig": {**warm, "WarmStartType": "TransferLearning"}})
    if ("another" in message and "Data" in message) or "Image" in message:
        tuning_rules.check_parent(other, parent)


def test_a_hyperparameter_may_move_between_static_and_tuned() -> None:
    both = changed({"ParameterRanges": ranges(letters="ab", rate=("0", "10"))})
    one_static = changed(StaticHyperParameters={"sagemaker_program": "script.py", "letter": "a"})
    tuning_rules.check_parent(TuningPlan.of(both), one_static)
