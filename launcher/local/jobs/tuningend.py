"""When a tuning job is over, as a function of its training jobs.

==========================================================  ==========================================
so far                                                      then
==========================================================  ==========================================
5 training jobs have ended, and none succeeded              it fails, and what runs is stopped
5 have succeeded, and none has a value of the objective     it fails, and what runs is stopped
a value reaches TargetObjectiveMetricValue                  it is complete, and what runs is stopped
so many did not beat the best (BestObjectiveNotImproving)   it is complete, and what runs is stopped
MaxRuntimeInSeconds are over                                it is complete, and what runs is stopped
all MaxNumberOfTrainingJobs have ended                      it is complete; it fails without any value
==========================================================  ==========================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from launcher.api.tuning import TuningPlan
from launcher.api.tuning_rules import MOST_JOBS
from launcher.local.host.faults import ALGORITHM
from launcher.local.records import states
from launcher.local.records.trials import Trial, not_improving

# So many training jobs show whether any can succeed; AWS gives up after as many.
ATTEMPTS = 5


@dataclass(frozen=True)
class End:
    """Why a tuning job is over.

    Args:
        message: its last status message, or its failure reason.
        failed: which of the two.
    """

    message: str
    failed: bool = False


def most_jobs(plan: TuningPlan) -> int:
    """How many training jobs a tuning job may have in all."""
    return plan.most_jobs or MOST_JOBS


def end_of(plan: TuningPlan, trials: Sequence[Trial], runtime: float) -> End | None:
    """Why a tuning job is over; None while it goes on.

    Args:
        plan: the tuning job.
        trials: its training jobs so far.
        runtime: seconds since it began.
    """
    ended = [trial for trial in trials if trial.ended]
    values = [trial.value for trial in ended if trial.value is not None]
    all_ended = len(ended) >= most_jobs(plan)
    if not values and (len(ended) >= ATTEMPTS or all_ended) and (fault := _fault(plan, ended, all_ended)):
        return End(fault, failed=True)
    if (target := plan.target) is not None and any(not plan.objective.better(target, value) for value in values):
        return End(f"The objective reached TargetObjectiveMetricValue {target:g}.")
    if plan.patience is not None and not_improving(trials, plan) >= plan.patience:
        return End(f"{plan.patience} training jobs in a row did not improve the objective.")
    if plan.max_runtime is not None and runtime >= plan.max_runtime:
        return End(f"MaxRuntimeInSeconds {plan.max_runtime:g} were over.")
    return End(f"All {len(ended)} training jobs have ended.") if all_ended else None


def _fault(plan: TuningPlan, ended: Sequence[Trial], all_ended: bool) -> str | None:
    """Why no value of the objective is to be expected; None where there may be one."""
    succeeded = [trial for trial in ended if trial.record.status != states.FAILED]
    if not succeeded:
        last = ended[-1].record
        why = f" The last one, {last.name}: {last.failure_reason}" if last.failure_reason else ""
        return f"{ALGORITHM}: no training job succeeded after {len(ended)} attempts.{why}"
    if len(succeeded) >= ATTEMPTS or all_ended:
        return (
            f"{ALGORITHM}: no value of the objective metric '{plan.objective.metric}' was found in the logs of "
            f"{len(succeeded)} training jobs; let the script print what its regular expression finds."
        )
    return None
