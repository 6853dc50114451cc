"""Several loggers in estimates: by simulation against the truth, by hand, and in what ``ope`` says and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scripts import script_module

from batchrl.contract import columns
from batchrl.contract import estimators as names
from batchrl.data.balancing import with_balanced_loggers
from batchrl.data.behaviour import with_estimated_behavior
from batchrl.data.dataset import Dataset, Floats64
from batchrl.ope.estimators import contextual, trajectories
from batchrl.ope.estimators.quotients import Quotients
from batchrl.ope.estimators.student import influence, student_interval
from batchrl.ope.estimators.weights import trajectory_log_weights
from batchrl.ope.report.words import OF_DECISIONS
from batchrl.ope.study.estimation import Estimation
from batchrl.ope.study.logged import EpisodeLog
from batchrl.ope.study.loggers import within_loggers
from batchrl.ope.study.support import doubt_of_support

# What offers pay in each of two kinds of context, and what the policy to be scored does there.
REWARDS = np.array([[1.0, 3.0, 0.0], [0.0, 2.0, 5.0]])
TARGET = np.array([[0.5, 0.5, 0.0], [0.0, 0.4, 0.6]])
TRUTH = float((TARGET * REWARDS).sum(axis=1).mean())
# Neither ever does all that the target does; and both do, each another part of it hardly ever.
APART = np.array([[0.9, 0.1, 0.0], [0.0, 0.2, 0.8]])
SKEWED = np.array([[0.9, 0.08, 0.02], [0.02, 0.18, 0.8]])


def decisions(n: int, policies: Floats64, rng: np.random.Generator, steps: int = 1) -> Dataset:
    """Episodes of steps whose contexts are drawn anew, three in ten by the first logger."""
    loggers = (np.arange(n) >= 0.3 * n).astype(np.int64)
    contexts = rng.integers(0, 2, n * steps)
    chances = policies[np.repeat(loggers, steps)]
    actions = (chances.cumsum(axis=1) < rng.random((n * steps, 1))).sum(axis=1)
    states = contexts[:, None].astype(np.float32)
    ends = np.arange(1, n * steps + 1) % steps == 0
    return Dataset(
        states=states,
        actions=actions,
        rewards=REWARDS[contexts, actions] + rng.normal(0, 0.5, n * steps),
        next_states=states,
        terminal=ends,
        behavior_policy=chances,
        offsets=np.arange(n + 1) * steps,
        episode_ids=("",) * n,
        state_columns=("x",),
        action_names=("a", "b", "c"),
        loggers=loggers,
        logger_names=("one", "two"),
    )


def target_on(data: Dataset) -> Floats64:
    """``[N, A]``."""
    return TARGET[data.states[:, 0].astype(np.int64)]


def ips(data: Dataset, target: Floats64 | None = None) -> tuple[EpisodeLog, Quotients]:
    log = EpisodeLog(data, 1.0)
    with np.errstate(divide="ignore"):
        weights = np.exp(log.log_ratios(target_on(data) if target is None else target)[:, 0])
    return log, contextual.inverse_propensity_score(weights, data.rewards)


def repeated(policies: Floats64, logs: int = 600) -> tuple[Floats64, Floats64]:
    """``[logs]`` each: IPS with every row's own propensity, and with the balance heuristic."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(logs):
        data = decisions(200, policies, rng)
        found.append([ips(each)[1].value for each in (data, with_balanced_loggers(data))])
    own, balanced = np.array(found).T
    return own, balanced


def off(values: Floats64, truth: float) -> float:
    """How many standard errors the mean of values is away from a truth."""
    return float(abs(values.mean() - truth) / (values.std(ddof=1) / np.sqrt(len(values))))


def test_the_balance_heuristic_is_unbiased_where_loggers_of_other_supports_are_not() -> None:
    own, balanced = repeated(APART)
    assert off(balanced, TRUTH) < 3.5
    # Each logger leaves out what it never does.
    seen = [(TARGET * REWARDS * (policy > 0)).sum(axis=1).mean() for policy in APART]
    assert off(own, 0.3 * seen[0] + 0.7 * seen[1]) < 3.5 and off(own, TRUTH) > 20


