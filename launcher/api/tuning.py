"""What a tuning job asks for, read from its request, and the requests for the training jobs that follow from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launcher.api.tuning_ranges import Range, combinations, ranges_in

BAYESIAN, RANDOM, GRID, HYPERBAND = "Bayesian", "Random", "Grid", "Hyperband"
# The header by which a tuning job's process names the tuning job that a training job belongs to.
TUNING_HEADER = "x-batchrl-tuning-job"
# The hyperparameter that tells a training job what it is judged by, as AWS adds it.
OBJECTIVE_PARAMETER = "_tuning_objective_metric"

_COPIED = (
    *("AlgorithmSpecification", "RoleArn", "InputDataConfig", "VpcConfig", "OutputDataConfig", "ResourceConfig"),
    *("StoppingCondition", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption"),
    *("EnableManagedSpotTraining", "RetryStrategy", "Environment"),
)

Wire = Mapping[str, Any]


@dataclass(frozen=True)
class Objective:
    """What training jobs are judged by: the last value of a metric of theirs."""

    metric: str
    maximize: bool

    def better(self, value: float, than: float) -> bool:
        """Whether one value beats another."""
        return value > than if self.maximize else value < than


@dataclass(frozen=True)
class TuningPlan:
    """A CreateHyperParameterTuningJob request that keeps the rules, in this module's terms.

    Args:
        name: the tuning job.
        strategy: Bayesian, Random or Grid.
        ranges: the hyperparameters that are chosen.
        objective: what decides.
        most_jobs: training jobs in all; None where only other limits end it.
        parallel: training jobs at the same time.
        max_runtime: seconds from its start; None without a limit.
        target: value of the objective that ends it; None without one.
        patience: training jobs in a row that do not beat the best, which end it; None without a limit.
        seed: of the search; None where the request has none.
        parents: tuning jobs whose finished training jobs are known to the search.
        same_task: whether values of the parents' objective can be compared with this one's.
        definition: the request's training job definition.
    """

    name: str
    strategy: str
    ranges: tuple[Range, ...]
    objective: Objective
    most_jobs: int | None
    parallel: int
    max_runtime: float | None
    target: float | None
    patience: int | None
    seed: int | None
    parents: tuple[str, ...]
    same_task: bool
    definition: Wire

    @classmethod
    def of(cls, request: Wire) -> TuningPlan:
        """The plan of a request.

        Raises:
            ApiError: its ranges cannot be searched.
        """
        config = request["HyperParameterTuningJobConfig"]
        limits, wanted = config["ResourceLimits"], config["HyperParameterTuningJobObjective"]
        criteria, warm = config.get("TuningJobCompletionCriteria") or {}, request.get("WarmStartConfig") or {}
        ranges = ranges_in(config.get("ParameterRanges") or {})
        most = combinations(ranges) if config["Strategy"] == GRID else limits.get("MaxNumberOfTrainingJobs")
        return cls(
            name=request["HyperParameterTuningJobName"],
            strategy=config["Strategy"],
            ranges=ranges,
            objective=Objective(wanted["MetricName"], wanted["Type"] == "Maximize"),
            most_jobs=most,
            parallel=limits["MaxParallelTrainingJobs"],
            max_runtime=limits.get("MaxRuntimeInSeconds"),
            target=criteria.get("TargetObjectiveMetricValue"),
            patience=(criteria.get("BestObjectiveNotImproving") or {}).get("MaxNumberOfTrainingJobsNotImproving"),
            seed=config.get("RandomSeed"),
            parents=tuple(
                parent["HyperParameterTuningJobName"] for parent in warm.get("ParentHyperParameterTuningJobs") or ()
            ),
            same_task=warm.get("WarmStartType") != "TransferLearning",
            definition=request["TrainingJobDefinition"],
        )

    @property
    def static(self) -> Mapping[str, str]:
        """Hyperparameters that all training jobs have."""
        return self.definition.get("StaticHyperParameters") or {}

    def training_request(self, job_name: str, parameters: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, Any]:
        """The CreateTrainingJob request of one training job.

        Each has its checkpoints in a folder of its own name, below the place that the definition names: a job restores
        what it finds in its place, and would go on with what another one trained.

        Args:
            job_name: its name.
            parameters: the hyperparameters that were chosen for it.
            tags: of the tuning job, which its training jobs have as well.
        """
        request: dict[str, Any] = {
            "TrainingJobName": job_name,
            "HyperParameters": {**self.static, **parameters, OBJECTIVE_PARAMETER: self.objective.metric},
            **{name: self.definition[name] for name in _COPIED if name in self.definition},
        }
        if resources := self.definition.get("HyperParameterTuningResourceConfig"):
            request["ResourceConfig"] = dict(resources)
        if checkpoints := self.definition.get("CheckpointConfig"):
            place = f"{checkpoints['S3Uri'].rstrip('/')}/{job_name}"
            request["CheckpointConfig"] = {**checkpoints, "S3Uri": place}
        if tags:
            request["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
        return request


def training_job_name(tuning_job: str, number: int, created_at: float) -> str:
    """The name of a training job of a tuning job: ``<tuning job>-<number>-<hash>``, the same each time it is asked for.

    Args:
        tuning_job: the tuning job's name.
        number: counts its training jobs from 1.
        created_at: when the tuning job was created, which tells it from an earlier one of the same name.
    """
    digest = hashlib.sha256(f"{tuning_job}:{created_at!r}:{number}".encode()).hexdigest()
    return f"{tuning_job}-{number:03d}-{digest[:8]}"


def number_of(tuning_job: str, job_name: str) -> int:
    """The number in the name of a training job of a tuning job; 0 where there is none."""
    number = job_name.removeprefix(f"{tuning_job}-").partition("-")[0]
    return int(number) if number.isascii() and number.isdigit() else 0
