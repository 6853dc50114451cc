from __future__ import annotations

import presets
from batchrl.contract import columns
from batchrl.training.selection import choose_best

PRESET = presets.resolve_train("cartpole-ddqn-bcq", {})


def rows(*cells: tuple[str, str]) -> list[dict[str, str]]:
    """Rows of (lower bound of SDR, effective episodes)."""
    return [
        {columns.EPOCH: str(number), columns.lower(columns.SDR): bound, columns.SDR: bound, columns.WIS_ESS: ess}
        for number, (bound, ess) in enumerate(cells, start=1)
    ]


def test_the_highest_lower_bound_wins_and_of_equals_the_later() -> None:
    best = choose_best(rows(("1.0", "50"), ("3.0", "50"), ("3.0", "50"), ("2.0", "50")), {1, 2, 3, 4}, PRESET)
    assert (best.epoch, best.value, best.metric) == (3, 3.0, "Sequential Doubly Robust CI Lower")


def test_epochs_below_the_floor_or_without_a_bound_do_not_compete() -> None:
    best = choose_best(rows(("-5.0", "10"), ("9.0", "9.9"), ("", "50"), ("8.0", "")), {1, 2, 3, 4}, PRESET)
    assert (best.epoch, best.value) == (1, -5.0)


def test_where_none_competes_the_last_epoch_is_called_best_and_says_why() -> None:
    best = choose_best(rows(("9.0", "1"), ("8.0", "1")), {1, 2}, PRESET)
    assert best.epoch == 2
    assert "none reached 10 effective episodes" in best.reason


def test_an_epoch_without_its_checkpoint_cannot_be_chosen() -> None:
    assert choose_best(rows(("9.0", "50"), ("8.0", "50")), {2}, PRESET).epoch == 2


def test_the_rule_last_takes_the_last() -> None:
    preset = presets.resolve_train("cartpole-ddqn-bcq", {"selection.rule": "last"})
    assert choose_best(rows(("9.0", "50"), ("8.0", "50")), {1, 2}, preset).epoch == 2
