"""Logs of small decision processes with known values, each judged by the rules of the report.

From two actions to 500, of one step to 50, with rewards that are rare, skewed or neither, under logging policies that
are even or hardly ever do what the scored policy does. Intervals are held against the exact value, both of the policy
and of its difference to the logging policy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from batchrl.contract import estimators as names
from batchrl.contract.evidence import doubt_of_carrying
from batchrl.data.dataset import Flags, Floats64, Integers
from batchrl.ope.estimators.bootstrap import resampled
from batchrl.ope.estimators.doubly_robust import ActionValues
from batchrl.ope.estimators.grid import Grid
from batchrl.ope.estimators.information import carrying_episodes
from batchrl.ope.estimators.quotients import Quotients
from batchrl.ope.estimators.sample import Sample, trajectory_estimators
from batchrl.ope.estimators.student import influence, student_quantile
from batchrl.ope.estimators.weights import WeightDiagnostics
from batchrl.ope.report.reliability import doubt_of_policy, evidence_of

STATES = 4
CONFIDENCE, RESAMPLES = 0.95, 400
# Steps of all logs that are drawn at once.
STEPS_AT_ONCE, LOGS_AT_ONCE = 3_000_000, 50
FIGURES = ("WDR, exact Q", "WDR, noisy Q", "PDWIS", "IS")
INTERVALS = ("percentile", "Student", "wider", "BCa", "studentised")
# Noise of a Q that is wrong by state and action: deviation of its logarithm.
Q_NOISE = 0.7


@dataclass(frozen=True)
class Case:
    """One kind of log.

    Args:
        actions: to choose from.
        steps: most of an episode; each may end earlier.
        n: episodes.
        pays: share of the steps with a reward, under the logging policy.
        mix: of the scored policy, the share that always takes one action; the rest is the logging policy.
        skew: of the logging policy's preferences, as the deviation of their logarithm; 0 is uniform.
        amounts: deviation of the logarithm of a reward; 0 pays 1.
    """

    actions: int
    steps: int
    n: int
    pays: float
    mix: float = 1.0
    skew: float = 0.0
    amounts: float = 0.0


class World:
    """A decision process of ``STATES`` states, with its logging policy and the policy to be scored.

    Args:
        case: its kind; processes of one number of actions and one skew are the same.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        rng = np.random.default_rng([7, case.actions, round(10 * case.skew)])
        shape = (STATES, case.actions)
        preferences = case.skew * rng.standard_normal(shape)
        weights = np.exp(preferences - preferences.max(axis=1, keepdims=True))
        self.logging = weights / weights.sum(axis=1, keepdims=True)
        best = np.arange(STATES), rng.integers(case.actions, size=STATES)
        self.scored = (1 - case.mix) * self.logging
        self.scored[best] += case.mix
        chances = rng.uniform(0.5, 1.5, shape)
        chances[best] = 1.5 * rng.uniform(0.6, 1.2, STATES)
        self.pays = np.minimum(chances * case.pays / (chances * self.logging).sum(axis=1).mean(), 0.95)
        self._moves = rng.dirichlet(np.ones(STATES), size=shape)
        self._ends = rng.uniform(0.3, 1.5, shape) / case.steps
        self._noise = np.exp(Q_NOISE * rng.standard_normal(shape))
        self.discount = 0.95 if case.steps > 1 else 1.0

    def q_values(self, policy: Floats64) -> Floats64:
        """``[T, S, A]``, by dynamic programming; a reward is 1 in the mean."""
        values, found = np.zeros(STATES), []
        for _ in range(self.case.steps):
            found.append(self.pays + self.discount * (1 - self._ends) * (self._moves @ values))
            values = (policy * found[-1]).sum(axis=1)
        return np.stack(found[::-1])

    def value(self, policy: Floats64) -> float:
        """From a start in any state."""
        return float((policy * self.q_values(policy)[0]).sum(axis=1).mean())

    def logs(self, count: int, rng: np.random.Generator) -> Iterator[tuple[Sample, ActionValues]]:
        """Fresh logs, each with exact values and, beside it, noisy ones."""
        case, total = self.case, count * self.case.n
        exact = self.q_values(self.scored)
        noisy = exact * self._noise
        logged, moves = self.logging.cumsum(axis=1), self._moves.cumsum(axis=2)
        with np.errstate(divide="ignore"):
            ratios = np.log(self.scored / self.logging)
        alive = np.ones((total, case.steps), dtype=np.bool_)
        columns = [np.zeros((total, case.steps)) for _ in range(6)]
        state = rng.integers(STATES, size=total)
        for step in range(case.steps):
            action = _drawn(logged, state, rng)
            rewards = (rng.random(total) < self.pays[state, action]).astype(np.float64)
            if case.amounts:
                rewards *= np.exp(case.amounts * rng.standard_normal(total) - case.amounts**2 / 2)
            found = [ratios[state, action], rewards]
            for q_values in (exact[step], noisy[step]):
                found += [q_values[state, action], (self.scored * q_values).sum(axis=1)[state]]
            for column, values in zip(columns, found, strict=True):
                column[:, step] = np.where(alive[:, step], values, 0.0)
            if step + 1 < case.steps:
                alive[:, step + 1] = alive[:, step] & (rng.random(total) >= self._ends[state, action])
                state = (rng.random(total)[:, None] > moves[state, action]).sum(axis=1)
        nothing = np.zeros(case.n)
        for start in range(0, total, case.n):
            rows = slice(start, start + case.n)
            log_ratios, rewards, q_exact, v_exact, q_noisy, v_noisy = (column[rows] for column in columns)
            grid = Grid(alive[rows].sum(axis=1), alive[rows])
            values = ActionValues(q_exact, v_exact, nothing)
            yield Sample(grid, log_ratios, rewards, self.discount, values), ActionValues(q_noisy, v_noisy, nothing)


