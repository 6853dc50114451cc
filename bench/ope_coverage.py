"""How often the intervals of off-policy estimates contain the exact value: rewrites docs/ope-coverage.md, first part.

Logs of a problem with two states, two actions and episodes of at most T steps, whose exact value is known. The
logging policy is uniform; the scored policy leaves it by a tilt, which decides how many episodes count (ESS).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from verdicts import MARK

from batchrl.contract import estimators as names
from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.bootstrap import Estimate, resampled
from batchrl.ope.estimators.doubly_robust import ActionValues
from batchrl.ope.estimators.grid import Grid
from batchrl.ope.estimators.sample import Sample, trajectory_estimators, value_bounds
from batchrl.ope.estimators.student import student_interval
from batchrl.ope.estimators.weights import WeightDiagnostics

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "ope-coverage.md"
ESTIMATORS = (names.IS, names.PDIS, names.WIS, names.PDWIS, names.SDR, names.WDR)
SHORT = dict(zip(ESTIMATORS, ("IS", "PDIS", "WIS", "PDWIS", "SDR", "WDR"), strict=True))
CONFIDENCE = 0.95
RESAMPLES = 1000
REPLICATES = 2000
AT_ONCE = 50
TILTS = (0.05, 0.1, 0.2, 0.3, 0.4)
SIZES = (100, 500, 2000)
# Most steps of an episode, episodes of a log, tilt.
CASES = (*((5, n, tilt) for n in SIZES for tilt in TILTS), *((25, 100, tilt) for tilt in (0.05, 0.1, 0.15, 0.2, 0.3)))

DISCOUNT = 0.95
REWARDS = np.array([[1.0, 0.0], [-0.5, 2.0]])
REWARD_RANGE = (-1.5, 3.0)
# Of each state and action: the probability that the episode ends, over 1 / T; and else, that state 1 follows.
ENDING = np.array([[0.5, 1.0], [1.5, 0.25]])
MOVING = np.array([[0.3, 0.8], [0.6, 0.4]])
# A rough guess of the values, so that doubly robust estimates have something to correct.
GUESS = REWARDS + 0.8


@dataclass(frozen=True)
class Coverage:
    """Of one horizon, number of episodes and tilt.

    Args:
        steps: most of an episode, T.
        n_episodes: of each log.
        effective_share: ESS / n, averaged over the logs.
        percentile: share of logs whose bootstrap interval contains the exact value, by estimator.
        student: the same of Student's interval.
        lower: share of logs whose lower bound is below the exact value, by estimator.
        upper: share of logs whose upper bound is above it.
    """

    steps: int
    n_episodes: int
    effective_share: float
    percentile: Mapping[str, float]
    student: Mapping[str, float]
    lower: Mapping[str, float]
    upper: Mapping[str, float]


def policy_of(tilt: float) -> Floats64:
    """``[2, 2]``, the scored policy."""
    return np.array([[0.5 - tilt, 0.5 + tilt], [0.5 + tilt, 0.5 - tilt]])


def exact_value(policy: Floats64, steps: int) -> float:
    """The discounted return from a start in either state, by dynamic programming."""
    values = np.zeros(2)
    for _ in range(steps):
        following = (1 - ENDING / steps) * ((1 - MOVING) * values[0] + MOVING * values[1])
        values = (policy * (REWARDS + DISCOUNT * following)).sum(axis=1)
    return float(values.mean())


def logs(policy: Floats64, steps: int, n_logs: int, n_episodes: int, rng: np.random.Generator) -> list[Sample]:
    """Fresh logs of the uniform policy, with the arrays that estimators take."""
    shape = (n_logs * n_episodes, steps)
    states, actions = np.empty(shape, dtype=np.int64), rng.integers(2, size=shape)
    alive = np.ones(shape, dtype=np.bool_)
    states[:, 0] = rng.integers(2, size=len(states))
    for step in range(1, steps):
        before = states[:, step - 1], actions[:, step - 1]
        alive[:, step] = alive[:, step - 1] & (rng.random(len(states)) >= ENDING[before] / steps)
        states[:, step] = rng.random(len(states)) < MOVING[before]
    ratios = np.where(alive, np.log(policy[states, actions] / 0.5), 0.0)
    noise = rng.choice([-1.0, 1.0], size=shape)
    rewards = np.where(alive, REWARDS[states, actions] + noise, 0.0)
    taken = np.where(alive, GUESS[states, actions], 0.0)
    values = np.where(alive, (policy * GUESS).sum(axis=1)[states], 0.0)
    samples = []
    for start in range(0, len(states), n_episodes):
        rows = slice(start, start + n_episodes)
        samples.append(
            Sample(
                grid=Grid(alive[rows].sum(axis=1), alive[rows]),
                log_ratios=ratios[rows],
                rewards=rewards[rows],
                discount=DISCOUNT,
                agent_values=ActionValues(taken[rows], values[rows], np.zeros(n_episodes)),
            )
        )
    return samples


def measure(steps: int, n_episodes: int, tilt: float, replicates: int = REPLICATES, seed: int = 0) -> Coverage:
    """Coverage over fresh logs; some logs at a time share the resamples, as logs of one size may."""
    policy = policy_of(tilt)
    exact = exact_value(policy, steps)
    rng = np.random.default_rng([seed, n_episodes, round(1000 * tilt)])
    shares = []
    percentile = dict.fromkeys(ESTIMATORS, 0)
    student = dict.fromkeys(ESTIMATORS, 0)
    lower, upper = ({names.IS: 0, names.PDIS: 0} for _ in range(2))
    for start in range(0, replicates, AT_ONCE):
        samples = logs(policy, steps, min(AT_ONCE, replicates - start), n_episodes, rng)
        found = [trajectory_estimators(sample, wanted=ESTIMATORS) for sample in samples]
        flat = [quotients for of_log in found for quotients in of_log.values()]
        draws = iter(resampled(flat, RESAMPLES, seed=start).T)
        for sample, of_log in zip(samples, found, strict=True):
            shares.append(WeightDiagnostics.of(sample.log_weights).effective_episodes / n_episodes)
            for name, quotients in of_log.items():
                percentile[name] += _holds(Estimate.of(quotients.value, next(draws), CONFIDENCE), exact)
                student[name] += _holds(student_interval(quotients, CONFIDENCE), exact)
            for name, bounds in value_bounds(sample, REWARD_RANGE, CONFIDENCE).items():
                assert bounds.lower is not None and bounds.upper is not None
                lower[name] += bounds.lower <= exact
                upper[name] += exact <= bounds.upper
    return Coverage(
        steps,
        n_episodes,
        float(np.mean(shares)),
        {name: count / replicates for name, count in percentile.items()},
        {name: count / replicates for name, count in student.items()},
        {name: count / replicates for name, count in lower.items()},
        {name: count / replicates for name, count in upper.items()},
    )


def _holds(estimate: Estimate, exact: float) -> bool:
    return estimate.lower <= exact <= estimate.upper


def row(coverage: Coverage) -> str:
    """A line of the document's table."""
    intervals = (f"{100 * coverage.percentile[name]:.1f} / {100 * coverage.student[name]:.1f}" for name in ESTIMATORS)
    sides = (coverage.lower, coverage.upper)
    bounds = (" / ".join(f"{100 * side[name]:.1f}" for side in sides) for name in (names.IS, names.PDIS))
    cells = (f"{coverage.steps}", f"{coverage.n_episodes}", f"{coverage.effective_share:.2f}", *intervals, *bounds)
    return f"| {' | '.join(cells)} |"