def test_the_balance_heuristic_has_a_smaller_variance_where_both_are_unbiased() -> None:
    own, balanced = repeated(SKEWED)
    assert off(balanced, TRUTH) < 3.5 and off(own, TRUTH) < 3.5
    assert balanced.var(ddof=1) < own.var(ddof=1) / 5


def test_trajectories_are_balanced_as_decisions_are() -> None:
    rng = np.random.default_rng(12)
    found = []
    for _ in range(400):
        data = decisions(200, SKEWED, rng, steps=3)
        values = []
        for each in (data, with_balanced_loggers(data)):
            log = EpisodeLog(each, 1.0)
            log_weights = trajectory_log_weights(log.log_ratios(target_on(each)))
            returns = trajectories.discounted_returns(log.rewards, 1.0)
            values.append(trajectories.importance_sampling(log_weights, returns).value)
        found.append(values)
    own, balanced = np.array(found).T
    assert off(balanced, 3 * TRUTH) < 3.5
    assert balanced.var(ddof=1) < own.var(ddof=1) / 3


def test_errors_are_those_that_fresh_logs_show() -> None:
    rng = np.random.default_rng(13)
    values, told, between = [], [], []
    policies, always = np.array([[0.1, 0.9, 0.0], [0.5, 0.1, 0.4]]), np.tile([0.0, 1.0, 0.0], (300, 1))
    for _ in range(500):
        log, estimator = ips(with_balanced_loggers(decisions(300, policies, rng)), always)
        (moved,) = log.with_estimation([estimator])
        assert moved.value == pytest.approx(estimator.value, abs=1e-12)
        values.append(moved.value)
        told.append(student_interval(moved, 0.95).standard_error)
        between.append(student_interval(estimator, 0.95).standard_error)
    seen = float(np.std(values, ddof=1))
    assert np.mean(told) == pytest.approx(seen, rel=0.1)
    assert np.mean(between) > 1.3 * seen


def test_what_is_left_varies_within_loggers_alone() -> None:
    data = with_balanced_loggers(decisions(300, SKEWED, np.random.default_rng(1)))
    _, estimator = ips(data)
    before, after = influence(estimator), influence(within_loggers(estimator, data))
    assert data.loggers is not None
    for logger in (0, 1):
        mine = data.loggers == logger
        np.testing.assert_allclose(after[mine], before[mine] - before[mine].mean(), atol=1e-12)
    # A logger of a few episodes is left as it is.
    rare = replace(data, loggers=np.where(np.arange(300) < 5, 0, 1))
    kept = influence(within_loggers(estimator, rare))
    np.testing.assert_allclose(np.diff(kept[:5]), np.diff(before[:5]))
    assert abs(before[:5].mean() - kept[:5].mean()) < 0.1 * abs(before[:5].mean())


def test_errors_count_that_each_loggers_policy_was_estimated() -> None:
    rng = np.random.default_rng(14)
    values, told = [], []
    policies = np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])
    for _ in range(150):
        raw = replace(decisions(600, policies, rng), behavior_policy=None)
        data, _ = with_estimated_behavior(raw, balanced=True)
        log, estimator = ips(data)
        assert isinstance(log.estimation, Estimation) and log.estimation.basis is not None
        assert log.estimation.basis.shape[1] == 2 * (3 - 1) * 2
        (moved,) = log.with_estimation([estimator])
        values.append(moved.value)
        told.append(student_interval(moved, 0.95).standard_error)
    assert np.mean(told) == pytest.approx(np.std(values, ddof=1), rel=0.15)
    assert abs(np.mean(values) - TRUTH) < 0.05


def test_intervals_hold_where_each_logger_never_does_what_the_other_does() -> None:
    rng = np.random.default_rng(15)
    covered = 0
    for _ in range(100):
        raw = replace(decisions(400, APART, rng), behavior_policy=None)
        log, estimator = ips(with_estimated_behavior(raw, balanced=True)[0])
        found = student_interval(log.with_estimation([estimator])[0], 0.95)
        covered += found.lower <= TRUTH <= found.upper
    assert covered >= 88


