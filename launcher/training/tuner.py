"""``HyperparameterTuner``: runs an estimator's job with hyperparameters that a tuning job chooses."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchrl.contract import hyperparameters as wire
from batchrl.contract.errors import InputError
from batchrl.contract.rewardrange import reward_range as check_range
from launcher.api import servicemodel
from launcher.api.building import refuse
from launcher.api.constants import SCORE
from launcher.api.names import MAX_TUNING_NAME, check_job_name, valid_name
from launcher.api.options import keywords
from launcher.base.notices import say
from launcher.base.product import product_scripts
from launcher.jobs import interrupt
from launcher.jobs.tuning import TuningJob
from launcher.local import preflight
from launcher.reports import candidates
from launcher.reports.deciding import ALPHA
from launcher.session.creation import Creation
from launcher.session.session import LocalSession
from launcher.staging.uploads import send
from launcher.training.estimator import RLEstimator
from launcher.training.plan import Plan
from launcher.training.ranges import Parameter, to_wire
from launcher.training.searchspace import SearchSpace

TUNING_JOB = Creation(
    "a tuning job",
    "hyper_parameter_tuning_job",
    "HyperParameterTuningJobName",
    ("HyperParameterTuningJobConfig", "TrainingJobDefinition"),
)
GRID, BAYESIAN = "Grid", "Bayesian"
MOST_ALPHA = 0.5


@dataclass(frozen=True)
class TuningPlan:
    """A tuning job that can be looked at and then submitted.

    Args:
        request: the CreateHyperParameterTuningJob request.
        sample: one of its training jobs, with the files that all of them need.
    """

    request: dict[str, Any]
    sample: Plan

    @property
    def job_name(self) -> str:
        """Name of the tuning job."""
        return str(self.request["HyperParameterTuningJobName"])

    def to_dict(self) -> dict[str, Any]:
        """The plan in JSON's types: the request as it will be sent, and what goes up before it."""
        return self.sample.to_dict() | {"request": self.request}


