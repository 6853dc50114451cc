"""Off-policy estimates of 100,000 episodes of 50 steps, with and without intervals."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, replace

import numpy as np
from figures import Figure, show

from batchrl.contract import estimators as names
from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.bandit import direct_method, doubly_robust, inverse_propensity_score
from batchrl.ope.estimators.bootstrap import intervals
from batchrl.ope.estimators.doubly_robust import ActionValues
from batchrl.ope.estimators.grid import Grid
from batchrl.ope.estimators.magic import MagicSettings, magic
from batchrl.ope.estimators.sample import Sample, trajectory_estimators, value_bounds
from batchrl.ope.estimators.student import student_interval
from batchrl.ope.estimators.weights import WeightDiagnostics

EPISODES, STEPS, RESAMPLES = 100_000, 50, 1000
SIZE = f"{EPISODES:,} x {STEPS}"
REPEATS = 5


@dataclass(frozen=True)
class Logged:
    """What is given, ``[n, T]`` each: probabilities of the logged actions, rewards, values, modelled rewards."""

    grid: Grid
    target: Floats64
    behavior: Floats64
    rewards: Floats64
    values: ActionValues
    weights: Floats64
    modelled: Floats64

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Logged:
        """Two actions, a logging policy with probabilities of 0.4 to 0.6, a target policy a little away from it."""
        shape = (EPISODES, STEPS)
        behavior = rng.uniform(0.4, 0.6, size=shape)
        return cls(
            grid=Grid.of(np.full(EPISODES, STEPS)),
            target=behavior + rng.uniform(-0.05, 0.05, size=shape),
            behavior=behavior,
            rewards=rng.normal(1, 1, size=shape),
            values=ActionValues(rng.normal(10, 1, size=shape), rng.normal(10, 1, size=shape), np.zeros(EPISODES)),
            weights=rng.uniform(0.5, 1.5, size=shape),
            modelled=rng.normal(1, 0.1, size=shape),
        )

    def sample(self) -> Sample:
        """For the two estimates of the csv: ratios from probabilities are part of the work."""
        ratios = self.target / self.behavior
        return Sample(self.grid, np.log(ratios, out=ratios), self.rewards, 0.99, agent_values=self.values)


def two_estimates(logged: Logged) -> None:
    for quotients in trajectory_estimators(logged.sample(), wanted=(names.WIS, names.SDR)).values():
        assert np.isfinite(quotients.value)


def all_estimates(logged: Logged) -> tuple[float, float]:
    """Seconds for everything with all intervals, and of these, those of MAGIC's own resamples."""
    started = time.perf_counter()
    sample = replace(
        logged.sample(),
        fitted_values=logged.values,
        state_weights=logged.weights,
        state_action_weights=logged.weights,
    )
    found = trajectory_estimators(sample, wanted=set(names.ALL) - {names.MAGIC})
    for_magic = time.perf_counter()
    found[names.MAGIC] = magic(found[names.WDR], MagicSettings())
    for_magic = time.perf_counter() - for_magic
    grid, ratios, modelled = sample.grid, sample.log_ratios, logged.modelled
    found["IPS"] = inverse_propensity_score(grid, ratios, sample.rewards)
    found["DM"] = direct_method(grid, modelled)
    found["DR"] = doubly_robust(grid, ratios, sample.rewards, modelled, modelled)
    bootstrapped = intervals(list(found.values()), RESAMPLES, 0.95, seed=0)
    of_t = [student_interval(quotients, 0.95) for quotients in found.values()]
    bounds = value_bounds(sample, (-10.0, 10.0), 0.95)
    weights = WeightDiagnostics.of(sample.log_weights)
    assert all(np.isfinite(estimate.upper) for estimate in (*bootstrapped, *of_t, weights.mean_weight_interval))
    assert len(bounds) == 2
    return time.perf_counter() - started - for_magic, for_magic


def main() -> None:
    logged = Logged.drawn(np.random.default_rng(0))
    given = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        two_estimates(logged)
        seconds.append(time.perf_counter() - started)
    show(Figure(f"WIS and SDR without intervals, {SIZE}", float(np.median(seconds)), "s", 0.3))
    counted, for_magic = min(all_estimates(logged) for _ in range(2))
    count = len(names.ALL) + 3
    show(Figure(f"{count} estimators with intervals of {RESAMPLES} resamples, {SIZE}", counted, "s", 10))
    print(f"  (not counted: {for_magic:.2f} s for the {MagicSettings().resamples} resamples of MAGIC itself)")
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - given) / 2**20
    show(Figure(f"memory of the same, beside the arrays given ({given / 2**20:.2f} GiB)", peak, "GiB", 2))


if __name__ == "__main__":
    main()
