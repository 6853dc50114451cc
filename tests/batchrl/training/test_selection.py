"""Which epoch is called best, from rows of the csv."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import presets
from batchrl.contract import columns
from batchrl.training.selection import NO_EVIDENCE, choose_best, doubt_of_score, trusted_metric

PRESET = presets.resolve_train("cartpole-ddqn-bcq", {})
LOWER_BOUND = presets.resolve_train("cartpole-ddqn-bcq", {"selection.rule": "lower_bound"})
W3 = columns.window(3)

Row = dict[str, str]


def epochs(*scores: float, error: float = 1.0, **changes: Any) -> list[Row]:
    """Rows with window scores of three steps; nothing else can be compared."""
    rows = []
    for number, score in enumerate(scores, start=1):
        cells: dict[str, object] = {columns.EPOCH: number, columns.OPE_EPISODES: 100, columns.PAIRED_ESS: 1.0}
        cells |= {columns.VALUES_POSSIBLE: 1, columns.CHECKPOINT: f"epoch_{number:04d}.pt"}
        for steps, ess in ((1, 900.0), (2, 500.0), (3, 250.0), (4, 120.0)):
            metric = columns.window(steps)
            value = score if steps == 3 else -1.0
            cells |= {metric: value, columns.lower(metric): value - 2 * error, columns.standard_error(metric): error}
            cells[columns.window_ess(steps)] = ess
        rows.append({name: str(value) for name, value in (cells | changes).items()})
    return rows


def with_paired(
    rows: list[Row], scores: list[float], ess: float = 50.0, mean: tuple[float, float] = (0.8, 1.2)
) -> None:
    for row, score in zip(rows, scores, strict=True):
        row |= {
            columns.PAIRED: str(score),
            columns.lower(columns.PAIRED): str(score - 2),
            columns.standard_error(columns.PAIRED): "1.0",
            columns.PAIRED_ESS: str(ess),
            columns.lower(columns.PAIRED_MEAN_WEIGHT): str(mean[0]),
            columns.upper(columns.PAIRED_MEAN_WEIGHT): str(mean[1]),
        }


def every(rows: list[Row]) -> set[int]:
    return set(range(1, len(rows) + 1))


def test_the_latest_epoch_within_one_standard_error_of_the_best_wins() -> None:
    rows = epochs(3.0, 9.0, 8.5, 8.1, 7.9)
    best = choose_best(rows, every(rows), PRESET)
    assert (best.epoch, best.metric, best.value) == (4, W3, 8.1)
    assert "within one standard error of the best Window 3 Score (epoch 2)" in best.reason
    assert NO_EVIDENCE not in best.reason


def test_a_slow_decline_does_not_drag_the_choice_along_when_the_best_checkpoint_is_gone() -> None:
    rows = epochs(9.0, 8.2, 7.4, 6.6)
    assert choose_best(rows, {2, 3, 4}, PRESET).epoch == 2


def test_only_checkpoints_that_exist_are_chosen() -> None:
    rows = epochs(9.0, 3.0, 2.0)
    best = choose_best(rows, {2, 3}, PRESET)
    assert best.epoch == 2
    assert "among the checkpoints that were kept" in best.reason


def test_a_choice_only_ever_moves_forward_while_epochs_arrive() -> None:
    scores = [1.0, 4.0, 3.5, 2.0, 4.9, 4.6, 1.0, 5.5, 4.4]
    chosen, kept = [], {0}
    for done in range(1, len(scores) + 1):
        rows = epochs(*scores[:done])
        kept = {max(chosen, default=0), *range(max(1, done - 2), done + 1)} - {0}
        chosen.append(choose_best(rows, kept, PRESET).epoch)
        assert chosen[-1] == choose_best(rows, every(rows), PRESET).epoch
    assert all(before <= after for before, after in itertools.pairwise(chosen))


def test_the_longest_window_with_enough_effective_ones_in_every_epoch_is_compared() -> None:
    rows = epochs(3.0, 5.0)
    rows[0][columns.window_ess(3)] = "199.9"
    assert choose_best(rows, {1, 2}, PRESET).metric == columns.window(2)


def test_of_single_steps_epochs_without_support_are_left_out_unless_they_are_most() -> None:
    rows = epochs(3.0, 5.0, 4.5)
    for row in rows:
        row |= {columns.window_ess(steps): "10" for steps in (2, 3, 4)}
    rows[2][columns.window_ess(1)] = "10"
    assert choose_best(rows, {1, 2, 3}, PRESET).epoch == 2
    rows[1][columns.window_ess(1)] = "10"
    best = choose_best(rows, {1, 2, 3}, PRESET)
    assert (best.epoch, best.value) == (3, None)
    assert "too few effective episodes and windows" in best.reason
    assert NO_EVIDENCE in best.reason


def test_the_paired_score_is_compared_where_the_weights_allow_it() -> None:
    rows = epochs(9.0, 1.0, 1.0)
    with_paired(rows, [1.0, 7.0, 5.0])
    best = choose_best(rows, every(rows), PRESET)
    assert (best.epoch, best.metric, best.value) == (2, columns.PAIRED, 7.0)


@pytest.mark.parametrize(
    ("episodes", "ess", "metric"), [(100, 30.0, columns.PAIRED), (100, 29.9, W3), (9000, 30.0, columns.PAIRED)]
)
def test_the_gate_is_30_effective_episodes_however_many_there_are(episodes: int, ess: float, metric: str) -> None:
    rows = epochs(1.0, 2.0, **{columns.OPE_EPISODES: episodes})
    with_paired(rows, [1.0, 2.0])
    rows[0][columns.PAIRED_ESS] = str(ess)
    assert choose_best(rows, {1, 2}, PRESET).metric == metric


def test_an_epoch_whose_mean_weight_is_not_1_does_not_compete_and_too_many_of_them_close_the_gate() -> None:
    rows = epochs(1.0, 1.0, 1.0, 1.0)
    with_paired(rows, [1.0, 9.0, 2.0, 3.0])
    rows[1][columns.upper(columns.PAIRED_MEAN_WEIGHT)] = "0.9"
    best = choose_best(rows, every(rows), PRESET)
    assert (best.epoch, best.metric) == (4, columns.PAIRED)
    for row in rows[:3]:
        row[columns.upper(columns.PAIRED_MEAN_WEIGHT)] = "0.9"
    assert choose_best(rows, every(rows), PRESET).metric == W3


def test_a_mean_weight_that_misses_1_by_rounding_is_trusted() -> None:
    rows = epochs(1.0)
    with_paired(rows, [2.5], mean=(1 + 1e-8, 1 + 2e-8))
    assert choose_best(rows, {1}, PRESET).metric == W3
    rows[0][columns.PAIRED_MEAN_WEIGHT] = str(1 + 1.5e-8)
    assert choose_best(rows, {1}, PRESET).metric == columns.PAIRED


def test_epochs_with_impossible_values_are_rejected_and_counted() -> None:
    rows = epochs(9.0, 3.0, 99.0)
    rows[2][columns.VALUES_POSSIBLE] = "0"
    best = choose_best(rows, every(rows), PRESET)
    assert best.epoch == 1
    assert "1 of 3 epochs were rejected: the log rules their values out" in best.reason


def test_where_nothing_compares_the_last_epoch_that_was_not_rejected_is_taken_and_says_why() -> None:
    rows = epochs(1.0, 2.0, 3.0)
    for row in rows:
        row |= {columns.window_ess(steps): "1" for steps in (1, 2, 3, 4)}
    rows[2][columns.VALUES_POSSIBLE] = "0"
    best = choose_best(rows, every(rows), PRESET)
    assert (best.epoch, best.value) == (2, None)
    assert best.reason.startswith("the last epoch that was not rejected: too few")
    for row in rows:
        row[columns.VALUES_POSSIBLE] = "0"
    best = choose_best(rows, every(rows), PRESET)
    assert best.epoch == 3
    assert "the log rules out the values of every epoch" in best.reason


def test_no_evidence_is_said_where_the_lower_bound_is_not_above_the_logging_policy() -> None:
    assert NO_EVIDENCE in choose_best(epochs(1.9), {1}, PRESET).reason
    assert NO_EVIDENCE not in choose_best(epochs(2.1), {1}, PRESET).reason


def test_an_algorithm_without_values_is_not_rejected() -> None:
    rows = epochs(1.0, 2.0, **{columns.VALUES_POSSIBLE: ""})
    assert choose_best(rows, {1, 2}, PRESET).metric == W3


def test_one_policys_score_is_trusted_by_the_same_gates() -> None:
    cells = {name: float(cell) for name, cell in epochs(4.0)[0].items() if name != columns.CHECKPOINT}
    assert trusted_metric(cells, PRESET.selection) == W3
    assert doubt_of_score(cells, W3, PRESET.selection) is None
    assert doubt_of_score(cells, columns.window(4), PRESET.selection) == "120 effective windows, fewer than 200"
    assert "undefined" in (doubt_of_score(cells, columns.PAIRED, PRESET.selection) or "")


def bounds(*cells: tuple[str, str]) -> list[Row]:
    """Rows of (lower bound of SDR, effective episodes)."""
    return [
        {
            columns.EPOCH: str(number),
            columns.lower(columns.TARGET_SDR): bound,
            columns.TARGET_SDR: bound,
            columns.PAIRED_ESS: ess,
        }
        for number, (bound, ess) in enumerate(cells, start=1)
    ]


def test_a_single_long_episode_is_no_evidence_however_many_windows_it_has() -> None:
    rows = epochs(3.0, 9.0, **{columns.OPE_EPISODES: 1})
    best = choose_best(rows, every(rows), PRESET)
    assert best.value is None
    assert NO_EVIDENCE in best.reason
    cells = {name: float(value) for name, value in rows[-1].items() if name != columns.CHECKPOINT}
    assert doubt_of_score(cells, W3, PRESET.selection) == "1 episodes, fewer than 10"


def test_rule_lower_bound_takes_the_highest_and_of_equals_the_later() -> None:
    rows = bounds(("1.0", "50"), ("3.0", "50"), ("3.0", "50"), ("2.0", "50"))
    best = choose_best(rows, every(rows), LOWER_BOUND)
    assert (best.epoch, best.value, best.metric) == (3, 3.0, "Target SDR CI Lower")


def test_rule_lower_bound_leaves_out_epochs_below_the_floor_or_without_a_bound() -> None:
    rows = bounds(("-5.0", "10"), ("9.0", "9.9"), ("", "50"), ("8.0", ""))
    best = choose_best(rows, every(rows), LOWER_BOUND)
    assert (best.epoch, best.value) == (1, -5.0)
    best = choose_best(bounds(("9.0", "1"), ("8.0", "1")), {1, 2}, LOWER_BOUND)
    assert best.epoch == 2
    assert "none reached 10 effective episodes" in best.reason
    assert choose_best(bounds(("9.0", "50"), ("8.0", "50")), {2}, LOWER_BOUND).epoch == 2


def test_rule_lower_bound_chooses_no_epoch_whose_values_or_estimate_the_log_does_not_allow() -> None:
    """A sequential DR of 79.5 where no logged return exceeds 1 was the best of all epochs."""
    rows = bounds(("0.4", "50"), ("79.1", "50"), ("0.3", "50"))
    for row, estimate in zip(rows, ("0.6", "79.5", "0.5"), strict=True):
        row |= {columns.TARGET_SDR: estimate, columns.LEAST_POSSIBLE: "-0.1", columns.GREATEST_POSSIBLE: "1.1"}
    best = choose_best(rows, every(rows), LOWER_BOUND)
    assert (best.epoch, best.value) == (1, 0.4)
    assert best.reason.endswith("1 of 3 epochs were rejected: the log rules their values out")
    rows[0][columns.VALUES_POSSIBLE] = "0"
    assert choose_best(rows, every(rows), LOWER_BOUND).epoch == 3
    rows[2][columns.VALUES_POSSIBLE] = "0"
    none = choose_best(rows, every(rows), LOWER_BOUND)
    assert none.value is None and "3 of 3 epochs were rejected" in none.reason
    rows[0][columns.VALUES_POSSIBLE] = "1"
    rows[0][columns.PAIRED_ESS] = "1"
    assert choose_best(rows, every(rows), LOWER_BOUND).reason.startswith("the last epoch that was not rejected: none")


def test_rule_last_takes_the_last() -> None:
    preset = presets.resolve_train("cartpole-ddqn-bcq", {"selection.rule": "last"})
    assert choose_best(epochs(9.0, 8.0), {1, 2}, preset).epoch == 2