@dataclass
class HyperparameterTuner:
    """Many runs of an estimator's job, each with other hyperparameters.

    Args:
        estimator: the job.
        hyperparameter_ranges: what may be chosen for which hyperparameter; ``preset`` may be one of them, with names
            and paths of presets, where the estimator names none.
        objective_metric_name: the metric whose last value decides; ``score`` is the one by which a training job of the
            product's chose its epoch. Metrics are the estimator's ``metric_definitions`` and wis, sdr, loss, score.
        objective_type: ``Maximize`` or ``Minimize``.
        max_jobs: training jobs in all; None for all combinations, where there are values alone, 100 at most.
        max_parallel_jobs: training jobs at the same time.
        strategy: ``Random``, ``Grid`` or ``Bayesian``; None for Grid where all combinations run, else Bayesian.
        max_runtime: seconds after which what runs is stopped; None without a limit.
        target: value of the objective that is good enough; None without one.
        random_seed: of the choices; None for one that is made.
        base_tuning_job_name: what the name begins with; None for the script's name.
    """

    estimator: RLEstimator
    hyperparameter_ranges: Mapping[str, Parameter]
    objective_metric_name: str = SCORE
    objective_type: str = "Maximize"
    max_jobs: int | None = None
    max_parallel_jobs: int = 1
    strategy: str | None = None
    max_runtime: int | None = None
    target: float | None = None
    random_seed: int | None = None
    base_tuning_job_name: str | None = None
    latest_tuning_job: TuningJob | None = None

    def plan(self, inputs: object = None, job_name: str | None = None) -> TuningPlan:
        """The tuning job as it would be submitted: everything is checked, nothing is sent or started.

        Args:
            inputs: channels; see ``RLEstimator.fit``.
            job_name: None for one that is made; at most 32 characters.

        Raises:
            InputError: whatever is wrong.
        """
        if not self.hyperparameter_ranges:
            raise InputError("there is nothing to tune.", "Give several values or a range for a hyperparameter.")
        options = self.estimator.options
        base = self.base_tuning_job_name or options.base_job_name or Path(options.entry_point).stem
        name = job_name or _name_from(base)
        check_job_name(name, "a tuning job", MAX_TUNING_NAME)
        space, config = SearchSpace(self.hyperparameter_ranges), self._config()
        sample = self._sample(space).plan(inputs, f"{name}-000", preset_files=space.preset_files)
        listing = sample.package.listing
        space.check(options, listing.program if listing.runs_product_script(product_scripts()) else None)
        request = {
            "HyperParameterTuningJobName": name,
            "HyperParameterTuningJobConfig": config,
            "TrainingJobDefinition": self._definition(sample.request),
        }
        if tags := sample.request.get("Tags"):
            request["Tags"] = tags
        faults = servicemodel.problems("sagemaker", "CreateHyperParameterTuningJob", request)
        refuse(f"the tuning job '{name}'", faults)
        return TuningPlan(request, sample)

    def fit(self, inputs: object = None, wait: bool = True, job_name: str | None = None) -> TuningJob:
        """Run the tuning job.

        Args:
            inputs: channels; see ``RLEstimator.fit``.
            wait: whether to wait for its end.
            job_name: None for one that is made; at most 32 characters.

        Raises:
            InputError: something is wrong; nothing was started.
            Unreachable: cloud or store do not answer.
            JobFailed: it failed: no training job succeeded, or none had a value of the objective.
            JobStopped: it was stopped.
        """
        job = self.submit(self.plan(inputs, job_name))
        if wait:
            say(f"Tuning job {job.name}")
            with interrupt.handled(job.name, job.stop, lambda: job.wait(check=False)):
                job.wait()
        return job

    def submit(self, plan: TuningPlan, on_bytes: Callable[[int], None] = lambda count: None) -> TuningJob:
        """Send a plan as it is; errors as in ``fit``."""
        session = self.estimator.session
        if session.is_local:
            preflight.check(plan.sample.request, session.home)
        if isinstance(session, LocalSession):
            preflight.check_space(plan.sample.size, session.home)
        for warning in plan.sample.package.warnings:
            say(f"Warning: {warning}")
        TUNING_JOB.check_free(session, plan.request)
        send(session, plan.sample.all_uploads, on_bytes)
        TUNING_JOB.create(session, plan.request)
        self.latest_tuning_job = TuningJob(plan.job_name, session)
        return self.latest_tuning_job

    def attached(self, plan: TuningPlan) -> TuningJob | None:
        """The tuning job of a plan's name that asks for what the plan does; None where there is none of that name, or
        it asks for something else.

        Raises:
            Unreachable: the cloud does not answer.
        """
        session = self.estimator.session
        with session.reported(f"looking for the tuning job {plan.job_name}", session.sagemaker):
            if not TUNING_JOB.is_same(session, plan.request):
                return None
        self.latest_tuning_job = TuningJob(plan.job_name, session)
        return self.latest_tuning_job

    def choose(self, alpha: float = ALPHA, reward_range: str | None = None) -> dict[str, Any]:
        """Rank the policies of all completed trainings on the same episodes, and promote one, or none.

        Args:
            alpha: probability at which a pick may be promoted that is no better than the logging policy.
            reward_range: ``LOW:HIGH``, what a step can pay; None where that is not known beforehand.

        Returns:
            What ``tune.json`` holds, which is stored beside the results of the trainings: ``promoted`` is the name of a
            training job or None, ``reason`` and ``would_decide`` say why and what data would decide.

        Raises:
            InputError: nothing was run, or the candidates cannot be ranked.
            DamagedContent: a policy cannot be read whole.
            Unreachable: the cloud does not answer.
        """
        if (job := self.latest_tuning_job) is None:
            raise InputError("this tuner has run no tuning job yet.", "Call fit() first.")
        if not 0 < alpha < MOST_ALPHA:
            raise InputError(f"alpha is {alpha}.", f"Give a number between 0 and {MOST_ALPHA}.")
        check_range(reward_range)
        found = job.training_jobs()
        if (lack := candidates.lack_of_choice(job.describe(), found)) is not None:
            raise InputError(f"the candidates of {job.name} are not ranked: {lack}.")
        result = candidates.choose(job, found, candidates.ChoiceTerms(alpha, reward_range))
        candidates.store_result(job, result)
        return result

    def best_estimator(self) -> RLEstimator:
        """An estimator whose latest job is the best one so far.

        Raises:
            InputError: nothing was run, or no training job has a value of the objective.
        """
        if self.latest_tuning_job is None:
            raise InputError("this tuner has run no tuning job yet.", "Call fit() first.")
        if (best := self.latest_tuning_job.best()) is None:
            raise InputError(f"no training job of {self.latest_tuning_job.name} has a value of the objective.")
        return RLEstimator.attach(best.name, self.estimator.session)

    def _sample(self, space: SearchSpace) -> RLEstimator:
        """The estimator of one training job."""
        options = self.estimator.options
        values = {**space.shared(options), **(options.hyperparameters or {}), **space.first}
        return RLEstimator(**keywords(replace(options, hyperparameters=values)))

    def _config(self) -> dict[str, Any]:
        space = SearchSpace(self.hyperparameter_ranges)
        whole = space.count(self.max_jobs) if self.strategy in (None, GRID) else None
        strategy = self.strategy or (GRID if whole is not None else BAYESIAN)
        jobs = self.max_jobs if strategy != GRID or self.max_jobs is not None else space.combinations
        if jobs is None and self.max_runtime is None and self.target is None:
            raise InputError(
                "a range has no end of values: say how many training jobs are to run.", "Give --jobs N (max_jobs)."
            )
        limits = {
            "MaxNumberOfTrainingJobs": jobs,
            "MaxParallelTrainingJobs": min(self.max_parallel_jobs, jobs or self.max_parallel_jobs),
            "MaxRuntimeInSeconds": self.max_runtime,
        }
        config: dict[str, Any] = {
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {
                "Type": self.objective_type,
                "MetricName": self.objective_metric_name,
            },
            "ResourceLimits": {name: value for name, value in limits.items() if value is not None},
            "ParameterRanges": to_wire(space.sent),
        }
        if self.random_seed is not None:
            config["RandomSeed"] = self.random_seed
        if self.target is not None:
            config["TuningJobCompletionCriteria"] = {"TargetObjectiveMetricValue": self.target}
        return config

    def _definition(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What the training jobs have in common, from the request of one of them."""
        of_one_job = {"TrainingJobName", "HyperParameters", "Tags"}
        # AWS's documentation does not say whether training jobs of a tuning job share a place of checkpoints, where
        # they would go on from each other's; the local cloud keeps them apart.
        if not self.estimator.session.is_local:
            of_one_job.add("CheckpointConfig")
        static = {
            key: value
            for key, value in request["HyperParameters"].items()
            if key not in self.hyperparameter_ranges and key != wire.JOB_NAME
        }
        return {"StaticHyperParameters": static} | {
            name: value for name, value in request.items() if name not in of_one_job
        }


def _name_from(base: str) -> str:
    tail = f"-{datetime.datetime.now(datetime.UTC):%y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return (valid_name(base, MAX_TUNING_NAME - len(tail)) or "tune") + tail
