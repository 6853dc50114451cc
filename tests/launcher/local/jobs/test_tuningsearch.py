"""The next hyperparameters, from what is known."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

from tunings import ranges, tuning_request

from launcher.api.tuning import TuningPlan
from launcher.local.jobs.tuningsearch import Known, next_parameters

SEED = 11


def plan(strategy: str = "Random", **config: Any) -> TuningPlan:
    return TuningPlan.of(tuning_request(Strategy=strategy, **config))


def many(one: TuningPlan, count: int = 400) -> list[float]:
    return [float(next_parameters(one, SEED, number, [])["rate"]) for number in range(1, count + 1)]


def search(one: TuningPlan, objective: Callable[[float], float], count: int, seed: int = SEED) -> list[Known]:
    known: list[Known] = []
    for number in range(1, count + 1):
        parameters = next_parameters(one, seed, number, known)
        known.append(Known(parameters, objective(float(parameters["rate"]))))
    return known


def parabola(sign: int, rate: float) -> float:
    return -sign * (rate - 7.3) ** 2


def test_the_same_seed_number_and_knowledge_give_the_same_choice() -> None:
    known = [Known({"rate": str(number)}, -float(number)) for number in range(9)]
    for strategy in ("Random", "Bayesian"):
        first, again = (next_parameters(plan(strategy), SEED, 10, known) for _ in range(2))
        assert first == again
        assert first != next_parameters(plan(strategy), SEED + 1, 10, known)
        assert first != next_parameters(plan(strategy), SEED, 11, known)


def test_random_covers_a_linear_range_evenly() -> None:
    values = many(plan())
    assert 0 <= min(values) < 0.2 and 9.8 < max(values) <= 10
    assert abs(statistics.fmean(values) - 5) < 4 * 10 / math.sqrt(12 * len(values))


def test_random_covers_a_logarithmic_range_evenly_in_the_logarithm() -> None:
    values = many(plan(ParameterRanges=ranges("Logarithmic", rate=("1e-4", "1"))))
    middle = statistics.median(values)
    assert min(values) >= 1e-4 and max(values) <= 1
    assert 3e-3 < middle < 3e-2  # 1e-2 is the middle of the logarithms; 0.5 that of the values


def test_random_covers_a_reverse_logarithmic_range_evenly_near_one() -> None:
    values = many(plan(ParameterRanges=ranges("ReverseLogarithmic", rate=("0", "0.9999"))))
    assert min(values) >= 0 and max(values) <= 0.9999
    assert 3e-3 < 1 - statistics.median(values) < 3e-2


def test_integers_are_written_as_integers_within_their_range() -> None:
    whole = {"IntegerParameterRanges": [{"Name": "rate", "MinValue": "-1", "MaxValue": "1"}]}
    found = {next_parameters(plan(ParameterRanges=whole), SEED, number, [])["rate"] for number in range(1, 60)}
    assert found == {"-1", "0", "1"}


def test_grid_tries_each_combination_once_in_order() -> None:
    letters, words = "abc", ["x", "y"]
    both = {
        "CategoricalParameterRanges": [{"Name": "letter", "Values": list(letters)}, {"Name": "word", "Values": words}]
    }
    grid = plan("Grid", ParameterRanges=both, ResourceLimits={"MaxParallelTrainingJobs": 1})
    found = [tuple(next_parameters(grid, SEED, number, []).values()) for number in range(1, 7)]
    assert found == list(itertools.product(letters, words))


def test_bayesian_comes_closer_than_random_to_a_maximum_and_a_minimum() -> None:
    for sign, kind in ((1, "Maximize"), (-1, "Minimize")):
        config = {"HyperParameterTuningJobObjective": {"Type": kind, "MetricName": "score"}}
        limits = {"ResourceLimits": {"MaxNumberOfTrainingJobs": 40, "MaxParallelTrainingJobs": 1}}
        late: dict[str, list[float]] = {}
        for strategy in ("Bayesian", "Random"):
            runs = [search(plan(strategy, **config, **limits), partial(parabola, sign), 30, seed) for seed in range(4)]
            late[strategy] = [abs(float(known.parameters["rate"]) - 7.3) for run in runs for known in run[15:]]
        assert statistics.median(late["Bayesian"]) < 0.5 * statistics.median(late["Random"])


def test_what_failed_or_still_runs_teaches_nothing_wrong() -> None:
    bayesian = plan("Bayesian")
    known = search(bayesian, lambda rate: -abs(rate - 2), 10)
    others = [Known({"rate": "9.0"}, None, ended=True), Known({"rate": "2.0"}, None, ended=False)]
    assert 0 <= float(next_parameters(bayesian, SEED, 13, [*known, *others])["rate"]) <= 10


def test_a_parents_results_are_known_and_those_out_of_range_are_not() -> None:
    generator = random.Random(1)
    bayesian = plan("Bayesian", ParameterRanges=ranges(rate=("0", "10")))
    near = [Known({"rate": str(4 + generator.random() / 10)}, 1.0 + number) for number in range(15)]
    far = [Known({"rate": str(10 * generator.random())}, -1.0) for _ in range(30)]
    apart = {}
    for name, parents in (("told", [near + far]), ("untold", [])):
        chosen = [float(next_parameters(bayesian, SEED, number, [], parents)["rate"]) for number in range(1, 31)]
        apart[name] = statistics.median(abs(rate - 4) for rate in chosen)
    assert apart["told"] < 0.5 * apart["untold"]
    outside = [Known({"rate": "20"}, 5.0), Known({}, 5.0), Known({"rate": "text"}, 5.0)]
    assert next_parameters(bayesian, SEED, 1, [], [outside]) == next_parameters(bayesian, SEED, 1, [])


def test_values_of_another_task_count_by_their_ranks() -> None:
    """Of two parents on other scales, neither the one with the greater numbers nor its scale decides."""
    warm = {
        "WarmStartConfig": {
            "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "p"}],
            "WarmStartType": "TransferLearning",
        }
    }
    transfer = TuningPlan.of({**tuning_request(Strategy="Bayesian"), **warm})
    parent = [Known({"rate": str(rate)}, 1000.0 - (rate - 3) ** 2) for rate in range(11)]
    scaled = [Known(one.parameters, math.exp((one.value or 0) / 100)) for one in parent]
    for number in range(1, 6):
        first, second = (next_parameters(transfer, SEED, number, [], [one]) for one in (parent, scaled))
        assert first == second
