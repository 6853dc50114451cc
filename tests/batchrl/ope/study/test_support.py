"""What the logging policy never does has no value in its log."""

from __future__ import annotations

import re

import numpy as np
import pytest

from batchrl.data.dataset import Dataset, Floats64
from batchrl.ope.report.words import OF_DECISIONS, OF_EPISODES
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy
from batchrl.ope.study.scoring import Scorer
from batchrl.ope.study.support import doubt_of_support


def log(steps: int, behaviour: Floats64, n: int = 400, seed: int = 0) -> Dataset:
    """``n`` episodes of some steps, logged by ``behaviour`` ``[A]`` in every state; actions pay 0 or 1."""
    rng = np.random.default_rng(seed)
    rows = n * steps
    states = rng.normal(size=(rows, 2)).astype(np.float32)
    ends = np.zeros(rows, np.bool_)
    ends[steps - 1 :: steps] = True
    return Dataset(
        states=states,
        actions=rng.choice(len(behaviour), rows, p=behaviour),
        rewards=rng.integers(0, 2, rows).astype(np.float64),
        next_states=states,
        terminal=ends,
        behavior_policy=np.tile(behaviour, (rows, 1)),
        offsets=np.arange(0, rows + 1, steps),
        episode_ids=tuple(map(str, range(n))),
        state_columns=("a", "b"),
        action_names=("wait", "mail", "call"),
    )


def test_the_share_and_the_bound_are_those_of_a_decision() -> None:
    data = log(1, np.array([0.0, 0.5, 0.5]))
    chances = np.tile([0.2, 0.4, 0.4], (400, 1))
    said = doubt_of_support(EpisodeLog(data, 1.0), chances, OF_DECISIONS)
    assert said is not None
    assert "20.00% of its probability" in said and "(wait)" in said
    found = re.search(r"its value can be anything from ([\d.]+) to ([\d.]+), for rewards from 0 to 1$", said)
    assert found is not None
    known = 0.8 * data.rewards.mean()  # the policy and the log agree on the rest
    error = 0.8 * data.rewards.std() / np.sqrt(400)
    assert float(found[1]) == pytest.approx(known - 1.96 * error, abs=0.01)
    assert float(found[2]) == pytest.approx(known + 0.2 + 1.96 * error, abs=0.01)


def test_in_episodes_one_such_action_costs_all_that_follows() -> None:
    data = log(3, np.array([0.0, 0.5, 0.5]), n=4000)
    chances = np.tile([0.2, 0.4, 0.4], (data.n_transitions, 1))
    said = doubt_of_support(EpisodeLog(data, 1.0), chances, OF_EPISODES)
    assert said is not None
    assert "nor is what would follow, and 48.80% of its episodes would come to one" in said
    found = re.search(r"from ([\d.]+) to ([\d.]+), for rewards from 0 to 1 in at most 3 steps$", said)
    assert found is not None
    known = 0.5 * (0.8 + 0.8**2 + 0.8**3)
    assert float(found[1]) == pytest.approx(known, abs=0.05)
    assert float(found[2]) == pytest.approx(known + 0.2 * 3 + 0.8 * 0.2 * 2 + 0.8**2 * 0.2, abs=0.05)


@pytest.mark.parametrize("chances", [[0.0, 0.9, 0.1], [1e-4, 0.5, 0.4999]])
def test_what_is_supported_is_not_doubted(chances: list[float]) -> None:
    assert (
        doubt_of_support(EpisodeLog(log(1, np.array([0.0, 0.5, 0.5])), 1.0), np.tile(chances, (400, 1)), OF_DECISIONS)
        is None
    )


@pytest.mark.parametrize("steps", [1, 3])
def test_no_figure_of_such_a_policy_is_relied_on(steps: int) -> None:
    data = log(steps, np.array([0.0, 0.5, 0.5]))
    policy = ScoredPolicy("mostly supported", np.tile([0.02, 0.49, 0.49], (data.n_transitions, 1)))
    scorer = Scorer(EpisodeLog(data, 0.9))
    report = scorer.score(policy).report
    assert report.doubt is not None and "never takes" in report.doubt and report.window is None
    assert all(figure.doubt is not None for figure in report.figures.values())
    inside = ScoredPolicy("supported", np.tile([0.0, 0.5, 0.5], (data.n_transitions, 1)))
    assert scorer.score(inside).report.doubt is None


def test_where_the_other_actions_probabilities_are_not_known_nothing_is_said() -> None:
    known = log(1, np.array([0.0, 0.5, 0.5]))
    taken = Dataset(
        **{name: getattr(known, name) for name in ("states", "actions", "rewards", "next_states", "terminal")},
        behavior_policy=None,
        offsets=known.offsets,
        episode_ids=known.episode_ids,
        state_columns=known.state_columns,
        action_names=known.action_names,
        taken_propensities=known.propensities,
    )
    assert doubt_of_support(EpisodeLog(taken, 1.0), np.tile([0.2, 0.4, 0.4], (400, 1)), OF_DECISIONS) is None
