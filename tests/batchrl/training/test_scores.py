"""Scores of the target policy: what they estimate, and which values cannot be true."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

import presets
from batchrl.agents.model import PolicyModel
from batchrl.agents.target_policy import TargetPolicy
from batchrl.contract import columns
from batchrl.contract.evidence import Evidence
from batchrl.data.dataset import Dataset, Floats32
from batchrl.training.scores import SelectionScorer, TrainingReturns
from presets.schema import TrainPreset

DISCOUNT = 0.9


@dataclass(frozen=True)
class Table:
    """Values ``[S, A]`` of states that are numbered by their only feature."""

    q_values: np.ndarray

    @property
    def network(self) -> SimpleNamespace:
        return SimpleNamespace(shape=SimpleNamespace(n_features=1, n_outputs=self.q_values.shape[1]))

    def __call__(self, states: Floats32) -> Floats32:
        chosen: Floats32 = self.q_values[states[:, 0].astype(int)].astype(np.float32)
        return chosen


def model(q_values: list[list[float]], with_values: bool = True) -> PolicyModel:
    scorer = Table(np.array(q_values))
    values = scorer if with_values else None
    return PolicyModel(scorer, values, TargetPolicy("greedy"), None, "random")  # type: ignore[arg-type]


def log(n: int = 400, steps: int = 2, chance: float = 0.5, seed: int = 0, terminal: bool = True) -> Dataset:
    """State t is step t; action 1 pays 1 and action 0 nothing; the log takes action 1 with one chance."""
    rng = np.random.default_rng(seed)
    actions = (rng.random((n, steps)) < chance).astype(np.int64).ravel()
    states = np.tile(np.arange(steps, dtype=np.float32), n)[:, None]
    ends = np.zeros((n, steps), dtype=np.bool_)
    ends[:, -1] = terminal
    return Dataset(
        states=states,
        actions=actions,
        rewards=actions.astype(np.float64),
        next_states=states + 1,
        terminal=ends.ravel(),
        behavior_policy=np.tile([1 - chance, chance], (n * steps, 1)),
        offsets=np.arange(n + 1, dtype=np.int64) * steps,
        episode_ids=tuple(map(str, range(n))),
        state_columns=("state_feature_0",),
    )


def preset(**changes: object) -> TrainPreset:
    named = {key.replace("__", "."): value for key, value in changes.items()}
    return presets.resolve_train("cartpole-ddqn-bcq", {"agent.discount": DISCOUNT, **named})


def scorer(dataset: Dataset, settings: TrainPreset, seed: int = 0) -> SelectionScorer:
    training = log(seed=99, terminal=bool(dataset.terminal.any()))
    return SelectionScorer(dataset, TrainingReturns.of(training, DISCOUNT), settings, seed)


GOOD = [[0.0, 1.9], [0.0, 1.0], [0.0, 0.0]]
BAD = [[1.9, 0.0], [1.0, 0.0], [0.0, 0.0]]
# Values of the log's own policy at a chance of a half.
LOGGING = [[0.45, 1.45], [0.0, 1.0], [0.0, 0.0]]


def test_the_paired_score_is_the_gain_over_the_logging_policy_and_its_weights_average_to_one() -> None:
    scores = scorer(log(seed=1), preset()).score(model(GOOD))
    assert scores.paired.value == pytest.approx((1 + DISCOUNT) / 2, abs=0.1)
    assert scores.paired.lower < (1 + DISCOUNT) / 2 < scores.paired.upper
    assert scores.paired.lower > 0
    assert scores.weights.effective_episodes == pytest.approx(100, abs=20)
    assert scores.weights.averages_to_one
    assert scores.evidence.doubt is None
    assert Evidence.of_paired_score(scores.cells()).doubt is None
    assert scores.cells()[columns.PAIRED_CARRYING] > 20
    assert scorer(log(), preset()).score(model(BAD)).paired.upper < 0


def test_window_scores_are_those_of_the_acting_policy() -> None:
    scores = scorer(log(), preset(selection__max_window=3)).score(model(GOOD))
    assert len(scores.windows) == 3
    # One step gains a half from either state; two steps gain a discounted half more from the first one.
    assert scores.windows[0][0].value == pytest.approx(0.5, abs=0.06)
    assert scores.windows[1][0].value == pytest.approx(0.5 + DISCOUNT / 4, abs=0.1)
    assert scores.windows[0][1] == pytest.approx(400, abs=40)


def test_both_sides_of_a_difference_end_where_the_log_was_cut() -> None:
    """The value after the cut is absurd: had it a part in the score, it would show."""
    absurd = [*GOOD[:2], [0.0, 50.0]]
    whole, cut = (scorer(log(terminal=end), preset()).score(model(absurd)).paired for end in (True, False))
    assert cut == whole


@pytest.mark.parametrize(
    ("q_values", "possible"),
    [
        (GOOD, True),
        ([[0.0, 2.05], *GOOD[1:]], True),  # a tenth of the range is left to the network's error
        ([[0.0, 2.2], *GOOD[1:]], False),  # every episode ends after two steps, which pay 1 each
        ([[0.0, 10.2], *GOOD[1:]], False),
        ([[-0.2, -0.2], *GOOD[1:]], False),
        ([[math.nan, 1.0], *GOOD[1:]], False),
    ],
)
def test_values_beyond_what_the_log_allows_are_impossible(q_values: list[list[float]], possible: bool) -> None:
    if not all(math.isfinite(value) for row in q_values for value in row):
        assert (math.nan in TrainingReturns.of(log(), DISCOUNT).possible) is possible
        return
    scores = scorer(log(), preset()).score(model(q_values))
    assert scores.possible is possible
    assert scores.cells()[columns.VALUES_POSSIBLE] == possible


@pytest.mark.parametrize(("start", "possible"), [(10.05, True), (10.2, False)])
def test_where_episodes_are_cut_short_values_may_reach_their_bound(start: float, possible: bool) -> None:
    assert scorer(log(terminal=False), preset()).score(model([[0.0, start], *GOOD[1:]])).possible is possible


def test_values_of_the_logging_policy_must_be_those_that_the_log_shows() -> None:
    settings = preset(agent__algorithm="one-step")
    scores = scorer(log(), settings).score(model(LOGGING))
    assert scores.possible
    assert scores.logging_start_value == pytest.approx(0.95)
    assert not scorer(log(), settings).score(model([[0.7, 1.7], *LOGGING[1:]])).possible
    # The same values are fine for an agent that learns those of its own policy.
    assert scorer(log(), preset()).score(model([[0.7, 1.7], *LOGGING[1:]])).possible
    assert math.isnan(scorer(log(), preset()).score(model(LOGGING)).logging_start_value)


def test_with_many_episodes_values_of_the_logging_policy_may_still_be_a_little_off() -> None:
    many, settings = log(n=40_000), preset(agent__algorithm="one-step", ope__bootstrap_resamples="0")
    judge = SelectionScorer(many, TrainingReturns.of(many, DISCOUNT), settings, 0)
    for shift, possible in ((0.03, True), (0.07, False)):
        shifted = [[value + shift for value in LOGGING[0]], *LOGGING[1:]]
        assert judge.score(model(shifted)).possible == possible


def test_where_episodes_were_cut_the_logging_policys_values_may_go_on() -> None:
    settings = preset(agent__algorithm="one-step")
    beyond = 3.0
    # State 2, where the episodes were cut, is worth 3 whatever is done.
    q_values = [[0.45 + DISCOUNT**2 * beyond, 1.45 + DISCOUNT**2 * beyond], [2.7, 3.7], [beyond, beyond]]
    assert scorer(log(terminal=False), settings).score(model(q_values)).possible
    assert not scorer(log(terminal=True), settings).score(model(q_values)).possible


def test_an_algorithm_without_values_is_scored_and_not_judged_by_them() -> None:
    cells = scorer(log(), preset()).score(model(GOOD, with_values=False)).cells()
    assert columns.VALUES_POSSIBLE not in cells
    assert math.isnan(cells[columns.START_VALUE])
    assert cells[columns.lower(columns.PAIRED)] > 0


def test_without_resamples_the_standard_errors_are_students() -> None:
    with_resamples = scorer(log(), preset()).score(model(GOOD))
    without = scorer(log(), preset(ope__bootstrap_resamples=0)).score(model(GOOD))
    assert without.paired.value == with_resamples.paired.value
    assert without.paired.standard_error == pytest.approx(with_resamples.paired.standard_error, rel=0.2)
    assert without.windows[0][0].standard_error > 0


def test_the_meaning_names_policy_discount_and_horizon() -> None:
    whole = scorer(log(), preset())
    assert "discount 0.9, of the target policy (greedy), minus the logging policy's" in whole.meaning(columns.PAIRED)
    assert "decides 3 steps from a logged state on" in whole.meaning(columns.window(3))
    assert "one step" in whole.meaning(columns.window(1))
    assert "400 episodes were cut short" in scorer(log(terminal=False), preset()).meaning(columns.PAIRED)


def test_the_csv_says_between_which_values_all_must_lie() -> None:
    cells = scorer(log(), preset()).score(model(GOOD)).cells()
    assert cells[columns.LEAST_POSSIBLE] == pytest.approx(-0.1)
    assert cells[columns.GREATEST_POSSIBLE] == pytest.approx(1.9 + 0.19)
