"""Where a figure may be relied on, its interval holds; elsewhere, it may not (docs/ope-coverage.md has all)."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[4] / "bench"))
import verdicts
from verdict_logs import INTERVALS, Case, World, bias_corrected, measure, quantile

HOLDING = (
    Case(2, 1, 200, 0.5),
    Case(2, 1, 1000, 0.2),
    Case(34, 1, 4000, 0.5),
    Case(3, 1, 1000, 0.2, mix=0.7, skew=1.5),
    Case(2, 1, 2000, 0.3, amounts=1.0),
    Case(4, 5, 2000, 0.2, mix=0.15, skew=0.7),
    Case(4, 20, 500, 0.2, mix=0.04, skew=0.7),
)
FAILING = (
    Case(2, 1, 200, 0.01),
    Case(34, 1, 200, 0.5),
    Case(34, 1, 1000, 0.04),
    Case(2, 1, 200, 0.04, amounts=2.0),
    Case(20, 1, 1000, 0.04, mix=0.7, skew=3.0),
    Case(4, 50, 100, 0.04, mix=0.1, skew=0.7),
)


def test_where_a_figure_may_be_relied_on_its_interval_holds() -> None:
    relied, held = [], []
    for case in HOLDING:
        found = measure(case, 100, seed=1)
        trusted = np.concatenate(list(found.relied.values()))
        holds = np.concatenate([found.holds[figure, "wider"] for figure in found.relied])
        assert trusted.mean() > 0.3, case
        assert holds[trusted].mean() >= 0.92, case
        relied.append(trusted.sum())
        held.append((trusted & holds).sum())
    assert 0.93 <= sum(held) / sum(relied) <= 0.98


def test_where_intervals_fail_hardly_a_figure_may_be_relied_on() -> None:
    for case in FAILING:
        found = measure(case, 100, seed=2)
        plain = np.concatenate([found.holds[figure, "percentile"] for figure in found.relied])
        assert plain.mean() < 0.92, case
        assert np.concatenate(list(found.relied.values())).mean() < 0.02, case


@pytest.mark.parametrize("case", [Case(3, 1, 100_000, 0.2, mix=0.7, skew=1.5), Case(4, 5, 50_000, 0.1, mix=0.15)])
def test_the_known_values_are_what_fresh_logs_pay(case: Case) -> None:
    world = World(case)
    ((sample, _),) = world.logs(1, np.random.default_rng(0))
    weighted = np.exp(sample.log_weights) * sample.returns
    for policy, paid in ((world.logging, sample.returns), (world.scored, weighted)):
        assert paid.mean() == pytest.approx(world.value(policy), abs=4 * paid.std() / np.sqrt(case.n))


def test_intervals_are_those_of_their_definitions() -> None:
    rng = np.random.default_rng(3)
    draws = np.sort(rng.standard_normal(401))
    for probability in (0.0, 0.025, 0.5, 0.975, 1.0):
        assert quantile(draws, probability) == pytest.approx(np.quantile(draws, probability))
    # Without bias or skewness, the corrected interval is that of the percentiles; skewness to the right moves it there.
    even = np.tile([-1.0, 1.0], 50)
    plain = np.quantile(draws, [0.025, 0.975])
    assert bias_corrected(float(np.median(draws)), even, draws) == pytest.approx(plain)
    skewed = np.append(np.full(99, -1.0), 99.0)
    low, high = bias_corrected(float(np.median(draws)), skewed, draws)
    assert low > plain[0] and high > plain[1]


def test_all_kinds_of_intervals_are_measured() -> None:
    found = measure(Case(2, 1, 200, 0.5), 20, studentised=True)
    assert {kind for _, kind in found.holds} == set(INTERVALS)
    for kind in INTERVALS:
        assert found.holds["PDWIS", kind].mean() > 0.7


def test_the_document_has_every_kind() -> None:
    part = verdicts.DOCUMENT.read_text().split(verdicts.MARK)[1]
    assert part.strip().splitlines()[-len(list(verdicts.cases())) - 1].startswith("|---|")
