"""How many episodes a canary needs, against canaries that are played: a second way to the same number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from batchrl.contract.evidence import LEAST_INFORMATIVE
from launcher.documents.model import Paragraph, Table
from launcher.reporting.canary import canary_section, episodes_needed, spread_of
from launcher.reporting.files import TrainingFiles

PLAYED = 20_000
# 1.645 standard errors of a normal distribution: the one-sided level of 5 %.
CRITICAL = 1.6449


@pytest.mark.parametrize(("gain", "deviation"), [(0.5, 1.0), (2.0, 10.0), (0.05, 0.3)])
def test_a_canary_of_that_many_episodes_finds_the_gain_four_times_in_five(gain: float, deviation: float) -> None:
    n = episodes_needed(gain, deviation)
    rng = np.random.default_rng(0)
    # Means of n returns each, and the estimate of their spread, as a t test of two samples has them.
    mine = gain + deviation * rng.standard_normal(PLAYED) / np.sqrt(n)
    its = deviation * rng.standard_normal(PLAYED) / np.sqrt(n)
    pooled = deviation * np.sqrt(rng.chisquare(2 * n - 2, PLAYED) / (2 * n - 2))
    found = (mine - its) / (pooled * np.sqrt(2 / n)) > CRITICAL
    assert found.mean() == pytest.approx(0.8, abs=0.02)


def test_a_gain_twice_as_large_needs_a_quarter_of_the_episodes() -> None:
    assert episodes_needed(0.1, 1.0) == pytest.approx(4 * episodes_needed(0.2, 1.0), abs=4)
    assert episodes_needed(1e6, 1.0) == LEAST_INFORMATIVE


def test_the_spread_is_that_of_the_discounted_logged_returns(files: TrainingFiles, log: pd.DataFrame) -> None:
    assert files.preset is not None
    discount = files.preset["agent"]["discount"]
    step = log.groupby("episode_id").cumcount()
    returns = (log["reward"] * discount**step).groupby(log["episode_id"]).sum()
    spread = spread_of(files)
    assert spread is not None
    assert (spread.mean, spread.deviation) == pytest.approx((returns.mean(), returns.std(ddof=1)))


def test_days_follow_from_the_logs_own_rate(files: TrainingFiles) -> None:
    (table,) = (block for block in canary_section(files).blocks if isinstance(block, Table))
    days = 29 + 19 / 24  # from the first to the last row
    for row in table.rows:
        needed, shown = int(row[2].replace(",", "")), float(row[3].replace(",", ""))
        assert shown == pytest.approx(needed / (0.1 * 120 / days), abs=0.051)


def test_returns_that_do_not_vary_tell_nothing(files: TrainingFiles) -> None:
    assert files.inputs is not None
    flat = {**files.inputs["data"]["discounted_returns"], "standard_error": 0.0}
    data = {**files.inputs["data"], "discounted_returns": flat}
    blocks = canary_section(replace(files, inputs={**files.inputs, "data": data})).blocks
    assert not any(isinstance(block, Table) for block in blocks)
    assert any(isinstance(block, Paragraph) and "cannot be told" in block.text for block in blocks)
