"""Whether a log can tell: by what makes intervals fail, not by a share of its episodes."""

from __future__ import annotations

import numpy as np

from batchrl.contract import estimators as names
from batchrl.data.dataset import Dataset, Floats64, Integers
from batchrl.ope.report.reliability import doubt_of_interval
from batchrl.ope.report.report import OpeReport, PolicyReport
from batchrl.ope.report.text import full_report
from batchrl.ope.report.verdict import decide
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy, Values
from batchrl.ope.study.scoring import Scorer

LOGGED = "the logging policy"


def one_step(actions: Integers, behavior: Floats64, rewards: Floats64) -> EpisodeLog:
    """A log of episodes of one step."""
    n = len(actions)
    states = np.zeros((n, 1), dtype=np.float32)
    data = Dataset(
        states=states,
        actions=actions,
        rewards=rewards,
        next_states=states,
        terminal=np.ones(n, dtype=np.bool_),
        behavior_policy=behavior,
        offsets=np.arange(n + 1),
        episode_ids=tuple(map(str, range(n))),
        state_columns=("state_feature_0",),
    )
    return EpisodeLog(data, 1.0)


def judged(log: EpisodeLog, policy: ScoredPolicy) -> PolicyReport:
    return Scorer(log).score(policy).report


def uniform_log(n: int, n_actions: int, pays: float, seed: int = 0) -> tuple[EpisodeLog, Floats64]:
    """Uniform actions; the target is always action 0, which pays as often as said, and the others half as often."""
    rng = np.random.default_rng(seed)
    actions = rng.integers(n_actions, size=n)
    rewards = (rng.random(n) < np.where(actions == 0, pays, pays / 2)).astype(np.float64)
    target = np.zeros((n, n_actions))
    target[:, 0] = 1
    return one_step(actions, np.full((n, n_actions), 1 / n_actions), rewards), target


def test_a_uniform_log_with_34_actions_can_tell_though_one_row_in_34_counts() -> None:
    log, target = uniform_log(40_000, 34, 0.342)
    report = judged(log, ScoredPolicy("always the first", target))
    assert 1000 < report.weights.effective_episodes < 40_000 / 30
    figure = report.figures[names.WIS]
    assert report.doubt is None and figure.doubt is None
    assert figure.interval.lower < 0.342 < figure.interval.upper
    assert decide(report, LOGGED).outcome == "better"


def rare_log(n: int, pays: float) -> tuple[EpisodeLog, ScoredPolicy]:
    """Two actions, of which the target takes the rarer one nine times in ten: effective episodes are a third."""
    rng = np.random.default_rng(5)
    behavior, target = np.tile([0.7, 0.3], (n, 1)), np.tile([0.1, 0.9], (n, 1))
    actions = (rng.random(n) < 0.3).astype(np.int64)
    rewards = (rng.random(n) < pays).astype(np.float64)
    return one_step(actions, behavior, rewards), ScoredPolicy("rarer", target, Values(np.full((n, 2), pays)))


def test_few_rewards_cannot_tell_however_even_the_weights_are() -> None:
    log, policy = rare_log(200, 0.04)
    report = judged(log, policy)
    assert report.weights.effective_episodes / 200 > 0.3
    assert report.doubt is not None and "returns differ from the most common one" in report.doubt
    verdict = decide(report, LOGGED)
    assert (verdict.outcome, verdict.estimate) == ("unreliable", names.WDR)
    assert report.figures[names.WDR].to_json()["reliable"] is False

    enough = judged(*rare_log(4000, 0.04))
    assert enough.doubt is None and enough.figures[names.WDR].doubt is None


def test_rewards_that_only_the_log_has_cannot_tell_of_the_policy() -> None:
    """Plenty of rewards, hardly any where the policy acts."""
    rng = np.random.default_rng(2)
    n = 1000
    actions = (rng.random(n) < 0.5).astype(np.int64)
    rewards = np.where(actions == 0, rng.random(n) < 0.3, rng.random(n) < 0.01).astype(np.float64)
    report = judged(
        one_step(actions, np.full((n, 2), 0.5), rewards), ScoredPolicy("the second", np.tile([0.0, 1.0], (n, 1)))
    )
    assert report.doubt is not None and "of the episodes as the policy weighs them" in report.doubt


def test_skewed_rewards_are_doubted_by_the_episodes_that_tell_the_error() -> None:
    rng = np.random.default_rng(3)
    n = 1000
    rewards = rng.lognormal(0, 2.5, n)
    log = one_step(rng.integers(2, size=n), np.full((n, 2), 0.5), rewards)
    report = judged(log, ScoredPolicy("the second", np.tile([0.0, 1.0], (n, 1))))
    assert report.doubt is None
    figure = report.figures[names.WIS]
    assert figure.carrying < 20
    assert figure.doubt is not None and "effective episodes, fewer than 20" in figure.doubt
    assert decide(report, LOGGED).outcome == "unreliable"


def test_a_value_may_be_known_where_a_difference_is_not() -> None:
    """Nearly the logging policy: the value rests on all episodes, the difference on those few where they differ."""
    rng = np.random.default_rng(4)
    n = 2000
    behavior = np.full((n, 2), 0.5)
    target = behavior.copy()
    target[:12] = [0.1, 0.9]
    log = one_step(rng.integers(2, size=n), behavior, (rng.random(n) < 0.4).astype(np.float64))
    report = judged(log, ScoredPolicy("nearly the same", target))
    figure = report.figures[names.WIS]
    assert figure.doubt is None
    assert figure.difference_doubt is not None and "the error of the difference" in figure.difference_doubt
    assert decide(report, LOGGED).outcome == "unreliable"


def test_the_shown_interval_is_the_wider_of_percentiles_and_students() -> None:
    log, policy = rare_log(300, 0.2)
    report = judged(log, policy)
    for figure in report.figures.values():
        ends = figure.to_json()
        assert ends["interval"][0] == min(ends["bootstrap"][0], ends["student_t"][0])
        assert ends["interval"][1] == max(ends["bootstrap"][1], ends["student_t"][1])


def test_undefined_resamples_are_counted_and_doubted() -> None:
    """Of 30 episodes the policy agrees with two: one resample in eight has neither."""
    n = 30
    actions = np.zeros(n, dtype=np.int64)
    actions[:2] = 1
    log = one_step(actions, np.full((n, 2), 0.5), np.arange(n, dtype=np.float64))
    scorer = Scorer(log)
    report = scorer.score(ScoredPolicy("the second", np.tile([0.0, 1.0], (n, 1)))).report
    figure = report.figures[names.WIS]
    assert 60 < figure.undefined < 220  # of 1000, (28 / 30)^30 = 0.126
    assert figure.to_json()["undefined_resamples"] == figure.undefined
    assert report.figures[names.IS].undefined == 0
    whole = OpeReport(
        data={"source": "log", "episodes": n, "transitions": n, "actions": 2},
        scored={"episodes": n, "transitions": n, "which": "all"},
        settings={"confidence": 0.95, "resamples": 1000},
        mean_return=scorer.logged.value,
        logged=scorer.logged,
        logged_estimand=scorer.logged_estimand,
        baseline=LOGGED,
        policies=[report],
    )
    told = " ".join("\n".join(full_report(whole)).split())
    assert f"Up to {figure.undefined} of 1000 resamples leave a figure undefined" in told


def test_too_many_undefined_resamples_are_a_doubt() -> None:
    assert doubt_of_interval(100.0, False) is None
    assert "the ends of its interval are not known" in (doubt_of_interval(100.0, True) or "")
