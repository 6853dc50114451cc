"""Tuning jobs from their creation to their end, in a cloud of real processes, by an unmodified boto3 client."""

from __future__ import annotations

import copy
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_servers import eventually, of_cloud
from tunings import put_script, ranges, tuning_request

from launcher.api.constants import TUNING
from launcher.local import cloud
from launcher.local.host.address import CloudAddress
from launcher.local.host.home import HomePaths
from launcher.local.records.records import JobRecord, Records

ENDED = ("Completed", "Failed", "Stopped")
DEADLINE = 120.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of a cloud of this module's own."""
    folder = tmp_path_factory.mktemp("home")
    patch = pytest.MonkeyPatch()
    patch.setenv("BATCHRL_STOP_GRACE_SECONDS", "3")
    address = cloud.ensure_up(folder)
    put_script(of_cloud("s3", address, endpoint_url=address.store.endpoint_url))
    yield folder
    cloud.down(folder, stop_jobs=True)
    patch.undo()


@pytest.fixture
def address(home: Path) -> CloudAddress:
    return cloud.ensure_up(home)


@pytest.fixture
def client(address: CloudAddress) -> Any:
    return of_cloud("sagemaker", address)


def request(name: str, static: dict[str, str] | None = None, **config: Any) -> dict[str, Any]:
    made = copy.deepcopy(tuning_request(name, **config))
    made["TrainingJobDefinition"]["StaticHyperParameters"] |= static or {}
    return made


def describe(client: Any, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    return answer


def ended(client: Any, name: str) -> dict[str, Any]:
    eventually(lambda: describe(client, name)["HyperParameterTuningJobStatus"] in ENDED, DEADLINE)
    return describe(client, name)


def jobs(client: Any, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, MaxResults=100
    )["TrainingJobSummaries"]
    return found


def chosen(client: Any, name: str) -> list[str]:
    return [job["TunedHyperParameters"]["rate"] for job in jobs(client, name)]


def record(home: Path, name: str) -> JobRecord:
    records = Records(HomePaths.of(home).records)
    try:
        return records.get(name, TUNING)
    finally:
        records.close()


def most_at_once(found: list[dict[str, Any]]) -> int:
    """How many of training jobs existed at the same time, at most."""
    starts = [job["CreationTime"] for job in found]
    return max(sum(job["CreationTime"] <= at < job["TrainingEndTime"] for job in found) for at in starts)


def test_training_jobs_run_and_the_best_of_them_is_known(client: Any) -> None:
    asked = request("random", {"seconds": "0.3"}, ParameterRanges=ranges(letters="ab", rate=("0", "10")))
    asked["Tags"] = [{"Key": "team", "Value": "x"}]
    client.create_hyper_parameter_tuning_job(**asked)
    answer = ended(client, "random")
    assert answer["HyperParameterTuningJobStatus"] == "Completed", answer
    assert answer["TrainingJobStatusCounters"]["Completed"] == 4
    assert answer["ObjectiveStatusCounters"] == {"Succeeded": 4, "Pending": 0, "Failed": 0}
    found = jobs(client, "random")
    assert [int(job["TrainingJobName"].split("-")[1]) for job in found] == [1, 2, 3, 4]
    assert most_at_once(found) == 2
    for job in found:
        chosen_here = job["TunedHyperParameters"]
        score = ord(chosen_here["letter"]) - 97 - (float(chosen_here["rate"]) - 3) ** 2
        assert job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == pytest.approx(score)
    best = max(found, key=lambda job: job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])
    assert answer["BestTrainingJob"]["TrainingJobName"] == best["TrainingJobName"]
    described = client.describe_training_job(TrainingJobName=best["TrainingJobName"])
    assert described["TuningJobArn"] == answer["HyperParameterTuningJobArn"]
    assert described["HyperParameters"]["_tuning_objective_metric"] == "score"
    assert client.list_tags(ResourceArn=best["TrainingJobArn"])["Tags"] == asked["Tags"]
    assert client.list_tags(ResourceArn=answer["HyperParameterTuningJobArn"])["Tags"] == asked["Tags"]


def test_grid_runs_each_combination(client: Any) -> None:
    limits = {"MaxParallelTrainingJobs": 3}
    grid = request("grid", {"rate": "3"}, Strategy="Grid", ResourceLimits=limits, ParameterRanges=ranges(letters="abc"))
    client.create_hyper_parameter_tuning_job(**grid)
    answer = ended(client, "grid")
    assert [job["TunedHyperParameters"] for job in jobs(client, "grid")] == [{"letter": one} for one in "abc"]
    assert answer["BestTrainingJob"]["TunedHyperParameters"] == {"letter": "c"}


