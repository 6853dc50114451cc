"""Whole small runs of ``entrypoints/train.py``, in this process."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from batchrl.agents.target_policy import TargetPolicy
from batchrl.checkpoints.files import read_state
from batchrl.checkpoints.policy import load_policy
from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.contract.layout import BEST_NAME, LATEST_NAME
from batchrl.contract.manifest import sha256_of
from batchrl.contract.paths import RESOLVED_PRESET_NAME, TRAINING_INPUTS_NAME, TRAINING_SUMMARY_NAME
from batchrl.data.dataset import Dataset
from batchrl.data.loader import load_dataset
from batchrl.ope.study.logged import EpisodeLog, policies_of
from batchrl.ope.study.paired import paired_difference
from batchrl.ope.study.scoring import Scorer, ScoreSettings
from batchrl.training.estimating import estimable
from presets.dataschema import DataSettings

Train = Callable[..., Path]


def table(output: Path) -> list[dict[str, str]]:
    with (output / "output" / "intermediate" / columns.INTERMEDIATE_CSV).open() as file:
        return list(csv.DictReader(file))


def test_E221_the_csv_has_coachs_columns_then_ours_and_each_epochs_own_row(trained: Path) -> None:
    rows = table(trained)
    assert tuple(rows[0]) == (*columns.COACH_COLUMNS, *columns.OWN_COLUMNS, *columns.window_columns(4))
    assert [row[columns.EPOCH] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row[columns.CHECKPOINT] for row in rows] == [f"epoch_{epoch:04d}.pt" for epoch in range(1, 6)]
    for row in rows:
        for estimate in columns.ESTIMATES:
            low, value, high = (
                float(row[name]) for name in (columns.lower(estimate), estimate, columns.upper(estimate))
            )
            assert low <= value <= high
    best = json.loads((trained / "checkpoints" / BEST_NAME).read_text())
    assert int(rows[-1][columns.BEST_EPOCH]) == best["epoch"]
    iterations = [float(row["Training Iter"]) for row in rows]
    assert np.ptp(np.diff(iterations)) == 0


def test_a_full_preset_of_fifty_epochs_gives_fifty_rows(train: Train, tmp_path: Path) -> None:
    rows = table(train(tmp_path, epochs="50", bcq__mode="none", ope__bootstrap_resamples="10"))
    assert [int(row[columns.EPOCH]) for row in rows] == list(range(1, 51))
    assert all(row[columns.SDR] for row in rows)


def test_undefined_cells_are_blank_and_never_text(trained: Path, train: Train, tmp_path: Path) -> None:
    greedy = train(tmp_path, ope__target_policy="greedy", epochs="2", ope__ess_floor="0")
    for output in (trained, greedy):
        for row in table(output):
            for name, cell in row.items():
                if cell and name != columns.CHECKPOINT:
                    assert math.isfinite(float(cell)), name
            assert row["Evaluation Reward"] == ""


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(train: Train, trained: Path, tmp_path: Path) -> None:
    again, other = train(tmp_path / "again"), train(tmp_path / "other", seed="1")
    weights = [(output / "model" / "model.safetensors").read_bytes() for output in (trained, again, other)]
    assert weights[0] == weights[1] != weights[2]


def test_what_a_run_leaves(trained: Path) -> None:
    found = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    files = {name for name in found if not name.startswith("model/code/")}
    assert {"model/code/serve.py", "model/code/batchrl/agents/model.py"} < found - files
    best = json.loads((trained / "checkpoints" / BEST_NAME).read_text())
    kept = {f"checkpoints/epoch_{epoch:04d}.pt" for epoch in {3, 4, 5, best["epoch"]}}
    assert files == kept | {
        f"checkpoints/{LATEST_NAME}",
        f"checkpoints/{BEST_NAME}",
        f"checkpoints/{RESOLVED_PRESET_NAME}",
        f"checkpoints/{TRAINING_INPUTS_NAME}",
        f"checkpoints/{columns.INTERMEDIATE_CSV}",
        "model/model.json",
        "model/model.safetensors",
        f"model/{RESOLVED_PRESET_NAME}",
        f"output/data/{columns.INTERMEDIATE_CSV}",
        f"output/data/{RESOLVED_PRESET_NAME}",
        f"output/data/{TRAINING_INPUTS_NAME}",
        "output/data/training_summary.json",
        f"output/intermediate/{columns.INTERMEDIATE_CSV}",
        "output/intermediate/events/events.out.tfevents.0.batchrl",
    }


def test_pointers_name_a_file_with_its_size_and_sha256(trained: Path) -> None:
    for name in (LATEST_NAME, BEST_NAME):
        pointer = json.loads((trained / "checkpoints" / name).read_text())
        content = (trained / "checkpoints" / pointer["checkpoint"]).read_bytes()
        assert (pointer["size"], pointer["sha256"]) == (len(content), sha256_of(content))
    assert json.loads((trained / "checkpoints" / LATEST_NAME).read_text())["epoch"] == 5


@pytest.mark.parametrize("mode", ["coach_nn", "discrete_bcq", "none"])
@pytest.mark.parametrize("acting", ["true", "false"])
def test_every_mask_trains(train: Train, tmp_path: Path, mode: str, acting: str) -> None:
    output = train(tmp_path, bcq__mode=mode, bcq__mask_at_action_time=acting, bcq__imitation_epochs="2", epochs="1")
    row = table(output)[0]
    assert 0 <= float(row[columns.MASKED_FRACTION]) < 1
    assert (float(row[columns.NO_ALLOWED_ACTION_RATE]) == 0) or mode == "coach_nn"


@pytest.mark.parametrize("settings", [{"legacy": "true"}, {"bcq__fallback": "random"}, {"bcq__embedding": "state"}])
def test_variants_of_the_nearest_neighbour_mask_train(train: Train, tmp_path: Path, settings: dict[str, str]) -> None:
    assert len(table(train(tmp_path, epochs="2", **settings))) == 2


def test_test_episodes_score_the_chosen_policy_once(train: Train, tmp_path: Path) -> None:
    train(tmp_path, data__test_ratio="0.2", epochs="2")
    summary = json.loads((tmp_path / "output" / "data" / "training_summary.json").read_text())
    assert summary["split"]["test_episodes"] == summary["estimates"]["episodes"] > 0
    assert not summary["estimates"]["seen_by_the_choice"]
    acting = next(report for report in summary["estimates"]["policies"] if report["policy"] == "greedy")
    assert set(acting["estimates"]) > set(columns.ESTIMATES)


def test_the_choice_is_scored_once_more_in_words_and_numbers(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, data__test_ratio="0.2", epochs="2", selection__window_ess_floor="5")
    said = capsys.readouterr().out
    summary = json.loads((tmp_path / "output" / "data" / "training_summary.json").read_text())
    score, best = summary["estimates"]["score"], summary["best"]
    assert score["metric"] == best["metric"]
    assert columns.window_steps(score["metric"])
    assert score["lower"] < score["value"] < score["upper"]
    assert "discount 0.99" in score["meaning"] and "greedy" in score["meaning"]
    assert said.count(f"\nbest: epoch {best['epoch']} of 2\n") == 1
    final = said[said.index("\nbest: epoch") :]
    assert f"\n  score={best['value']:.6g} ({best['metric']})\n" in final
    assert f"{score['value']:.3f} [{score['lower']:.3f}, {score['upper']:.3f}]" in final
    assert f"from {summary['split']['test_episodes']} test episodes\n" in final
    assert ("no evidence of improvement" in final) == (score["lower"] <= 0)
    assert max(map(len, final.splitlines())) <= 80


def test_without_test_episodes_the_words_say_that_the_figure_is_optimistic(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, epochs="1")
    assert "evaluation episodes, which chose the epoch: optimistic" in capsys.readouterr().out


def test_fitted_values_enter_the_final_figures_where_the_preset_wants_them(train: Train, tmp_path: Path) -> None:
    train(tmp_path, epochs="1", ope__q_function="fqe", ope__fqe_updates="200")
    summary = json.loads((tmp_path / "output" / "data" / "training_summary.json").read_text())
    *learnt, constant = summary["estimates"]["policies"]
    assert len(learnt) == 2
    for policy in learnt:
        assert math.isfinite(policy["estimates"]["Fitted Q Evaluation"]["value"])
    assert "Fitted Q Evaluation" not in constant["estimates"]


def test_an_epochs_estimates_use_no_more_episodes_than_the_preset_allows(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = table(train(tmp_path, epochs="1", ope__max_episodes="7"))
    assert float(rows[0][columns.OPE_EPISODES]) == 7
    assert "estimates of an epoch use 7 of " in capsys.readouterr().out


def test_estimates_of_any_data_fit_into_memory() -> None:
    lengths = np.array([3, 1, 4, 1, 5])
    n = int(lengths.sum())
    episodes = Dataset(
        states=np.arange(n, dtype=np.float32)[:, None],
        actions=np.zeros(n, np.int64),
        rewards=np.zeros(n),
        next_states=np.zeros((n, 1), np.float32),
        terminal=np.ones(n, np.bool_),
        behavior_policy=np.full((n, 2), 0.5),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        episode_ids=tuple("abcde"),
        state_columns=("state_feature_0",),
    )
    assert estimable(episodes, most_steps=25) is episodes
    assert estimable(episodes, most_steps=24).episode_ids == ("a", "b", "c", "d")
    assert estimable(episodes, most_steps=1).episode_ids == ("a", "b")


def test_with_a_cosine_schedule_a_run_is_not_resumed_for_other_epochs(train: Train, tmp_path: Path) -> None:
    train(tmp_path, epochs="2", agent__lr_schedule="cosine")
    with pytest.raises(InputError, match=r"epochs 2, the preset says 3: with agent\.lr_schedule cosine"):
        train(tmp_path, epochs="3", agent__lr_schedule="cosine")
    assert len(table(train(tmp_path, epochs="2", agent__lr_schedule="cosine"))) == 2


def test_save_model_0_exports_nothing(train: Train, tmp_path: Path) -> None:
    train(tmp_path, save_model="0", epochs="1")
    assert not (tmp_path / "model").exists()


def test_one_line_an_epoch_can_be_read_by_metric_patterns(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    train(tmp_path, epochs="3")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch=")]
    for number, (line, row) in enumerate(zip(lines, table(tmp_path), strict=True), start=1):
        assert line.startswith(f"epoch={number} ")
        for name, column in (("wis", columns.WIS), ("sdr", columns.SDR), ("ess", columns.WIS_ESS)):
            match = re.search(rf"{name}=(-?[0-9.]+)", line)
            assert match is not None
            assert float(match[1]) == pytest.approx(float(row[column]), abs=0.06)


def test_wrong_data_is_refused_before_anything_is_written(train: Train, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("action,reward\n0,1\n")
    with pytest.raises(InputError, match=r"log\.csv"):
        train(tmp_path / "out", data=tmp_path / "log.csv")
    with pytest.raises(InputError, match=r"Did you mean 'agent\.discount'"):
        train(tmp_path / "out", agent__discont="0.9")
    assert not (tmp_path / "out").exists()


def test_a_training_that_diverges_ends_at_once_and_says_what_to_change(
    train: Train, frame: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    wild = frame()
    wild["state_feature_0"] *= 1e30
    wild.to_csv(tmp_path / "wild.csv", index=False)
    with pytest.raises(InputError, match=r"(?s)the loss of epoch 1 is not a finite number.*standardise_inputs"):
        train(tmp_path / "out", tmp_path / "wild.csv")
    train(tmp_path / "scaled", tmp_path / "wild.csv", agent__standardise_inputs="true", bcq__mode="none")


def test_where_no_epoch_could_be_compared_the_final_score_is_one_that_can_be_trusted(
    train: Train, frame: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    frame(episodes=400).to_csv(tmp_path / "log.csv", index=False)
    settings = {"agent__algorithm": "one-step", "agent__learning_rate": "1e-9", "data__test_ratio": "0.3"}
    output = train(tmp_path / "out", tmp_path / "log.csv", **settings, selection__window_ess_floor="20")
    summary = json.loads((output / "output" / "data" / TRAINING_SUMMARY_NAME).read_text())
    assert "the log rules out the values of every epoch" in summary["best"]["reason"]
    assert summary["best"]["value"] is None
    assert columns.window_steps(summary["estimates"]["score"]["metric"]) is not None


@pytest.mark.parametrize("kind", ["greedy", "softmax"])
def test_one_target_policy_is_chosen_by_scored_shown_and_exported(
    train: Train,
    tmp_path: Path,
    data_file: Path,
    capsys: pytest.CaptureFixture[str],
    kind: Literal["greedy", "softmax"],
) -> None:
    """The other one stands beside it, and is never taken for it."""
    output = train(tmp_path, ope__target_policy=kind, data__test_ratio="0.2", epochs="3")
    said = capsys.readouterr().out
    name = str(TargetPolicy(kind))
    summary = json.loads((output / "output" / "data" / "training_summary.json").read_text())
    described = json.loads((output / "model" / "model.json").read_text())
    assert summary["target_policy"] == described["target_policy"] == name
    assert described["policy"]["target"]["kind"] == kind
    assert summary["beside"] == "softmax of values at temperature 1"
    assert f"the target policy is {name}" in said and f"the target policy ({name})" in " ".join(said.split())
    (line,) = (line for line in said.splitlines() if line.startswith("epoch=3 "))
    assert f"  {kind}: score=" in line and ("beside it, softmax: wis=" in line) is (kind == "greedy")
    # The scores that chose are the target policy's: recomputed from the checkpoint of the last epoch.
    rows = table(output)
    state = read_state(output / "checkpoints" / "epoch_0003.pt")
    dataset = load_dataset(data_file, DataSettings()).dataset.select(state["split"]["evaluation"].numpy())
    model = load_policy(output / "checkpoints" / "epoch_0003.pt").model
    log = EpisodeLog(dataset, 0.99)
    (policy,) = policies_of(model, log, [TargetPolicy(kind)])
    paired = paired_difference(log, policy, log.log_ratios(policy.probabilities))
    assert float(rows[-1][columns.PAIRED]) == pytest.approx(paired.value)
    scores = Scorer(log, ScoreSettings(resamples=0)).score(policy).report
    assert float(rows[-1][columns.TARGET_SDR]) == pytest.approx(scores.figures[columns.SDR].value)
    assert (rows[-1][columns.TARGET_SDR] == rows[-1][columns.SDR]) is (kind == "softmax")


def test_a_training_ends_with_its_policy_beside_a_constant_action_and_the_logging_policy(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = train(tmp_path, data__test_ratio="0.2", epochs="2")
    said = " ".join(capsys.readouterr().out.split())
    summary = json.loads((output / "output" / "data" / "training_summary.json").read_text())
    target, softmax, constant = (report["policy"] for report in summary["estimates"]["policies"])
    assert (target, softmax) == ("greedy", "softmax of values at temperature 1")
    assert constant in ("always action 0, the best constant one in training", constant.replace("0", "1"))
    for name in ("greedy, the target policy", softmax, constant, "the logging policy"):
        assert f"{name}: " in said.partition("earned, each by the estimate that speaks for it, by")[2]