def test_what_no_logger_does_is_told_and_what_one_does_is_not() -> None:
    data = decisions(200, APART, np.random.default_rng(2))
    balanced = with_balanced_loggers(data)
    assert doubt_of_support(EpisodeLog(balanced, 1.0), target_on(data), OF_DECISIONS) is None
    never = with_balanced_loggers(
        decisions(200, np.array([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0]]), np.random.default_rng(2))
    )
    told = doubt_of_support(EpisodeLog(never, 1.0), target_on(never), OF_DECISIONS)
    share = target_on(never)[:, 2].mean()
    assert told is not None and told.startswith(f"{share:.2%} of its probability") and "(c)" in told


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return script_module("ope")


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run it: exit code, stdout, stderr."""

    def once(*options: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = script.main([str(option) for option in options])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return once


def written(path: Path, n: int = 400, **more: Any) -> pd.DataFrame:
    """A log as a file, with the policy to be scored in it."""
    data = decisions(n, APART, np.random.default_rng(3))
    assert data.loggers is not None
    frame = pd.DataFrame(
        {
            "episode_id": np.arange(n),
            "variant": np.array(data.logger_names)[data.loggers],
            "action": np.array(data.action_names)[data.actions],
            "reward": data.rewards,
            "propensity": data.propensities,
            "state_feature_0": data.states[:, 0],
            "target_action_probabilities": [str(row.tolist()) for row in target_on(data)],
            **more,
        }
    )
    frame.to_csv(path, index=False)
    return frame


def test_the_script_balances_the_loggers(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    frame = written(path)
    code, out, err = run(path, "--map", "logger=variant", "--loggers", "balanced", "--json")
    assert code == 0, err
    report = json.loads(out)
    figures = report["policies"][0]["estimates"]
    actions = frame["action"].map({"a": 0, "b": 1, "c": 2}).to_numpy()
    chances = TARGET[frame["state_feature_0"].astype(int), actions]
    weights = chances / (np.array([0.3, 0.7]) @ APART[:, actions])
    assert figures[columns.IPS]["value"] == pytest.approx((weights * frame["reward"]).mean())
    assert figures[names.SNIPS]["value"] == pytest.approx((weights * frame["reward"]).sum() / weights.sum())
    assert any("one 120, two 280. They are balanced" in remark for remark in report["remarks"])
    assert report["settings"]["loggers"] == "balanced"
    assert report["policies"][0]["reliable"]
    # Each row by its own logger: what each never does is missing, and the mean weight shows it.
    code, out, err = run(path, "--map", "logger=variant", "--json")
    report = json.loads(out)
    own = chances / frame["propensity"]
    (policy,) = report["policies"]
    assert policy["estimates"][columns.IPS]["value"] == pytest.approx((own * frame["reward"]).mean())
    assert "mean weight" in policy["doubt"] and report["settings"]["loggers"] == "separate"
    assert any("Each decision is weighed by the probabilities of its own logger" in text for text in report["remarks"])


def test_the_script_says_why_loggers_cannot_be_balanced(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    written(path)
    code, _, err = run(path, "--loggers", "balanced")
    assert code == 2 and "columns.logger" in err
    frame = written(path)
    frame["propensity"] *= 1 - 0.1 * frame["state_feature_0"]
    frame.to_csv(path, index=False)
    code, _, err = run(path, "--map", "logger=variant", "--loggers", "balanced")
    assert code == 2 and "by the state" in err and "data.propensities to estimated" in err
    (tmp_path / "data.yaml").write_text("{columns: {logger: variant}, propensities: estimated, loggers: balanced}")
    code, out, err = run(path, "--data-spec", tmp_path / "data.yaml", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["policies"][0]["estimates"][columns.IPS]["value"] == pytest.approx(TRUTH, abs=0.5)
    assert any(text.startswith("Estimated propensities") for text in report["remarks"])
