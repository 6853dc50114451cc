"""Policies scored on a log: a golden vector, estimands, paired differences, what may be relied on."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from batchrl.agents.masks import Support
from batchrl.agents.model import PolicyModel
from batchrl.agents.model import Scorer as NetworkScorer
from batchrl.agents.networks import Network, NetworkShape
from batchrl.agents.target_policy import TargetPolicy
from batchrl.contract import columns
from batchrl.contract import estimators as names
from batchrl.contract.errors import InputError
from batchrl.data.dataset import Dataset, Floats64
from batchrl.ope.study.evaluator import Evaluator
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy, Values, policies_of
from batchrl.ope.study.scoring import Scorer, ScoreSettings
from presets.schema import OpeSettings

PROBABILITIES = np.array([[0.8, 0.2], [0.6, 0.4], [0.7, 0.3]])
Q_VALUES = np.array([[2.0, 1.0], [0.5, 0.8], [1.0, 0.5]])
REWARD_MODEL = np.array([[1.0, 0.5], [0.5, 1.0], [1.0, 0.0]])
# The value of the direct method is the mean of V(s_0) = (1.8 + 0.85) / 2.
GOLDEN = {
    columns.IPS: 1.0666667,
    columns.DM: 0.7666667,
    columns.DR: 1.0333333,
    names.SDR: 1.27596,
    names.IS: 1.5568,
    names.WIS: 1.6561702,
    names.PDIS: 1.7168,
    names.PDWIS: 1.6097485,
    names.WDR: 1.2510054,
    names.DM_VALUE: 1.325,
}


def make_dataset(lengths: list[int], actions: list[int], rewards: list[float], cut: bool = False) -> Dataset:
    """Two actions, one feature, logged by a coin."""
    n = sum(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    terminal = np.zeros(n, dtype=np.bool_)
    terminal[offsets[1:] - 1] = not cut
    states = np.arange(n, dtype=np.float32)[:, None]
    return Dataset(
        states=states,
        actions=np.array(actions, dtype=np.int64),
        rewards=np.array(rewards),
        next_states=states + 1,
        terminal=terminal,
        behavior_policy=np.full((n, 2), 0.5),
        offsets=offsets,
        episode_ids=tuple(map(str, range(len(lengths)))),
        state_columns=("state_feature_0",),
    )


def golden_log(cut: bool = False) -> EpisodeLog:
    return EpisodeLog(make_dataset([2, 1], [0, 1, 1], [1.0, 0.5, 2.0], cut), 0.99)


def random_log(episodes: int = 60, steps: int = 4, seed: int = 0) -> EpisodeLog:
    rng = np.random.default_rng(seed)
    n = episodes * steps
    return EpisodeLog(
        make_dataset([steps] * episodes, rng.integers(0, 2, n).tolist(), rng.normal(size=n).tolist()), 0.9
    )


def always(action: int, log: EpisodeLog, share: float = 1.0) -> Floats64:
    chances = np.full((log.dataset.n_transitions, 2), 1 - share)
    chances[:, action] = share
    return chances


def test_the_golden_vector_of_section_5_2() -> None:
    scorer = Scorer(golden_log(), ScoreSettings(resamples=50), REWARD_MODEL)

    report = scorer.score(ScoredPolicy("golden", PROBABILITIES, Values(Q_VALUES))).report

    assert {name: report.figures[name].value for name in GOLDEN} == pytest.approx(GOLDEN, abs=1e-6)
    assert set(report.figures) == {*GOLDEN, names.MAGIC}
    assert report.weights.effective_episodes == pytest.approx(1.7686149)
    assert report.weights.mean_weight == pytest.approx((1.28 + 0.6) / 2)
    assert scorer.logged.value == pytest.approx((1.495 + 2) / 2)


def test_the_csvs_five_are_those_of_the_full_report() -> None:
    log = golden_log()
    evaluator = Evaluator(log.dataset, REWARD_MODEL, OpeSettings(bootstrap_resamples=50), log.discount, seed=3)
    policy = ScoredPolicy("golden", PROBABILITIES, Values(Q_VALUES))

    five = evaluator.score_actions(policy)
    (report,) = evaluator.report([policy])

    assert tuple(five.estimates) == columns.ESTIMATES
    for name, estimate in five.estimates.items():
        assert estimate.value == pytest.approx(GOLDEN[name], abs=1e-6)
        np.testing.assert_allclose(estimate.lower, report.figures[name].bootstrap.lower)
        assert five.estimands[name] == report.figures[name].estimand


def test_every_figure_names_policy_discount_and_horizon() -> None:
    policy = ScoredPolicy("golden", PROBABILITIES, Values(Q_VALUES, np.array([3.0, 4.0])))
    whole = Scorer(golden_log(), ScoreSettings(resamples=0), REWARD_MODEL).score(policy).report
    cut = Scorer(golden_log(cut=True), ScoreSettings(resamples=0), REWARD_MODEL).score(policy).report

    for figure in (*whole.figures.values(), *cut.figures.values()):
        assert figure.estimand.policy == "golden"
        assert figure.estimand.horizon
    assert whole.figures[names.SDR].estimand == whole.figures[names.WIS].estimand
    assert whole.figures[names.SDR].estimand.discount == 0.99
    assert whole.figures[columns.IPS].estimand.discount is None
    assert "logged steps (2 episodes were cut short)" in cut.figures[names.WIS].estimand.horizon
    assert "the value of the state reached" in cut.figures[names.SDR].estimand.horizon


def test_an_episode_that_was_cut_short_goes_on_with_the_value_of_the_state_reached() -> None:
    log, ends = golden_log(cut=True), np.array([3.0, 4.0])
    scorer = Scorer(log, ScoreSettings(resamples=0))

    known = scorer.score(ScoredPolicy("p", PROBABILITIES, Values(Q_VALUES, ends))).report
    unknown = scorer.score(ScoredPolicy("p", PROBABILITIES, Values(Q_VALUES))).report

    # Both episodes: discount^T times the weight of the whole episode times the value at the end.
    more = (0.99**2 * 1.28 * 3 + 0.99 * 0.6 * 4) / 2
    assert log.grid.lengths.tolist() == [2, 1]
    np.testing.assert_allclose(np.exp(log.log_ratios(PROBABILITIES)).prod(axis=1), [1.28, 0.6])
    assert known.figures[names.SDR].value == pytest.approx(unknown.figures[names.SDR].value + more)
    assert unknown.figures[names.SDR].estimand.horizon == unknown.figures[names.WIS].estimand.horizon
    # A value beyond the logged steps is not compared with a return over the logged steps.
    assert known.figures[names.SDR].difference is None
    assert known.figures[names.WIS].difference is not None


def test_the_logging_policy_itself_differs_from_itself_by_nothing() -> None:
    log = random_log()

    report = Scorer(log).score(ScoredPolicy("as logged", np.full((240, 2), 0.5))).report

    assert report.doubt is None
    for name in (names.IS, names.WIS, names.PDIS, names.PDWIS):
        difference = report.figures[name].difference
        assert difference is not None
        np.testing.assert_allclose((difference.value, difference.lower, difference.upper), 0, atol=1e-12)
    assert report.weights.effective_episodes == pytest.approx(60)


def test_a_paired_difference_is_narrower_than_one_of_independent_estimates() -> None:
    log = random_log(seed=1)
    scorer = Scorer(log)
    first = scorer.score(ScoredPolicy("first", always(0, log, 0.55)))
    second = scorer.score(ScoredPolicy("second", always(0, log, 0.56)))

    reports = [scorer.against(each, first) for each in (first, second)]

    paired = reports[1].figures[names.WIS].difference
    alone = first.report.figures[names.WIS].interval
    assert reports[0].figures[names.WIS].difference is None
    assert paired is not None
    assert paired.value == pytest.approx(second.report.figures[names.WIS].value - first.report.figures[names.WIS].value)
    assert 0 < paired.upper - paired.lower < 0.3 * (alone.upper - alone.lower)


def test_a_policy_that_never_acts_as_the_log_is_undefined_and_says_so() -> None:
    log = golden_log()
    report = Scorer(log).score(ScoredPolicy("other", np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]))).report

    assert report.doubt is not None and "weights are 0" in report.doubt
    assert math.isnan(report.figures[names.WIS].value)
    assert report.figures[names.WIS].doubt == report.doubt
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["estimates"][names.WIS]["value"] is None


def test_few_effective_episodes_and_a_mean_weight_off_1_are_told_in_words() -> None:
    log = random_log(episodes=400, steps=6)
    few = Scorer(log).score(ScoredPolicy("far", always(1, log, 0.999))).report

    assert few.doubt is not None and "effective sample size" in few.doubt
    assert few.figures[names.WIS].doubt == few.doubt

    # As if the log had lost every episode that begins with action 1, of which the policy would make more.
    kept = np.flatnonzero(log.dataset.actions.reshape(400, 6)[:, 0] == 0)
    lost = EpisodeLog(log.dataset.select(kept), 0.9)
    chances = np.full((lost.dataset.n_transitions, 2), 0.5)
    chances[::6] = [0.2, 0.8]
    off = Scorer(lost).score(ScoredPolicy("off", chances)).report
    assert off.doubt is not None and "mean weight is 0.40" in off.doubt


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (ScoredPolicy("p", np.full((3, 3), 1 / 3)), "2 actions"),
        (ScoredPolicy("p", np.full((2, 2), 0.5)), "3 transitions"),
        (ScoredPolicy("p", PROBABILITIES, Values(np.full((3, 2), np.nan))), "nan"),
        (ScoredPolicy("p", PROBABILITIES, Values(np.zeros((3, 1)))), "values have the shape"),
    ],
)
def test_arrays_that_do_not_fit_the_log_are_refused(policy: ScoredPolicy, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Scorer(golden_log()).score(policy)


class SecondForbidden:
    """A mask that allows the first action alone."""

    def support(
        self, states: torch.Tensor, episodes: torch.Tensor | None = None, eligible: torch.Tensor | None = None
    ) -> Support:
        allowed = torch.zeros((len(states), 2), dtype=torch.bool)
        allowed[:, 0] = True
        return Support(allowed, torch.zeros(len(states), dtype=torch.int64))


def test_several_target_policies_of_one_model_with_and_without_its_mask() -> None:
    log = golden_log(cut=True)
    network = Network(NetworkShape(1, 2, (4,)), torch.Generator().manual_seed(0))
    network.parameters.mul_(3)
    values = NetworkScorer(network)
    model = PolicyModel(values, values, TargetPolicy("greedy"), None, "random")
    targets = [TargetPolicy("greedy"), TargetPolicy("epsilon_greedy", epsilon=0.2), TargetPolicy("softmax", 0.5)]

    policies = policies_of(model, log, targets)

    q = model.q_values(log.dataset.states).astype(np.float64)
    greedy, epsilon, softmax = (policy.probabilities for policy in policies)
    np.testing.assert_array_equal(greedy, np.eye(2)[q.argmax(axis=1)])
    np.testing.assert_allclose(epsilon, 0.8 * greedy + 0.1)
    np.testing.assert_allclose(softmax, np.exp(2 * q) / np.exp(2 * q).sum(axis=1, keepdims=True), rtol=1e-6)
    ends = model.q_values(log.cut_states).astype(np.float64)
    own = policies[1].own_values
    assert own is not None and own.end_values is not None
    expected = 0.9 * ends.max(axis=1) + 0.1 * ends.min(axis=1)
    np.testing.assert_allclose(own.end_values, expected, rtol=1e-6)

    masked = PolicyModel(values, values, TargetPolicy("greedy"), SecondForbidden(), "random")
    for policy in policies_of(masked, log, targets):
        np.testing.assert_allclose(policy.probabilities, [[1.0, 0.0]] * 3)