def _drawn(cumulative: Floats64, state: Integers, rng: np.random.Generator) -> Integers:
    """``[m]``, an action of each state's distribution."""
    uniform, action = rng.random(len(state)), np.empty(len(state), dtype=np.int64)
    for number in range(STATES):
        where = state == number
        action[where] = np.searchsorted(cumulative[number], uniform[where])
    drawn: Integers = np.minimum(action, cumulative.shape[1] - 1)
    return drawn


@dataclass(frozen=True)
class Measured:
    """What became of the logs of one case.

    Args:
        case: their kind.
        effective: median of the effective sample sizes.
        relied: ``[R]`` by figure, ``FIGURES`` and the same with " -" for the difference: whether nothing is doubted.
        holds: the same by figure and interval: whether it contains the exact value.
    """

    case: Case
    effective: float
    relied: Mapping[str, Flags]
    holds: Mapping[tuple[str, str], Flags]


def measure(case: Case, replicates: int, seed: int = 0, studentised: bool = False) -> Measured:
    """Judge fresh logs; some at a time share the resamples, as logs of one size may."""
    world = World(case)
    exact, logged = world.value(world.scored), world.value(world.logging)
    rng = np.random.default_rng([seed, case.n, case.actions, case.steps, round(1000 * case.pays)])
    at_once = max(1, min(LOGS_AT_ONCE, STEPS_AT_ONCE // (case.n * case.steps)))
    effective: list[float] = []
    relied: dict[str, list[bool]] = {}
    holds: dict[tuple[str, str], list[bool]] = {}
    for start in range(0, replicates, at_once):
        judged = [_Log(*drawn) for drawn in world.logs(min(at_once, replicates - start), rng)]
        flat = [quotients for log in judged for quotients in log.resampled(studentised)]
        draws = resampled(flat, RESAMPLES, seed=start)
        width = draws.shape[1] // len(judged)
        for number, log in enumerate(judged):
            effective.append(log.effective)
            own = draws[:, number * width : (number + 1) * width]
            for figure, doubted, estimate, truth, drawn, squares in log.figures(own, exact, logged, studentised):
                relied.setdefault(figure, []).append(not doubted)
                for kind, (low, high) in intervals(*estimate, drawn, squares).items():
                    holds.setdefault((figure, kind), []).append(bool(low <= truth <= high))
    return Measured(
        case,
        float(np.median(effective)),
        {name: np.array(found) for name, found in relied.items()},
        {name: np.array(found) for name, found in holds.items()},
    )


class _Log:
    """One log: its estimators, their influences, and what is doubted."""

    def __init__(self, sample: Sample, noisy: ActionValues) -> None:
        wanted = (names.WDR, names.PDWIS, names.IS)
        found = trajectory_estimators(sample, wanted)
        other = trajectory_estimators(replace(sample, agent_values=noisy), (names.WDR,))
        self._quotients = [found[names.WDR], other[names.WDR], found[names.PDWIS], found[names.IS]]
        self._logged = Quotients.mean(sample.returns)
        nothing = np.zeros(len(sample.returns))
        self._influences = [influence(q) if math.isfinite(q.value) else nothing for q in self._quotients]
        self._logged_influence = influence(self._logged)
        weights = WeightDiagnostics.of(sample.log_weights, CONFIDENCE)
        self.effective = weights.effective_episodes
        self._doubt = doubt_of_policy(weights, evidence_of(weights, sample.log_weights, sample.returns))

    def resampled(self, studentised: bool) -> list[Quotients]:
        """What is resampled; for studentised intervals the influences and their squares as well."""
        found = [*self._quotients, self._logged]
        if studentised:
            for moved in self._moved():
                found += [Quotients.mean(moved), Quotients.mean(moved**2)]
        return found

    def _moved(self) -> Iterator[Floats64]:
        for moved in self._influences:
            yield moved
            yield moved - self._logged_influence

    def figures(
        self, draws: Floats64, exact: float, logged: float, studentised: bool
    ) -> Iterator[tuple[str, bool, tuple[float, Floats64], float, Floats64, Floats64 | None]]:
        """Name, whether it is doubted, value and influences, exact value, resamples and their errors."""
        spread = float(np.sqrt((self._logged_influence**2).mean()))
        for number, moved in enumerate(self._moved()):
            name, value = FIGURES[number // 2], self._quotients[number // 2].value
            doubt = self._doubt or doubt_of_carrying(carrying_episodes(self._influences[number // 2], spread))
            drawn, truth = draws[:, number // 2], exact
            if number % 2:
                name, value, truth = f"{name} -", value - self._logged.value, exact - logged
                drawn = drawn - draws[:, len(FIGURES)]
                doubt = doubt or doubt_of_carrying(carrying_episodes(moved, spread))
            errors = None
            if studentised:
                first = len(FIGURES) + 1 + 2 * number
                squares = draws[:, first + 1] - draws[:, first] ** 2
                errors = np.sqrt(np.maximum(squares, 0.0) / len(moved))
            yield name, doubt is not None, (value, moved), truth, drawn, errors


def intervals(
    value: float, moved: Floats64, draws: Floats64, errors: Floats64 | None
) -> dict[str, tuple[float, float]]:
    """Intervals of one estimate by name; (nan, nan), which contains nothing, where there is none.

    Args:
        value: the estimate.
        moved: ``[n]``, influences.
        draws: ``[B]``, resampled values.
        errors: ``[B]``, their errors, linearised; None for no studentised interval.
    """
    n, tail = len(moved), (1 - CONFIDENCE) / 2
    error = math.sqrt(float(moved @ moved) / (n - 1) / n)
    half = student_quantile(1 - tail, n - 1) * error
    kept = np.isfinite(draws)
    if not math.isfinite(value) or 2 * kept.sum() <= len(draws):
        return dict.fromkeys(INTERVALS if errors is not None else INTERVALS[:3], (math.nan, math.nan))
    defined = np.sort(draws[kept])
    low, high = quantile(defined, tail), quantile(defined, 1 - tail)
    found = {
        "percentile": (low, high),
        "Student": (value - half, value + half),
        "wider": (min(low, value - half), max(high, value + half)),
    }
    if errors is not None:
        found["BCa"] = bias_corrected(value, moved, defined)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = (draws - value) / errors
        ratios = np.sort(ratios[np.isfinite(ratios)])
        least, most = (quantile(ratios, end) if len(ratios) else math.nan for end in (tail, 1 - tail))
        found["studentised"] = (value - most * error, value - least * error)
    return found


def bias_corrected(value: float, moved: Floats64, draws: Floats64) -> tuple[float, float]:
    """The BCa interval (Efron 1987), accelerated by the skewness of the influences ``[n]``; ``draws`` are sorted."""
    normal = NormalDist()
    below = (np.searchsorted(draws, value) + np.searchsorted(draws, value, side="right")) / 2 / len(draws)
    shift = normal.inv_cdf(min(max(float(below), 0.5 / len(draws)), 1 - 0.5 / len(draws)))
    cubes, squares = float((moved**3).sum()), float((moved**2).sum())
    pace = cubes / (6 * squares**1.5) if squares else 0.0
    ends = []
    for end in (normal.inv_cdf((1 - CONFIDENCE) / 2), normal.inv_cdf((1 + CONFIDENCE) / 2)):
        below_one = 1 - pace * (shift + end)
        ends.append(normal.cdf(shift + (shift + end) / below_one) if below_one > 0 else float(end > 0))
    return quantile(draws, ends[0]), quantile(draws, ends[1])


def quantile(ordered: Floats64, probability: float) -> float:
    """That of sorted values, as ``numpy.quantile`` has it, which takes a hundred times as long for one."""
    place = probability * (len(ordered) - 1)
    below = min(int(place), len(ordered) - 2)
    return float(ordered[below] + (place - below) * (ordered[below + 1] - ordered[below]))
