"""What the picture of the estimates marks: the chosen epoch, and epochs with too few effective episodes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from batchrl.contract import columns
from launcher.cli.estimates import chosen_line
from launcher.results.metrics import Metrics
from launcher.results.plot import SHIPPED, SOFTMAX, chosen_epoch, few_effective


def frame(epochs: int, **more: object) -> pd.DataFrame:
    numbers = range(1, epochs + 1)
    cells = {columns.EPOCH: numbers, **{name: [20.0 + number for number in numbers] for name in columns.ESTIMATES}}
    return pd.DataFrame(cells | {name.replace("_", " "): value for name, value in more.items()})


def test_epochs_below_the_floor_are_told_apart() -> None:
    few = few_effective(frame(3, WIS_ESS=[29.9, 30.0, 50.0], OPE_Episodes=[100, 100, 6000]))
    assert few.tolist() == [True, False, False]
    assert few_effective(frame(3)).tolist() == [False, False, False]


def test_the_chosen_epoch_is_the_last_rows() -> None:
    assert chosen_epoch(frame(3, Best_Epoch=[1, 2, 2])) == 2
    assert chosen_epoch(frame(3)) is None
    assert chosen_line({columns.BEST_EPOCH: 2}) == "Chosen from the log alone: epoch 2."
    assert chosen_line({}) is None


@pytest.mark.parametrize("epochs", [3, 40])
def test_the_legend_names_both(epochs: int, tmp_path: Path) -> None:
    weak = [5.0] * epochs
    table = frame(epochs, WIS_ESS=weak, OPE_Episodes=[100] * epochs, Best_Epoch=[2] * epochs)
    picture = Metrics("job", table).plot(tmp_path / "ope.svg").read_text()
    assert "<!-- chosen: epoch 2 -->" in picture
    assert "<!-- too few effective episodes -->" in picture
    plain = Metrics("job", frame(epochs)).plot(tmp_path / "plain.svg").read_text()
    assert "chosen" not in plain


@pytest.mark.parametrize(
    ("shipped", "told"), [([5.0, 6.0, 7.0], SHIPPED), ([None, None, None], f"{SHIPPED}: undefined"), (None, None)]
)
def test_the_policy_that_ships_is_beside_another_ones(
    shipped: list[float | None] | None, told: str | None, tmp_path: Path
) -> None:
    table = frame(3, OPE_Episodes=[50] * 3)
    for estimate, of_target in zip((columns.WIS, columns.SDR), columns.TARGET_ESTIMATES, strict=True):
        table[of_target] = table[estimate] if shipped is None else shipped
    picture = Metrics("job", table).plot(tmp_path / "ope.svg").read_text()
    assert "intervals, 50 episodes" in picture
    assert (f"<!-- {SOFTMAX} -->" in picture) == (told is not None)
    assert told is None or f"<!-- {told} -->" in picture
