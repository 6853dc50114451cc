"""What CreateHyperParameterTuningJob demands beyond its model: functions of the request alone.

Some rules are AWS's, some say what this local cloud does not run; the message tells which. The training job definition
is checked as the CreateTrainingJob request that follows from it, by whoever checks those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.api.errors import validation
from launcher.api.training_rules import check_tags, not_here
from launcher.api.tuning import GRID, HYPERBAND, OBJECTIVE_PARAMETER, TuningPlan, training_job_name
from launcher.api.tuning_ranges import CategoricalRange

MOST_JOBS = 750
MOST_PARALLEL_JOBS = 100

Wire = Mapping[str, Any]


def check_tuning_job(request: Wire) -> TuningPlan:
    """Check a request that already agrees with the model.

    Returns:
        What it asks for.

    Raises:
        ApiError: the first rule that it breaks.
    """
    config, definition = request["HyperParameterTuningJobConfig"], request.get("TrainingJobDefinition")
    if not definition:
        raise validation("TrainingJobDefinition is required: it says what the training jobs run.")
    if not config.get("HyperParameterTuningJobObjective"):
        raise validation("HyperParameterTuningJobConfig.HyperParameterTuningJobObjective is required.")
    _strategy(config)
    plan = TuningPlan.of(request)
    if not plan.ranges:
        raise validation("ParameterRanges is required: without a hyperparameter to choose there is nothing to tune.")
    _limits(plan, config["ResourceLimits"])
    _criteria(config.get("TuningJobCompletionCriteria") or {})
    _hyperparameters(plan)
    _definition(plan)
    check_tags(request.get("Tags", ()))
    return plan


def sample_training_job(plan: TuningPlan) -> dict[str, Any]:
    """The request of the longest name that a training job of a tuning job may have, to be checked before any runs."""
    chosen = {
        one.name: max(one.values, key=len) if isinstance(one, CategoricalRange) else one.text_of(one.high)
        for one in plan.ranges
    }
    return plan.training_request(training_job_name(plan.name, MOST_JOBS, 0.0), chosen, {})


def check_parent(plan: TuningPlan, parent: Wire) -> None:
    """Check that the results of a parent say something about a tuning job that starts from them.

    Args:
        plan: the tuning job.
        parent: the CreateHyperParameterTuningJob request of the parent.

    Raises:
        ApiError: the objective, the hyperparameters or, unless it is TransferLearning, data or image are others.
    """
    theirs = TuningPlan.of(parent)
    where = f"WarmStartConfig: the parent '{theirs.name}'"
    if theirs.objective != plan.objective:
        raise validation(f"{where} has another objective; a warm start needs the same metric and type.")
    names, known = _all_names(plan), _all_names(theirs)
    if names != known:
        apart = ", ".join(sorted(names ^ known))
        raise validation(f"{where} has other hyperparameters (static and tuned together): {apart}.")
    if not plan.same_task:
        return
    if theirs.definition.get("InputDataConfig") != plan.definition.get("InputDataConfig"):
        raise validation(f"{where} has another InputDataConfig; use WarmStartType TransferLearning.")
    image = "TrainingImage"
    if theirs.definition["AlgorithmSpecification"].get(image) != plan.definition["AlgorithmSpecification"].get(image):
        raise validation(f"{where} has another {image}; use WarmStartType TransferLearning.")


def _all_names(plan: TuningPlan) -> set[str]:
    return {one.name for one in plan.ranges} | set(plan.static)


def _strategy(config: Wire) -> None:
    if config["Strategy"] == HYPERBAND:
        raise not_here("Strategy Hyperband", "use Bayesian, Random or Grid")
    if config.get("StrategyConfig"):
        raise validation("StrategyConfig is for Strategy Hyperband.")
    if config.get("TrainingJobEarlyStoppingType") == "Auto":
        raise not_here("TrainingJobEarlyStoppingType Auto", "use Off; TuningJobCompletionCriteria can end the whole")


def _limits(plan: TuningPlan, limits: Wire) -> None:
    most, given = plan.most_jobs, limits.get("MaxNumberOfTrainingJobs")
    if plan.strategy == GRID:
        if not all(isinstance(one, CategoricalRange) for one in plan.ranges):
            raise validation("Strategy Grid takes CategoricalParameterRanges alone.")
        if given is not None and given != most:
            raise validation(f"Strategy Grid runs all {most} combinations: leave out MaxNumberOfTrainingJobs {given}.")
    elif most is None and plan.max_runtime is None and plan.target is None and plan.patience is None:
        raise validation("ResourceLimits: give MaxNumberOfTrainingJobs, or another criterion that ends the tuning job.")
    if most is not None and most > MOST_JOBS:
        raise validation(f"MaxNumberOfTrainingJobs {most} is above {MOST_JOBS}.")
    if plan.parallel > MOST_PARALLEL_JOBS:
        raise validation(f"MaxParallelTrainingJobs {plan.parallel} is above {MOST_PARALLEL_JOBS}.")
    if most is not None and plan.parallel > most:
        raise validation(f"MaxParallelTrainingJobs {plan.parallel} is above the {most} training jobs in all.")


def _criteria(criteria: Wire) -> None:
    if (criteria.get("ConvergenceDetected") or {}).get("CompleteOnConvergence") == "Enabled":
        raise not_here("ConvergenceDetected", "use BestObjectiveNotImproving")


def _hyperparameters(plan: TuningPlan) -> None:
    tuned = [one.name for one in plan.ranges]
    if both := next((name for name in tuned if name in plan.static), None):
        raise validation(f"The hyperparameter '{both}' is both tuned and among the StaticHyperParameters.")
    if OBJECTIVE_PARAMETER in (*tuned, *plan.static):
        raise validation(f"The hyperparameter '{OBJECTIVE_PARAMETER}' is set by the tuning job itself.")


def _definition(plan: TuningPlan) -> None:
    definition = plan.definition
    resources, instead = definition.get("ResourceConfig"), definition.get("HyperParameterTuningResourceConfig")
    if bool(resources) == bool(instead):
        raise validation("TrainingJobDefinition: give either ResourceConfig or HyperParameterTuningResourceConfig.")
    if (resources or instead or {}).get("InstanceType") == "local_debug":
        raise validation(
            "InstanceType 'local_debug' runs on its caller's terminal; a tuning job takes 'local_process'."
        )
    defined = {one["Name"] for one in definition["AlgorithmSpecification"].get("MetricDefinitions") or ()}
    if plan.objective.metric not in defined:
        raise validation(
            f"The objective metric '{plan.objective.metric}' is not among the MetricDefinitions of the "
            f"TrainingJobDefinition: {', '.join(sorted(defined)) or 'there are none'}."
        )
