"""Which hyperparameters a tuning job tries next, as a function of what is known: nothing is kept between two questions.

A process that takes a tuning job over therefore goes on as the one before it would have. Each choice has a random
generator of its own, seeded by the tuning job's seed and the number of the training job.

========  ==============================================================================================
Grid      all combinations in the order of the request, the last hyperparameter changing fastest
Random    independent values, each by the scale of its range
Bayesian  Optuna's tree-structured Parzen estimator (Bergstra et al., 2011) over all that has ended; what
          runs is taken for bad meanwhile (constant liar), so that jobs at the same time differ
========  ==============================================================================================
"""

from __future__ import annotations

import hashlib
import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from launcher.api.tuning import BAYESIAN, GRID, TuningPlan
from launcher.api.tuning_ranges import LOGARITHMIC, REVERSE_LOGARITHMIC, CategoricalRange, Range

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

# Before so many training jobs have ended (a quarter of all, within these bounds), Bayesian chooses as Random does.
LEAST_STARTUP, MOST_STARTUP = 3, 10


@dataclass(frozen=True)
class Known:
    """What is known of one training job.

    Args:
        parameters: the hyperparameters that were chosen for it.
        value: the final value of its objective; None where there is none.
        ended: whether it has come to an end.
    """

    parameters: Mapping[str, str]
    value: float | None
    ended: bool = True


def next_parameters(
    plan: TuningPlan, seed: int, number: int, own: Sequence[Known], parents: Sequence[Sequence[Known]] = ()
) -> dict[str, str]:
    """The hyperparameters of a tuning job's next training job.

    Args:
        plan: the tuning job.
        seed: of its search.
        number: of the training job, counted from 1.
        own: its training jobs so far.
        parents: those of each parent of a warm start. Where their values cannot be compared with this one's
            (TransferLearning), all values are replaced by their ranks within their own tuning job.
    """
    if plan.strategy == GRID:
        return _of_grid(plan.ranges, number)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sources = [own, *parents] if plan.same_task else [_ranked(one) for one in (own, *parents)]
    direction = optuna.study.StudyDirection
    study = optuna.create_study(
        direction=direction.MAXIMIZE if plan.objective.maximize else direction.MINIMIZE,
        sampler=_sampler(plan, _seed(seed, number)),
    )
    distributions = {one.name: _distribution(one) for one in plan.ranges}
    if plan.strategy == BAYESIAN:
        for known in itertools.chain.from_iterable(sources):
            if (trial := _trial(plan.ranges, distributions, known)) is not None:
                study.add_trial(trial)
    chosen = study.ask(distributions).params
    return {one.name: _text(one, chosen[one.name]) for one in plan.ranges}


def _of_grid(ranges: Sequence[Range], number: int) -> dict[str, str]:
    values = [one.values for one in ranges if isinstance(one, CategoricalRange)]
    combination = next(itertools.islice(itertools.product(*values), number - 1, None))
    return {one.name: value for one, value in zip(ranges, combination, strict=True)}


def _sampler(plan: TuningPlan, seed: int) -> BaseSampler:
    from optuna.samplers import RandomSampler, TPESampler

    if plan.strategy != BAYESIAN:
        return RandomSampler(seed=seed)
    startup = min(MOST_STARTUP, max(LEAST_STARTUP, (plan.most_jobs or 4 * MOST_STARTUP) // 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant_liar and multivariate are called experimental
        return TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True, multivariate=True)


def _seed(seed: int, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:4], "big")


def _ranked(known: Sequence[Known]) -> list[Known]:
    """The same with each value replaced by the share of values that are below it."""
    values = sorted(one.value for one in known if one.value is not None)
    return [
        one if one.value is None else replace(one, value=sum(value < one.value for value in values) / len(values))
        for one in known
    ]


def _distribution(one: Range) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(one, CategoricalRange):
        return CategoricalDistribution(one.values)
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.scaling == LOGARITHMIC)
    if one.scaling == REVERSE_LOGARITHMIC:
        return FloatDistribution(1 - one.high, 1 - one.low, log=True)
    return FloatDistribution(one.low, one.high, log=one.scaling == LOGARITHMIC)


def _trial(ranges: Sequence[Range], distributions: Mapping[str, BaseDistribution], known: Known) -> FrozenTrial | None:
    """A training job as Optuna knows it; None for a parent's with a value that is not in the range now."""
    from optuna.trial import TrialState, create_trial

    values: dict[str, Any] = {}
    for one in ranges:
        value = _value(one, known.parameters.get(one.name, ""))
        if value is None:
            return None
        values[one.name] = value
    state = TrialState.COMPLETE if known.value is not None else TrialState.FAIL if known.ended else TrialState.RUNNING
    return create_trial(state=state, value=known.value, params=values, distributions=dict(distributions))


def _value(one: Range, text: str) -> Any:
    """The value of a hyperparameter on the scale that is searched; None where the range does not hold it."""
    if isinstance(one, CategoricalRange):
        return text if text in one.values else None
    value = one.value_of(text)
    if value is None or one.scaling != REVERSE_LOGARITHMIC:
        return value
    return min(max(1 - value, 1 - one.high), 1 - one.low)


def _text(one: Range, value: Any) -> str:
    if isinstance(one, CategoricalRange):
        return str(value)
    return one.text_of(1 - value if one.scaling == REVERSE_LOGARITHMIC else value)
