"""Window scores against loops over episodes, and on a chain whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrl.ope.estimators.bootstrap import intervals
from batchrl.ope.estimators.grid import Grid
from batchrl.ope.study.window import window_scores


def brute_force(
    ratios: list[list[float]], rewards: list[list[float]], discount: float, steps: int
) -> tuple[float, float]:
    """Score and effective windows, one window after the other."""
    weights, returns = [], []
    for episode_ratios, episode_rewards in zip(ratios, rewards, strict=True):
        length = len(episode_ratios)
        for start in range(length):
            weights.append(math.prod(episode_ratios[start : min(start + steps, length)]))
            returns.append(sum(discount ** (k - start) * episode_rewards[k] for k in range(start, length)))
    total = sum(weights)
    followed = sum(w * g for w, g in zip(weights, returns, strict=True)) / total
    return followed - sum(returns) / len(returns), total**2 / sum(w * w for w in weights)


def padded(episodes: list[list[float]], grid: Grid) -> np.ndarray:
    return grid.pad(np.array([value for episode in episodes for value in episode]))


@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
    discount=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
)
def test_scores_equal_those_of_a_loop_over_windows(lengths: list[int], seed: int, discount: float) -> None:
    rng = np.random.default_rng(seed)
    ratios = [list(rng.choice([0.0, 0.5, 2.0, 1.0], size=length)) for length in lengths]
    ratios[0][-1] = 1.5  # at least one window has a weight
    rewards = [list(rng.normal(size=length)) for length in lengths]
    grid = Grid.of(np.array(lengths))
    with np.errstate(divide="ignore"):
        logs = np.log(padded(ratios, grid) + ~grid.valid)

    scores = window_scores(grid, logs, padded(rewards, grid), discount, 9)

    assert [score.steps for score in scores] == list(range(1, 10))
    for score in scores:
        value, effective = brute_force(ratios, rewards, discount, score.steps)
        assert score.difference.value == pytest.approx(value, abs=1e-9)
        assert score.effective_windows == pytest.approx(effective)


def test_the_logging_policy_itself_gains_nothing_and_every_window_counts() -> None:
    rng = np.random.default_rng(0)
    grid = Grid.of(np.array([3, 1, 5]))
    rewards = grid.pad(rng.normal(size=9))
    for score in window_scores(grid, np.zeros((3, 5)), rewards, 0.9, 4):
        assert score.difference.value == pytest.approx(0, abs=1e-12)
        assert score.effective_windows == pytest.approx(9)


def test_a_policy_that_the_log_never_followed_has_no_score() -> None:
    grid = Grid.of(np.array([2, 3]))
    (score,) = window_scores(grid, np.where(grid.valid, -np.inf, 0.0), grid.pad(np.ones(5)), 0.9, 1)
    assert math.isnan(score.difference.value)
    assert score.effective_windows == 0


def test_huge_weights_do_not_overflow() -> None:
    grid = Grid.of(np.array([4, 4]))
    logs = np.full((2, 4), 400.0)
    logs[1] = 399.0
    scores = window_scores(grid, logs, np.ones((2, 4)), 0.9, 4)
    assert all(math.isfinite(score.difference.value) and score.effective_windows >= 1 for score in scores)


def test_a_resample_keeps_the_windows_of_an_episode_together() -> None:
    """Episodes that are alike inside and differ between: resampling windows one by one would be far too sure."""
    rng = np.random.default_rng(1)
    n, steps = 200, 20
    grid = Grid.of(np.full(n, steps))
    level = rng.normal(size=n)
    ratios = rng.choice([0.5, 1.5], size=(n, steps))
    values = []
    for replicate in range(200):
        chosen = np.random.default_rng(replicate).integers(0, n, size=n)
        rewards = np.repeat(level[chosen, None], steps, axis=1)
        values.append(window_scores(grid, np.log(ratios[chosen]), rewards, 0.0, 1)[0].difference.value)
    score = window_scores(grid, np.log(ratios), np.repeat(level[:, None], steps, axis=1), 0.0, 1)[0]
    (estimate,) = intervals([score.difference], 1000, 0.95, seed=0)
    assert estimate.standard_error == pytest.approx(np.std(values), rel=0.15)


def test_two_steps_of_the_better_action_are_worth_what_the_chain_says() -> None:
    """Action 1 pays 1, action 0 nothing; the log takes each half of the time, for three steps."""
    episodes = [[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    actions = np.array(episodes, dtype=np.float64)
    grid = Grid.of(np.full(8, 3))
    with np.errstate(divide="ignore"):
        logs = np.log(2 * actions)
    gains = [score.difference.value for score in window_scores(grid, logs, actions, 1.0, 3)]
    # Windows by start: h=1 gains 1/2 everywhere. Longer ones end at the episode's end: those of fewer steps weigh less.
    expected = []
    for steps in (1, 2, 3):
        shares = [2.0 ** -min(steps, 3 - t) * 2.0 ** min(steps, 3 - t) for t in range(3)]
        followed = [min(steps, 3 - t) + (3 - t - min(steps, 3 - t)) / 2 for t in range(3)]
        expected.append(np.average(followed, weights=shares) - np.mean([(3 - t) / 2 for t in range(3)]))
    assert gains == pytest.approx(expected)
    assert gains == pytest.approx([1 / 2, 5 / 6, 1])
