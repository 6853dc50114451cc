"""The script ``gate.py``."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from scripts import script_module

from batchrl.contract import columns
from batchrl.ope.gate.level import Level
from batchrl.training import estimating


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return script_module("gate")


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory, data_file: Path) -> Path:
    """Other episodes of the same problem."""
    frame = pd.read_csv(data_file)
    path = tmp_path_factory.mktemp("gate") / "held_out.parquet"
    frame.to_parquet(path)
    return path


def judge(script: ModuleType, held_out: Path, trained: Path, *options: str, acting: str = "--epsilon=0.9") -> int:
    arguments = [str(held_out), "--model", str(trained / "model"), acting, "--alpha", "0.05", *options]
    code: int = script.main(arguments)
    return code


def test_a_look_at_the_log_is_told_and_written(
    script: ModuleType, held_out: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "decision.json"
    assert judge(script, held_out, trained, "--seed", "3", "--output", str(output)) == 0
    said = capsys.readouterr().out
    decision = json.loads(output.read_text())
    assert said.strip() == decision["reason"]
    assert decision["look"] == "log" and decision["outcome"] in ("promoted", "kept out", "undecided")
    assert (decision["episodes"], decision["discount"]) == (40, 0.99)
    assert (decision["alpha"], decision["seed"], decision["resamples"]) == (0.05, 3, Level(0.05).resamples)
    assert decision["candidate"] == "greedy with 0.9 random actions"
    assert {"effective_episodes", "mean_weight"} <= set(decision["weights"])
    assert judge(script, held_out, trained, "--seed", "3", "--json") == 0
    assert json.loads(capsys.readouterr().out) == decision


def test_the_candidate_may_act_by_its_softmax(
    script: ModuleType, held_out: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(script, held_out, trained, "--json", acting="--temperature=2") == 0
    assert json.loads(capsys.readouterr().out)["candidate"] == "softmax of values at temperature 2"


def test_a_canary_is_compared_by_its_discounted_returns(
    script: ModuleType, held_out: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.read_parquet(held_out)
    frame[columns.REWARD] += 5.0
    frame.to_csv(tmp_path / "canary.csv", index=False)
    assert judge(script, held_out, trained, "--canary", str(tmp_path / "canary.csv"), "--json") == 0
    decision = json.loads(capsys.readouterr().out)
    assert (decision["look"], decision["outcome"]) == ("canary", "promoted")
    steps = frame.groupby(columns.EPISODE_ID).cumcount()
    expected = (5.0 * 0.99**steps).sum() / frame[columns.EPISODE_ID].nunique()
    assert decision["difference"]["value"] == pytest.approx(expected)


def test_values_may_be_fitted_on_other_episodes(
    script: ModuleType, held_out: Path, trained: Path, data_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fqe = ("--fqe-data", str(data_file), "--fqe-updates", "200", "--json")
    assert judge(script, held_out, trained, *fqe) == 0
    fitted = json.loads(capsys.readouterr().out)
    assert judge(script, held_out, trained, "--json") == 0
    own = json.loads(capsys.readouterr().out)
    assert fitted["difference"]["value"] != own["difference"]["value"]
    assert fitted["weights"] == own["weights"]


def test_more_episodes_than_memory_holds_are_judged_by_a_random_part(
    script: ModuleType,
    held_out: Path,
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = estimating.estimable
    monkeypatch.setattr(estimating, "estimable", lambda data: few(data, 12 * int(data.lengths.max())))
    found = []
    for seed in ("1", "2"):
        assert judge(script, held_out, trained, "--json", "--seed", seed) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [decision["episodes"] for decision in found] == [12, 12]
    assert found[0]["logged_return"] != found[1]["logged_return"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--alpha", "0.7"], "--alpha got 0.7"),
        (["--alpha", "0"], "--alpha got 0"),
        (["--seed", "-1"], "--seed got -1"),
        (["--fqe-updates", "0"], "--fqe-updates got 0"),
        (["--model", "nowhere"], "there is no policy nowhere"),
        (["--canary", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_a_mistake_is_a_message_and_exit_code_2(
    script: ModuleType,
    held_out: Path,
    trained: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    says: str,
) -> None:
    assert judge(script, held_out, trained, *options) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("Error: ") and says in captured.err and captured.out == ""


def test_too_few_updates_of_a_fit_are_refused_in_the_loops_words(
    script: ModuleType, held_out: Path, trained: Path, data_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(script, held_out, trained, "--fqe-data", str(data_file), "--fqe-updates", "3") == 2
    assert "gate.fqe_updates is 3" in capsys.readouterr().err


def test_data_of_another_problem_is_refused(
    script: ModuleType, held_out: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.read_parquet(held_out).drop(columns=f"{columns.STATE_FEATURE_PREFIX}0")
    frame.to_csv(tmp_path / "other.csv", index=False)
    assert judge(script, tmp_path / "other.csv", trained) == 2
    assert "features" in capsys.readouterr().err
