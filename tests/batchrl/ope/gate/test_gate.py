"""The gate: what promotes, by the definition of its bounds, and how often it errs over whole loops."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from batchrl.data.dataset import Dataset, Floats64
from batchrl.ope.estimators.bootstrap import Estimate, resampled
from batchrl.ope.estimators.student import student_interval, student_quantile
from batchrl.ope.gate.gate import Outcome, judge_by_canary, judge_by_log
from batchrl.ope.gate.level import Level
from batchrl.ope.gate.two_samples import difference_of_means
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy, Values
from batchrl.ope.study.paired import null_error, paired_difference
from launcher.iterate import gate as launcher_gate

sys.path.insert(0, str(Path(__file__).parents[4] / "bench"))
import gate_errors

DISCOUNT = gate_errors.DISCOUNT
IN_PLACE = np.array([[0.7, 0.3], [0.4, 0.6]])
LEVEL = Level(0.02, seed=3)


def log_of(n: int = 200, seed: int = 0, process: gate_errors.Process = "equal") -> Dataset:
    return gate_errors.play(IN_PLACE, n, process, np.random.default_rng(seed))


def candidate_on(data: Dataset, policy: Floats64, values: Floats64 | None = gate_errors.GUESS) -> ScoredPolicy:
    where = data.states.argmax(axis=1)
    return ScoredPolicy("candidate", policy[where], None if values is None else Values(values[where]))


@pytest.mark.parametrize("values", [None, gate_errors.GUESS])
@pytest.mark.parametrize("noise", [0.0, 1e-8])
def test_a_candidate_that_acts_as_the_policy_in_place_is_undecided_in_those_words(
    values: Floats64 | None, noise: float
) -> None:
    """Also where values make its estimate another number than the logged return."""
    data = log_of()
    policy = IN_PLACE + noise * np.array([1, -1])
    decision = judge_by_log(EpisodeLog(data, DISCOUNT), candidate_on(data, policy, values), LEVEL)
    assert decision.outcome == "undecided" and decision.to_json()["acts_alike"] is True
    assert "acts as the incumbent policy does" in decision.reason
    if values is None:
        assert decision.difference.value == pytest.approx(0, abs=1e-6)
    else:
        assert decision.difference.standard_error > 0.01


def test_another_policy_is_not_said_to_act_alike_where_nothing_was_rewarded() -> None:
    data = replace(log_of(), rewards=np.zeros(log_of().n_transitions))
    other = candidate_on(data, np.array([[0.6, 0.4], [0.3, 0.7]]), None)
    decision = judge_by_log(EpisodeLog(data, DISCOUNT), other, LEVEL)
    assert decision.outcome == "undecided" and decision.to_json()["acts_alike"] is False
    assert "only 0 of 200 returns differ" in decision.to_json()["doubt"]


def test_another_policy_is_not_said_to_act_alike_where_no_action_matters() -> None:
    data = gate_errors.play(IN_PLACE, 200, "equal", np.random.default_rng(0), steps=1)
    paid = data.states.argmax(axis=1).astype(np.float64)
    other = replace(
        candidate_on(data, np.array([[0.6, 0.4], [0.3, 0.7]])), own_values=Values(np.stack([paid, paid], axis=1))
    )
    decision = judge_by_log(EpisodeLog(replace(data, rewards=paid), DISCOUNT), other, LEVEL)
    assert decision.outcome == "undecided" and decision.to_json()["acts_alike"] is False
    assert decision.to_json()["doubt"] == "the difference is the same in all of them"


def test_the_difference_is_that_of_the_definition() -> None:
    """``V(s_0)`` plus weighted residuals, summed by hand, minus the mean logged return."""
    data = log_of(40)
    policy = np.array([[0.5, 0.5], [0.3, 0.7]])
    log = EpisodeLog(data, DISCOUNT)
    scored = candidate_on(data, policy)
    found = paired_difference(log, scored, log.log_ratios(scored.probabilities)).value

    episodes = [range(a, b) for a, b in zip(data.offsets[:-1], data.offsets[1:], strict=True)]
    where = data.states.argmax(axis=1)
    values = (policy * gate_errors.GUESS).sum(axis=1)[where]
    total = np.mean([values[episode[0]] for episode in episodes])
    ratios = policy[where, data.actions] / data.behavior_policy[np.arange(len(where)), data.actions]
    weights = np.ones((len(episodes), gate_errors.STEPS))
    residuals = np.zeros_like(weights)
    for row, episode in enumerate(episodes):
        so_far = 1.0
        for step in range(gate_errors.STEPS):
            if step < len(episode):
                at = episode[step]
                so_far *= ratios[at]
                following = values[at + 1] if step + 1 < len(episode) else 0.0
                taken = gate_errors.GUESS[where[at], data.actions[at]]
                residuals[row, step] = data.rewards[at] - taken + DISCOUNT * following
            weights[row, step] = so_far
    corrections = (weights * residuals).sum(axis=0) / weights.sum(axis=0)
    total += corrections @ DISCOUNT ** np.arange(gate_errors.STEPS)
    returns = [sum(DISCOUNT**k * data.rewards[at] for k, at in enumerate(episode)) for episode in episodes]
    assert found == pytest.approx(total - np.mean(returns))


def test_the_bounds_are_one_sided_at_the_level_and_the_wider_of_two() -> None:
    data = log_of()
    log = EpisodeLog(data, DISCOUNT)
    scored = candidate_on(data, np.array([[0.6, 0.4], [0.3, 0.7]]))
    decision = judge_by_log(log, scored, LEVEL)

    quotients = paired_difference(log, scored, log.log_ratios(scored.probabilities))
    drawn = resampled([quotients], LEVEL.resamples, LEVEL.seed)[:, 0]
    least = null_error(log, scored, log.log_ratios(scored.probabilities))
    student = student_interval(quotients, 1 - 2 * LEVEL.alpha, least)
    assert decision.difference.lower == min(np.quantile(drawn, 0.02), student.lower)
    assert decision.difference.upper == max(np.quantile(drawn, 0.98), student.upper)
    assert decision.to_json()["confidence"] == 0.98
    assert decision.to_json()["episodes"] == 200


def test_a_better_candidate_is_promoted_and_a_worse_one_kept_out() -> None:
    data = log_of(600, process="better")
    log = EpisodeLog(data, DISCOUNT)
    better, worse = (np.array([[p, 1 - p], [p - 0.3, 1.3 - p]]) for p in (0.85, 0.5))
    promoted = judge_by_log(log, candidate_on(data, better), LEVEL)
    kept_out = judge_by_log(log, candidate_on(data, worse), LEVEL)
    assert promoted.outcome == "promoted" and promoted.difference.lower > 0
    assert promoted.reason.startswith("Promoted: by the 600 unseen episodes") and "98 % confidence" in promoted.reason
    assert kept_out.outcome == "kept out" and kept_out.difference.upper < 0


def test_what_the_reliability_rules_doubt_is_undecided_in_their_words() -> None:
    data = log_of(150, process="better")
    decision = judge_by_log(EpisodeLog(data, DISCOUNT), candidate_on(data, np.array([[1, 0], [1.0, 0]])), LEVEL)
    assert decision.difference.lower > 0  # the figure alone would promote
    assert decision.outcome == "undecided"
    assert "cannot tell: the effective sample size is" in decision.reason
    assert decision.to_json()["doubt"] in decision.reason


@pytest.mark.parametrize(("alpha", "resamples"), [(0.2, 2000), (0.05 / 8, 16_000), (1e-9, 100_000)])
def test_the_tail_of_a_level_has_enough_resamples(alpha: float, resamples: int) -> None:
    assert Level(alpha).resamples == resamples


def test_a_canary_is_judged_by_the_wider_of_welchs_t_and_the_studentised_bootstrap() -> None:
    rng = np.random.default_rng(0)
    canary, in_place = 200 - rng.exponential(20, 80), 150 + rng.exponential(10, 120)
    decision = judge_by_canary(canary, in_place, LEVEL, DISCOUNT)

    parts = canary.var(ddof=1) / 80, in_place.var(ddof=1) / 120
    error = math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 79 + parts[1] ** 2 / 119)
    value = canary.mean() - in_place.mean()
    welch = value - student_quantile(0.98, freedom) * error
    assert decision.outcome == "promoted"
    assert decision.difference.value == pytest.approx(value)
    assert decision.difference.standard_error == pytest.approx(error)
    # The candidate's returns pile up below a cap: the bootstrap is more careful than Welch there.
    assert decision.difference.lower < welch - 0.05 * error
    assert decision.difference.upper >= value + student_quantile(0.98, freedom) * error - 1e-12
    assert decision.to_json()["canary_return"]["value"] == pytest.approx(canary.mean())
    assert (decision.to_json()["episodes"], decision.to_json()["episodes_in_place"]) == (80, 120)


def test_canaries_that_lose_or_cannot_be_told_apart() -> None:
    rng = np.random.default_rng(1)
    low, high = rng.normal(0, 1, 100), rng.normal(3, 1, 100)
    assert judge_by_canary(low, high, LEVEL, DISCOUNT).outcome == "kept out"
    assert judge_by_canary(low, rng.normal(0, 1, 100), LEVEL, DISCOUNT).outcome == "undecided"


def rare(n: int, rewarded: int, reward: float = 1.0) -> Floats64:
    return np.concatenate([np.full(rewarded, reward), np.zeros(n - rewarded)])


def test_a_hold_out_that_saw_no_reward_is_not_taken_for_one_that_earns_none() -> None:
    """Its variance is 0, but the canary shows what two samples of one policy would differ by."""
    canary, in_place = rare(1000, 20), rare(150, 0)
    decision = judge_by_canary(canary, in_place, LEVEL, DISCOUNT)
    assert decision.outcome == "undecided" and decision.difference.lower < 0
    pooled = 999 * canary.var(ddof=1) / 1148
    assert decision.difference.standard_error == pytest.approx(math.sqrt(pooled * (1 / 1000 + 1 / 150)))


def test_the_errors_of_samples_of_equal_sizes_are_welchs() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 70), rng.exponential(5, 70)
    error = math.sqrt(first.var(ddof=1) / 70 + second.var(ddof=1) / 70)
    assert difference_of_means(first, second, LEVEL).standard_error == pytest.approx(error)


@pytest.mark.parametrize(
    ("rewarded", "seen", "outcome"),
    [(60, 0, "undecided"), (60, 9, "undecided"), (300, 0, "promoted"), (300, 9, "promoted"), (200, 12, "promoted")],
)
def test_few_returns_that_differ_decide_only_what_a_few_more_would_not_undo(
    rewarded: int, seen: int, outcome: str
) -> None:
    canary, in_place = rare(1000, rewarded), rare(150, seen)
    decision = judge_by_canary(canary, in_place, LEVEL, DISCOUNT)
    assert decision.outcome == outcome
    if seen == 0 and outcome == "undecided":
        assert decision.difference.lower > 0  # the bound alone would promote
        assert "only 0 of 150 returns of the incumbent policy differ from the most common one" in decision.reason
    # What keeps a candidate out is the mirror image of what promotes it.
    mirrored = judge_by_canary(-canary, -in_place, LEVEL, DISCOUNT)
    assert mirrored.outcome == outcome.replace("promoted", "kept out")


def test_candidates_at_a_cap_are_told_from_those_that_reach_it_less_often() -> None:
    canary, in_place = 200 - rare(200, 3, 50.0), 200 - rare(150, 60, 50.0)
    assert judge_by_canary(canary, in_place, LEVEL, DISCOUNT).outcome == "promoted"


def log_with_rewards(preferred: int, other: int) -> EpisodeLog:
    """200 episodes of one step, 150 with action 0, of which so many of each action were rewarded."""
    actions = np.repeat([0, 1], [150, 50])
    rewards = np.concatenate([rare(150, preferred), rare(50, other)])
    states = np.zeros((200, 1), dtype=np.float32)
    data = Dataset(
        states=states,
        actions=actions,
        rewards=rewards,
        next_states=states,
        terminal=np.ones(200, dtype=np.bool_),
        behavior_policy=np.tile([0.75, 0.25], (200, 1)),
        offsets=np.arange(201),
        episode_ids=tuple(map(str, range(200))),
        state_columns=("a",),
    )
    return EpisodeLog(data, DISCOUNT)


def test_rewards_too_few_to_tell_actions_apart_promote_nothing() -> None:
    """Eight rewards, all after the action that the candidate prefers: one in ten logs of no difference looks so."""
    log = log_with_rewards(8, 0)
    scored = ScoredPolicy("candidate", np.tile([0.9, 0.1], (200, 1)))
    ratios = log.log_ratios(scored.probabilities)
    quotients = paired_difference(log, scored, ratios)
    assert student_interval(quotients, 1 - 2 * LEVEL.alpha).lower > 0  # the sample variance alone would promote
    decision = judge_by_log(log, scored, LEVEL)
    assert decision.outcome == "undecided" and decision.difference.lower < 0
    # Weights 1.2 and 0.4 in 150 and 50 episodes, 8 rewards in 200, of the weighted mean 8 * 1.2 / 200.
    spread = (150 * 0.2**2 + 50 * 0.6**2) / 200
    squares = (8 * (1 - 0.048) ** 2 + 192 * 0.048**2) / 200
    assert decision.difference.standard_error == pytest.approx(math.sqrt(spread * squares / 200))
    assert judge_by_log(log_with_rewards(60, 0), scored, LEVEL).outcome == "promoted"


@pytest.mark.parametrize("pair", [([200.0] * 50, [200.0] * 50), ([200.0] * 50, [150.0] * 50), ([1.0], [2.0, 3.0])])
def test_returns_that_do_not_vary_decide_nothing(pair: tuple[list[float], list[float]]) -> None:
    decision = judge_by_canary(*(np.array(sample) for sample in pair), LEVEL, DISCOUNT)
    assert decision.outcome == "undecided"
    assert "do not vary" in decision.reason
    assert json.loads(json.dumps(decision.to_json(), allow_nan=False))["difference"]["lower"] is None


def test_returns_that_nearly_all_lie_at_a_cap_have_no_bound_beyond_it() -> None:
    """Two of 60 episodes missed the cap: a resample without them says nothing of how often they do."""
    cap = (1 - 0.99**200) / (1 - 0.99)
    canary, in_place = np.full(200, cap), np.full(60, cap)
    in_place[:2] -= 20.0
    decision = judge_by_canary(canary, in_place, LEVEL, DISCOUNT)
    assert decision.outcome == "undecided"
    assert decision.difference.upper == math.inf and -1 < decision.difference.lower < 0
    assert "above -0." in decision.reason and "below" not in decision.reason
    assert json.loads(json.dumps(decision.to_json(), allow_nan=False))["difference"]["upper"] is None


def test_a_candidate_at_the_cap_is_promoted_over_one_far_below_it() -> None:
    in_place = np.random.default_rng(2).exponential(20, 60)
    decision = judge_by_canary(np.full(200, 86.6), in_place, LEVEL, DISCOUNT)
    assert decision.outcome == "promoted" and decision.difference.lower > 50


def test_no_interval_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchrl.ope.gate.gate.student_interval", lambda quotients, *_: Estimate(quotients.value))
    data = log_of(600, process="better")
    better = np.array([[0.85, 0.15], [0.55, 0.45]])
    decision = judge_by_log(EpisodeLog(data, DISCOUNT), candidate_on(data, better), LEVEL)
    assert decision.outcome == "undecided" and "no interval" in decision.reason


@pytest.mark.parametrize(("with_canary", "looks"), [(True, 2), (False, 1)])
def test_every_look_of_the_measured_loops_has_its_share_of_alpha(
    monkeypatch: pytest.MonkeyPatch, with_canary: bool, looks: int
) -> None:
    """What ``bench/gate_errors.py`` measures is what a loop does, at the levels of ``launcher.iterate.gate.Level``."""
    seen: list[tuple[str, float]] = []

    def noted(name: str) -> Callable[..., Outcome]:
        def outcome(first: object, second: object, level: Level) -> Outcome:
            seen.append((name, level.alpha))
            return "undecided"

        return outcome

    monkeypatch.setattr(gate_errors, "outcome_of_log", noted("log"))
    monkeypatch.setattr(gate_errors, "outcome_of_canary", noted("canary"))
    gate_errors.measure("equal", 2, rounds=4, alpha=0.2, with_canary=with_canary)
    share = launcher_gate.Level(0.2, 4, with_canary).alpha_of_a_look
    assert share == pytest.approx(0.2 / (4 * looks))
    assert seen == [(name, pytest.approx(share)) for name in ("log", "canary")[:looks]] * 8


@pytest.mark.parametrize("alpha", [0.02, 0.1])
def test_bounds_that_a_look_reports_are_at_its_own_level(alpha: float) -> None:
    """With as many episodes as here both intervals are those of a normal: a level twice as lax would stand out."""
    rng = np.random.default_rng(4)
    canary, in_place = rng.normal(0.1, 1, 2000), rng.normal(0, 1, 2000)
    expected = NormalDist().inv_cdf(1 - alpha)
    data = log_of(2000)
    scored = candidate_on(data, np.array([[0.6, 0.4], [0.3, 0.7]]))
    level = Level(alpha, seed=1)
    for decision in (judge_by_canary(canary, in_place, level, 1.0), judge_by_log(EpisodeLog(data, 0.9), scored, level)):
        found = decision.difference
        for distance in (found.value - found.lower, found.upper - found.value):
            assert distance / found.standard_error == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("case", gate_errors.CANARY_CASES, ids=lambda case: f"{case.name} {case.held_out}")
def test_canaries_of_policies_that_are_worth_the_same_seldom_promote(case: gate_errors.CanaryCase) -> None:
    """One is expected in 200 looks at 0.6 %; a spread that is taken for known promotes 10 to 40 in the first cases."""
    assert gate_errors.measure_canary(case, 200) <= 3 / 200


def test_measured_outcomes_are_those_of_the_gate() -> None:
    """Those that need no bootstrap, too."""
    for seed in range(12):
        data = log_of(150, seed, process="better" if seed % 2 else "equal")
        log, scored = EpisodeLog(data, DISCOUNT), candidate_on(data, np.array([[0.6, 0.4], [0.3, 0.7]]))
        assert gate_errors.outcome_of_log(log, scored, LEVEL) == judge_by_log(log, scored, LEVEL).outcome
        canary, in_place = log_of(60, seed + 50).discounted_returns(1.0), data.discounted_returns(1.0)
        found = gate_errors.outcome_of_canary(canary, in_place, LEVEL)
        assert found == judge_by_canary(canary, in_place, LEVEL, 1.0).outcome


def test_better_policies_are_promoted() -> None:
    errors = gate_errors.measure("better", 10, rounds=2, tilt=0.1, seed=5)
    assert errors.promoted == 1.0
    assert errors.by_log > 0.5
