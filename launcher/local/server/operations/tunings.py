"""Create, Describe, List, Stop and DeleteHyperParameterTuningJob, and ListTrainingJobsForHyperParameterTuningJob."""

from __future__ import annotations

from collections import Counter
from typing import Any

from launcher.api import asked, tuning_rules
from launcher.api.constants import TUNING
from launcher.api.errors import validation
from launcher.api.tuning import TuningPlan
from launcher.local.host.trees import remove_tree
from launcher.local.records import states
from launcher.local.records.jobrecord import TUNING_MEMBER, job_key
from launcher.local.records.records import JobRecord, JobRunning, UnknownJob
from launcher.local.records.trials import ObjectiveStatus, Trial, best_of, not_improving, trials_of
from launcher.local.server.operations import training
from launcher.local.server.operations.context import Context, Operation, Wire, page_token, read_page_token
from launcher.local.server.operations.kinds import JobKind
from launcher.local.server.operations.paging import ASCENDING, DEFAULT_PAGE, DESCENDING, page_of_jobs, without_none
from launcher.local.server.protocol import validation as model

TUNINGS = JobKind(
    kind=TUNING,
    noun="hyperparameter tuning job",
    path="hyper-parameter-tuning-job",
    member="HyperParameterTuningJob",
    listed="HyperParameterTuningJobSummaries",
)


def create(context: Context, request: Wire) -> Wire:
    """Record a tuning job and hand it to a shim, which has its training jobs run."""
    plan = tuning_rules.check_tuning_job(request)
    _check_definition(plan)
    for name in plan.parents:
        parent = TUNINGS.found(context, name)
        if not parent.ended:
            raise validation(f"WarmStartConfig: the parent '{name}' has not ended; it is {parent.status}.")
        tuning_rules.check_parent(plan, parent.request)
    return TUNINGS.create(context, request)


def describe(context: Context, request: Wire) -> Wire:
    """Everything about a tuning job: what was asked for, and what became of it."""
    record = TUNINGS.found(context, TUNINGS.name_in(request))
    plan = TuningPlan.of(record.request)
    trials = trials_of(context.records, record, plan)
    details = {"NumberOfTrainingJobsObjectiveNotImproving": not_improving(trials, plan)}
    answer = {
        **TUNINGS.asked(record),
        **_facts(record, trials),
        "TuningJobCompletionDetails": details,
        "ConsumedResources": {"RuntimeInSeconds": _runtime(context, record)},
    }
    if best := best_of(trials, plan):
        answer["BestTrainingJob"] = _summary(best, plan)
    if plan.parents and plan.same_task and (best := best_of([*trials, *_of_parents(context, plan)], plan)):
        answer["OverallBestTrainingJob"] = _summary(best, plan) | {"TuningJobName": _tuning_job(best)}
    return answer | without_none(FailureReason=record.failure_reason)


def list_jobs(context: Context, request: Wire) -> Wire:
    """One page of tuning jobs."""

    def summary(record: JobRecord) -> Wire:
        plan, config = TuningPlan.of(record.request), record.request["HyperParameterTuningJobConfig"]
        named = {"Strategy": config["Strategy"], "ResourceLimits": config["ResourceLimits"]}
        return named | _facts(record, trials_of(context.records, record, plan))

    return page_of_jobs(context, request, TUNING, TUNINGS.listed, summary)


def list_training_jobs(context: Context, request: Wire) -> Wire:
    """One page of the training jobs of a tuning job; those without a value of the objective come last."""
    record = TUNINGS.found(context, TUNINGS.name_in(request))
    plan = TuningPlan.of(record.request)
    trials = trials_of(context.records, record, plan)
    if wanted := request.get("StatusEquals"):
        trials = [trial for trial in trials if trial.record.status == wanted]
    sort_by, descending = request.get("SortBy", "Name"), request.get("SortOrder", ASCENDING) == DESCENDING
    trials = _sorted(trials, sort_by, descending)
    count, start = request.get("MaxResults", DEFAULT_PAGE), 0
    if token := request.get("NextToken"):
        last = read_page_token(token, str)[0]
        names = [trial.record.name for trial in trials]
        if last not in names:
            raise validation("Invalid NextToken: it does not come from this list.")
        start = names.index(last) + 1
    page = trials[start : start + count]
    answer: Wire = {"TrainingJobSummaries": [_summary(trial, plan) for trial in page]}
    if start + count < len(trials):
        answer["NextToken"] = page_token(page[-1].record.name)
    return answer