def test_a_target_ends_it_and_stops_what_runs(client: Any) -> None:
    """Letters b and c reach the target at once; a would take a minute."""
    script_seconds = {"CategoricalParameterRanges": [{"Name": "seconds", "Values": ["60", "0"]}]}
    grid = request(
        "target",
        Strategy="Grid",
        ResourceLimits={"MaxParallelTrainingJobs": 2},
        ParameterRanges=script_seconds,
        TuningJobCompletionCriteria={"TargetObjectiveMetricValue": -1.0},
    )
    client.create_hyper_parameter_tuning_job(**grid)
    began = time.monotonic()
    answer = ended(client, "target")
    assert time.monotonic() - began < 50
    assert answer["HyperParameterTuningJobStatus"] == "Completed"
    assert [job["TrainingJobStatus"] for job in jobs(client, "target")] == ["Stopped", "Completed"]


def test_a_stop_stops_its_training_jobs(client: Any) -> None:
    client.create_hyper_parameter_tuning_job(**request("stopped", {"seconds": "60"}))
    eventually(lambda: [job["TrainingJobStatus"] for job in jobs(client, "stopped")] == ["InProgress"] * 2, DEADLINE)
    client.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped")
    answer = ended(client, "stopped")
    assert answer["HyperParameterTuningJobStatus"] == "Stopped"
    assert [job["TrainingJobStatus"] for job in jobs(client, "stopped")] == ["Stopped"] * 2


def test_it_fails_in_words_when_no_training_job_succeeds(client: Any) -> None:
    limits = {"MaxNumberOfTrainingJobs": 20, "MaxParallelTrainingJobs": 3}
    client.create_hyper_parameter_tuning_job(**request("failing", {"fail": "a"}, ResourceLimits=limits))
    answer = ended(client, "failing")
    assert answer["HyperParameterTuningJobStatus"] == "Failed"
    # Three run at a time: the fifth may not be the last one that has ended when it is looked.
    assert re.search(r"no training job succeeded after [5-7] attempts", answer["FailureReason"])
    assert "no luck" in answer["FailureReason"]
    assert 5 <= answer["TrainingJobStatusCounters"]["NonRetryableError"] <= 7
    assert answer["TrainingJobStatusCounters"]["InProgress"] == 0


def test_it_fails_in_words_without_any_value_of_the_objective(client: Any) -> None:
    client.create_hyper_parameter_tuning_job(**request("silent", {"silent": "a"}))
    answer = ended(client, "silent")
    assert answer["HyperParameterTuningJobStatus"] == "Failed"
    assert "no value of the objective metric 'score'" in answer["FailureReason"]
    assert answer["ObjectiveStatusCounters"]["Failed"] == 4


def test_killing_the_shim_and_the_api_server_loses_nothing(home: Path, client: Any) -> None:
    """The choices are those of a tuning job that nobody disturbed, and no training job is lost or made twice."""
    limits = {"MaxNumberOfTrainingJobs": 6, "MaxParallelTrainingJobs": 1}
    calm = request("calm", {"seconds": "0.2"}, Strategy="Bayesian", ResourceLimits=limits)
    client.create_hyper_parameter_tuning_job(**calm)
    ended(client, "calm")
    wild = request("wild", {"seconds": "1"}, Strategy="Bayesian", ResourceLimits=limits)
    client.create_hyper_parameter_tuning_job(**wild)
    for count in (1, 3):
        eventually(lambda count=count: len(jobs(client, "wild")) > count, DEADLINE)
        before = record(home, "wild")
        os.kill(before.shim_pid or 0, signal.SIGKILL)
        eventually(lambda before=before: record(home, "wild").shim_pid not in (None, before.shim_pid), DEADLINE)
    status = cloud.status(home)
    assert status is not None
    os.kill(status.server_pid, signal.SIGKILL)
    pause = time.monotonic() + 2.5  # longer than a training job takes: the next one waits for the API server
    eventually(lambda: time.monotonic() > pause)
    again = of_cloud("sagemaker", cloud.ensure_up(home))
    answer = ended(again, "wild")
    assert answer["HyperParameterTuningJobStatus"] == "Completed", answer
    assert answer["TrainingJobStatusCounters"]["Completed"] == 6
    assert chosen(again, "wild") == chosen(again, "calm")


def test_a_warm_start_knows_what_its_parent_found(client: Any) -> None:
    limits = {"MaxNumberOfTrainingJobs": 8, "MaxParallelTrainingJobs": 3}
    client.create_hyper_parameter_tuning_job(**request("parent", Strategy="Bayesian", ResourceLimits=limits))
    ended(client, "parent")
    one = {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1}
    cold = request("cold", Strategy="Bayesian", ResourceLimits=one)
    warm = request("warm", Strategy="Bayesian", ResourceLimits=one)
    warm["WarmStartConfig"] = {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "parent"}],
        "WarmStartType": "IdenticalDataAndAlgorithm",
    }
    for asked in (cold, warm):
        client.create_hyper_parameter_tuning_job(**asked)
    answer = ended(client, "warm")
    ended(client, "cold")
    assert chosen(client, "warm") != chosen(client, "cold")
    both = [*jobs(client, "parent"), *jobs(client, "warm")]
    best = max(both, key=lambda job: job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])
    assert answer["OverallBestTrainingJob"]["TrainingJobName"] == best["TrainingJobName"]