HEAD = f"""# How often the intervals hold

How many of {REPLICATES} fresh logs of n episodes of at most T steps had an interval that contains the exact value, in
percent: percentile bootstrap with {RESAMPLES} resamples / Student's t, both aiming at 95 %. The last columns are
one-sided bounds at 95 %, lower / upper (`batchrl/ope/estimators/betting.py`). The standard error of a figure near 95
is 0.5.
`bench/ope_coverage.py` says what the logs are and rewrites this file:

    .venv/bin/python bench/ope_coverage.py

Where the effective sample size (ESS) is most of the episodes, the intervals hold as promised; as it falls, they
contain the exact value less and less often, because the heavy weights that matter are missing from the log and from all
its resamples. The bounds hold all the same, and say less. Which figures are relied on then, and how often those
hold, is told [below](#where-a-figure-may-be-relied-on).

| T | n | ESS/n | {" | ".join(SHORT[name] for name in ESTIMATORS)} | bounds, IS | bounds, PDIS |
|{"---|" * (len(ESTIMATORS) + 5)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=REPLICATES, help="logs of each kind; fewer only print")
    replicates = parser.parse_args().replicates
    rows = []
    for case in CASES:
        rows.append(row(measure(*case, replicates)))
        print(rows[-1], flush=True)
    if replicates == REPLICATES:
        _, mark, others = DOCUMENT.read_text().partition(MARK)
        DOCUMENT.write_text(HEAD + "\n".join(rows) + "\n" + mark + others)


if __name__ == "__main__":
    main()
