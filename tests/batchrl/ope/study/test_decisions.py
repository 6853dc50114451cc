"""Logs of single decisions: ``ope`` scores them by a bandit's estimators, in a bandit's words."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scripts import script_module

from batchrl.contract import columns
from batchrl.contract import estimators as names
from batchrl.data.dataset import Dataset
from batchrl.data.loader import load_dataset
from batchrl.ope.estimators import contextual
from batchrl.ope.estimators.reward_model import CrossFittedRewards
from batchrl.ope.estimators.shrinkage import shrunk_doubly_robust, switch_doubly_robust
from batchrl.ope.study.decisions import DecisionScorer
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy
from batchrl.ope.study.scoring import ScoreSettings
from presets.schema import DataSettings

OF_A_BANDIT = {
    *(columns.IPS, names.SNIPS, columns.DM, columns.DR),
    *(names.SNDR, names.SWITCH_DR, names.SHRUNK_DR),
}
# What has no meaning where nothing comes after a decision.
OF_EPISODES = ("window", "horizon", "discount", "first", "step", "episode", "transition", "return", "per-decision")
Tell = Callable[..., str]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return script_module("ope")


@pytest.fixture
def tell(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> Tell:
    """Run it and read what it prints."""

    def run(*options: object) -> str:
        capsys.readouterr()
        code = script.main([str(option) for option in options])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    return run


def bandit_log(path: Path, n: int = 200, rate: float = 1.0, seed: int = 0, **more: list[str]) -> Path:
    """A uniform log of two actions; only the second pays, ``rate`` on average; the target prefers it."""
    rng = np.random.default_rng(seed)
    actions = rng.integers(0, 2, n)
    noise = rng.normal(scale=0.05, size=n) if rate == 1 else rng.binomial(1, rate, n) - rate
    frame = pd.DataFrame(
        {
            "action": actions,
            "all_action_probabilities": ["[0.5, 0.5]"] * n,
            "episode_id": range(n),
            "reward": actions * (rate + noise) if rate < 1 else actions * rate + noise,
            "state_feature_0": rng.normal(size=n).round(3),
            "state_feature_1": rng.normal(size=n).round(3),
            "target_action_probabilities": ["[0.2, 0.8]"] * n,
            **more,
        }
    )
    frame.to_csv(path, index=False)
    return path


def report_of(tell: Tell, *options: object) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(tell(*options, "--json"))
    return report


def test_the_figures_are_those_of_the_estimators(tell: Tell, tmp_path: Path) -> None:
    log = bandit_log(tmp_path / "log.csv")
    report = report_of(tell, log, "--seed", 7)

    (policy,) = report["policies"]
    found = {name: figure["value"] for name, figure in policy["estimates"].items()}
    data = load_dataset(log, DataSettings()).dataset
    weights, rewards = np.where(data.actions == 1, 1.6, 0.4), data.rewards
    target = np.tile([0.2, 0.8], (200, 1))
    modelled = CrossFittedRewards(data.states, data.actions, rewards, 2, seed=7).of_policy(target)
    expected = {
        columns.IPS: (weights * rewards).mean(),
        names.SNIPS: (weights * rewards).sum() / weights.sum(),
        columns.DM: contextual.direct_method(modelled).value,
        columns.DR: contextual.doubly_robust(weights, rewards, modelled).value,
        names.SNDR: contextual.self_normalised_doubly_robust(weights, rewards, modelled).value,
        names.SWITCH_DR: switch_doubly_robust(weights, rewards, modelled).estimate.value,
        names.SHRUNK_DR: shrunk_doubly_robust(weights, rewards, modelled).estimate.value,
    }
    assert found == pytest.approx(expected, abs=1e-12)
    assert set(found) == OF_A_BANDIT
    assert found[names.SNDR] == pytest.approx(0.8, abs=0.05)
    assert policy["verdict"]["outcome"] == "better"
    assert policy["verdict"]["estimate"] == names.SNDR
    assert policy["window"] is None
    assert report["settings"]["discount"] is None
    assert {figure["estimand"]["horizon"] for figure in policy["estimates"].values()} == {"a decision"}


def test_every_figure_has_an_interval_a_difference_and_its_doubt(tell: Tell, tmp_path: Path) -> None:
    (policy,) = report_of(tell, bandit_log(tmp_path / "log.csv"))["policies"]

    for name, figure in policy["estimates"].items():
        lower, upper = figure["bootstrap"]
        assert lower < figure["value"] < upper
        assert figure["difference"]["lower"] < figure["difference"]["value"] < figure["difference"]["upper"]
        assert (figure["lower_bound"] is not None) == (name == columns.IPS)
    assert "reward model alone" in policy["estimates"][columns.DM]["doubt"]
    shrunk = policy["estimates"][names.SHRUNK_DR]
    assert shrunk["tuned"]["parameter"] == "lambda"
    assert ("does not contain that bias" in (shrunk["doubt"] or "")) == (shrunk["tuned"]["changed"] > 0)
    assert policy["estimates"][columns.DR]["reliable"] and policy["estimates"][columns.DR]["tuned"] is None


@pytest.mark.parametrize("options", [(), ("--brief",), ("--fqe", "--fqe-updates", 50), ("--clip", 1.2)])
def test_there_is_no_word_of_what_comes_after_a_decision(
    tell: Tell, tmp_path: Path, options: tuple[object, ...]
) -> None:
    text = tell(bandit_log(tmp_path / "log.csv"), "--data-name", "the log", *options)

    assert [word for word in OF_EPISODES if word in text.lower()] == []
    assert "200 decisions" in text
    assert text.count(" IPS ") <= 1


def test_a_log_that_tells_nothing_says_so_without_windows(tell: Tell, tmp_path: Path) -> None:
    log = bandit_log(tmp_path / "log.csv", target_action_probabilities=["[0.2, 0.8]"] * 100 + ["[0.8, 0.2]"] * 100)
    frame = pd.read_csv(log)
    frame["action"] = 0
    frame["target_action_probabilities"] = "[0.0, 1.0]"
    frame.to_csv(log, index=False)

    text = tell(log)

    assert "The log cannot tell" in text
    assert [word for word in OF_EPISODES if word in text.replace(str(log), "")] == []


def test_names_of_estimators_of_a_return_mean_what_they_are_for_one_step(tell: Tell, tmp_path: Path) -> None:
    log = bandit_log(tmp_path / "log.csv")

    def asked(text: str) -> set[str]:
        return set(report_of(tell, log, "--estimators", text)["policies"][0]["estimates"])

    assert asked("is,pdis,wis,pdwis") == {columns.IPS, names.SNIPS}
    assert asked("sdr,wdr") == {columns.DR, names.SNDR}
    assert asked("ips,dros,switch") == {columns.IPS, names.SHRUNK_DR, names.SWITCH_DR}
    assert asked("dm") == {columns.DM}
    assert report_of(tell, log, "--estimators", "dr")["policies"][0]["verdict"]["estimate"] == columns.DR


def test_values_of_the_log_are_the_reward_model(tell: Tell, tmp_path: Path) -> None:
    exact = bandit_log(tmp_path / "log.csv", target_q_values=["[0, 1]"] * 200)

    report = report_of(tell, exact)

    assert report["policies"][0]["estimates"][columns.DM]["value"] == pytest.approx(0.8)
    assert any("target_q_values" in remark for remark in report["remarks"])
    assert names.DM_VALUE not in report["policies"][0]["estimates"]


def test_the_taken_actions_propensity_is_enough(tell: Tell, tmp_path: Path) -> None:
    log = bandit_log(tmp_path / "log.csv")
    whole = report_of(tell, log)
    pd.read_csv(log).drop(columns="all_action_probabilities").assign(propensity=0.5).to_csv(log, index=False)

    alone = report_of(tell, log)

    assert alone["policies"][0]["estimates"] == whole["policies"][0]["estimates"]


def test_a_discount_is_said_to_change_nothing(tell: Tell, tmp_path: Path) -> None:
    log = bandit_log(tmp_path / "log.csv")
    plain, discounted = report_of(tell, log), report_of(tell, log, "--discount", 0.5)

    assert discounted["policies"][0]["estimates"] == plain["policies"][0]["estimates"]
    assert any("--discount 0.5 changes nothing" in remark for remark in discounted["remarks"])


def test_click_rates_are_shown_with_digits_that_mean_something(tell: Tell, tmp_path: Path) -> None:
    log = bandit_log(tmp_path / "clicks.csv", n=4000, rate=0.008)
    text, report = tell(log), report_of(tell, log)

    figure = report["policies"][0]["estimates"][columns.IPS]
    lower, upper = figure["bootstrap"]
    assert 0.003 < figure["value"] < 0.01 and upper - lower < 0.01
    # Two digits of the width of the interval, which is below 0.01: four decimals.
    assert f"{figure['value']:.4f}  [{lower:.4f}, {upper:.4f}]" in re.sub(r" +(?=0\.\d+  \[)", "", text)
    assert len(repr(figure["value"])) > 10


def test_an_episode_of_two_steps_makes_a_log_of_episodes(tell: Tell, tmp_path: Path) -> None:
    log = bandit_log(tmp_path / "log.csv")
    frame = pd.read_csv(log)
    frame.loc[1, "episode_id"] = 0
    frame.to_csv(log, index=False)

    (policy,) = report_of(tell, log)["policies"]

    assert {names.WIS, names.PDWIS, names.IS, names.PDIS} < set(policy["estimates"])


def test_a_thousand_actions_are_scored_without_a_copy_of_their_probabilities() -> None:
    n, n_actions = 30_000, 1000
    rng = np.random.default_rng(0)
    states = rng.normal(size=(n, 5)).astype(np.float32)
    data = Dataset(
        states=states,
        actions=rng.integers(0, n_actions, n),
        rewards=rng.binomial(1, 0.004, n).astype(np.float64),
        next_states=states,
        terminal=np.ones(n, np.bool_),
        behavior_policy=np.full((n, n_actions), 1 / n_actions),
        offsets=np.arange(n + 1),
        episode_ids=tuple(map(str, range(n))),
        state_columns=("a", "b", "c", "d", "e"),
    )
    target = np.full((n, n_actions), 1 / n_actions)

    tracemalloc.start()
    scorer = DecisionScorer(EpisodeLog(data, 1.0), ScoreSettings(resamples=0))
    figures = scorer.score(ScoredPolicy("uniform", target)).report.figures
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < target.nbytes / 2
    assert figures[columns.IPS].value == pytest.approx(data.rewards.mean())