def delete(context: Context, request: Wire) -> Wire:
    """Forget a tuning job that has ended; its training jobs stay.

    Raises:
        ApiError: there is none, or it has not ended.
    """
    name = TUNINGS.name_in(request)
    try:
        context.records.delete(name, TUNING)
    except UnknownJob:
        raise TUNINGS.unknown(context, name) from None
    except JobRunning as error:
        raise validation(f"The tuning job {error.args[0].arn} is {error.args[0].status}: stop it first.") from None
    remove_tree(context.paths.job(job_key(TUNING, name)).folder)
    return {}


def _check_definition(plan: TuningPlan) -> None:
    """Refuse a training job definition whose training jobs would be refused."""
    sample = tuning_rules.sample_training_job(plan)
    model.check("sagemaker", "CreateTrainingJob", sample)
    asked.check("CreateTrainingJob", sample)
    training.check(sample)


def _facts(record: JobRecord, trials: list[Trial]) -> Wire:
    statuses = Counter(trial.record.status for trial in trials)
    objectives = Counter(trial.objective_status for trial in trials)
    return {
        **TUNINGS.facts(record),
        "LastModifiedTime": record.modified_at,
        "TrainingJobStatusCounters": {
            "Completed": statuses[states.COMPLETED],
            "InProgress": sum(not trial.ended for trial in trials),
            "RetryableError": 0,
            "NonRetryableError": statuses[states.FAILED],
            "Stopped": statuses[states.STOPPED],
        },
        "ObjectiveStatusCounters": {status.value: objectives[status] for status in ObjectiveStatus},
        **without_none(HyperParameterTuningEndTime=record.ended_at),
    }


def _summary(trial: Trial, plan: TuningPlan) -> Wire:
    record, objective = trial.record, plan.objective
    answer = {
        "TrainingJobName": record.name,
        "TrainingJobArn": record.arn,
        "CreationTime": record.created_at,
        "TrainingJobStatus": record.status,
        "TunedHyperParameters": trial.parameters,
        "ObjectiveStatus": trial.objective_status.value,
    }
    if trial.value is not None:
        answer["FinalHyperParameterTuningJobObjectiveMetric"] = {
            "Type": "Maximize" if objective.maximize else "Minimize",
            "MetricName": objective.metric,
            "Value": trial.value,
        }
    return answer | without_none(
        TrainingJobDefinitionName=plan.definition.get("DefinitionName"),
        TrainingStartTime=record.started_at,
        TrainingEndTime=record.ended_at,
        FailureReason=record.failure_reason,
    )


def _sorted(trials: list[Trial], sort_by: str, descending: bool) -> list[Trial]:
    keys: dict[str, Any] = {
        "Name": lambda trial: trial.number,
        "CreationTime": lambda trial: trial.record.created_at,
        "Status": lambda trial: trial.record.status,
        "FinalObjectiveMetricValue": lambda trial: trial.value,
    }
    without = [trial for trial in trials if sort_by == "FinalObjectiveMetricValue" and trial.value is None]
    return sorted((one for one in trials if one not in without), key=keys[sort_by], reverse=descending) + without


def _of_parents(context: Context, plan: TuningPlan) -> list[Trial]:
    parents = [context.records.find(name, TUNING) for name in plan.parents]
    return [trial for parent in parents if parent for trial in trials_of(context.records, parent, plan)]


def _tuning_job(trial: Trial) -> str:
    return str(trial.record.request[TUNING_MEMBER]).rpartition("/")[2]


def _runtime(context: Context, record: JobRecord) -> int:
    if record.started_at is None:
        return 0
    return max(0, round((record.ended_at or context.clock()) - record.started_at))


OPERATIONS: dict[str, Operation] = {
    "CreateHyperParameterTuningJob": create,
    "DescribeHyperParameterTuningJob": describe,
    "ListHyperParameterTuningJobs": list_jobs,
    "StopHyperParameterTuningJob": TUNINGS.stop,
    "DeleteHyperParameterTuningJob": delete,
    "ListTrainingJobsForHyperParameterTuningJob": list_training_jobs,
}
