"""The 95 % intervals contain the exact value about as often as they promise (docs/ope-coverage.md has more cases)."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from batchrl.contract import estimators as names

sys.path.insert(0, str(Path(__file__).parents[4] / "bench"))
from ope_coverage import (
    CASES,
    DISCOUNT,
    DOCUMENT,
    ESTIMATORS,
    HEAD,
    exact_value,
    logs,
    measure,
    policy_of,
)
from verdicts import MARK


@pytest.mark.parametrize("tilt", [0.05, 0.1])
def test_intervals_hold_where_the_weights_are_even(tilt: float) -> None:
    coverage = measure(5, 500, tilt, replicates=2000)
    assert coverage.effective_share >= 0.8
    for name in ESTIMATORS:
        assert 0.92 <= coverage.percentile[name] <= 0.98, name
        assert 0.92 <= coverage.student[name] <= 0.98, name
    assert min((*coverage.lower.values(), *coverage.upper.values())) >= 0.95


def test_bounds_hold_where_intervals_do_not() -> None:
    coverage = measure(25, 100, 0.3, replicates=300)
    assert coverage.effective_share < 0.5
    assert coverage.percentile[names.WIS] < 0.9
    assert min((*coverage.lower.values(), *coverage.upper.values())) >= 0.95


def test_the_exact_value_is_what_playing_the_policy_pays() -> None:
    """The uniform policy scored on its own logs: the mean return, with nothing weighted."""
    [sample] = logs(policy_of(0.0), 5, 1, 200_000, np.random.default_rng(0))
    returns = sample.rewards @ DISCOUNT ** np.arange(5)
    assert returns.mean() == pytest.approx(
        exact_value(policy_of(0.0), 5), abs=4 * returns.std() / np.sqrt(len(returns))
    )


def test_the_document_has_every_case() -> None:
    text = DOCUMENT.read_text().split(MARK)[0]
    assert text.startswith(HEAD)
    assert len(text[len(HEAD) :].splitlines()) == len(CASES)
