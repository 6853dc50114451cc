"""The script ``collect.py``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from scripts import script_module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return script_module("collect")


def run(script: ModuleType, folder: Path, *options: str, name: str = "data.csv") -> int:
    arguments = ["--env", "CartPole-v0", "--num-envs", "4", "--output", str(folder / name), *options]
    code: int = script.main(arguments)
    return code


def test_it_writes_the_table_and_a_summary(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(script, tmp_path, "--episodes", "2", "--seed", "3", "--json") == 0
    captured = capsys.readouterr()
    summary = json.loads(captured.out)
    frame = pd.read_csv(tmp_path / "data.csv")
    assert (summary["episodes"], summary["steps"], summary["seed"]) == (8, len(frame), 3)
    assert summary["mean_return"] == pytest.approx(frame["cumulative_rewards"].sum() / 8)
    assert run(script, tmp_path, "--episodes", "2", "--seed", "3", name="again.csv") == 0
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "data.csv").read_bytes()
    assert f"8 episodes, {len(frame)} steps, mean return" in capsys.readouterr().out


def test_steps_come_with_their_ends(script: ModuleType, tmp_path: Path) -> None:
    assert run(script, tmp_path, "--steps", "6", name="data.parquet") == 0
    frame = pd.read_parquet(tmp_path / "data.parquet")
    assert len(frame) == 24 and frame["truncated"].sum() == 4 and "next_state_feature_3" in frame


def test_policies_by_probabilities_and_epsilon(script: ModuleType, tmp_path: Path) -> None:
    assert run(script, tmp_path, "--policy", "[0.2, 0.8]", "--epsilon", "0.5", "--format", "csv", name="data") == 0
    assert set(pd.read_csv(tmp_path / "data")["all_action_probabilities"]) == {"[0.25, 0.75]"}


def test_policies_by_the_name_of_a_python_object(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "from batchrl.policies import FixedPolicy\nlean = FixedPolicy([0.2, 0.8])\n\ndef make():\n    return lean\n"
    (tmp_path / "my_policies.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("lean", "make"):
        assert run(script, tmp_path, "--policy", f"my_policies:{name}", name=f"{name}.csv") == 0
        assert set(pd.read_csv(tmp_path / f"{name}.csv")["all_action_probabilities"]) == {"[0.2, 0.8]"}


def test_the_mail_campaign_is_there_by_its_id(script: ModuleType, tmp_path: Path) -> None:
    options = ["--env", "batchrl/MailCampaign-v0", "--policy", "batchrl.problems.logging:MailRules"]
    assert run(script, tmp_path, *options, "--episodes", "1") == 0
    frame = pd.read_csv(tmp_path / "data.csv")
    assert {"state_feature_8", "reward"} <= set(frame) and frame["episode_id"].nunique() == 4


def test_a_check_says_what_would_be_played_and_plays_nothing(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(script, tmp_path / "none", "--check") == 0
    facts = {"env": "CartPole-v0", "actions": 2, "features": 4, "by_chance": True, "max_episode_steps": 200}
    facts |= {"eligible": False}
    assert json.loads(capsys.readouterr().out) == facts
    assert run(script, tmp_path / "none", "--check", "--max-episode-steps", "30") == 0
    assert json.loads(capsys.readouterr().out) == {**facts, "max_episode_steps": 30}
    assert run(script, tmp_path / "none", "--check", "--policy", "[1, 0]") == 0
    assert json.loads(capsys.readouterr().out) == {**facts, "by_chance": False}
    assert run(script, tmp_path / "none", "--check", "--policy", "batchrl.problems.logging:MailRules") == 2
    assert "written for another environment" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--policy", "[0.2]"], "the environment has 2 actions"),
        (["--policy", "[0.2"], "no JSON list"),
        (["--policy", "nowhere"], "there is no such path"),
        (["--policy", "no_such_module:Policy"], "No module named 'no_such_module'"),
        (["--policy", "batchrl.problems.logging:Polite"], "has no attribute 'Polite'"),
        (["--policy", "batchrl.problems.logging:ENGAGED"], "which has no action_probabilities"),
        (["--policy", "pathlib:Path"], "which has no action_probabilities"),
        (["--policy", "batchrl.policies:UniformPolicy"], "calling it fails: TypeError"),
        (["--policy", "batchrl.problems.logging:MailRules"], "written for another environment"),
        (["--num-envs", "0"], "Give at least 1"),
        (["--epsilon", "2"], "from 0 to 1"),
        (["--temperature", "1"], "has no values to soften"),
        (["--temperature", "1", "--epsilon", "0.1"], "Keep one of them"),
        (["--seed", "-1"], "Give 0 or more"),
        (["--max-episode-steps", "0"], "Give at least 1"),
        (["--env", "Nope-v3"], "there is no environment 'Nope-v3'"),
        (["--output", "data.xls"], "End it with one of"),
        (["--episodes", "0"], "at least one episode"),
    ],
)
def test_a_mistake_is_a_message_and_exit_code_2(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    assert run(script, tmp_path, *options) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("Error: ") and says in captured.err and captured.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--episods", "3"], "Did you mean --episodes?"),
        (["--episodes", "three"], "invalid int value: 'three'"),
        (["--episodes", "3", "--steps", "4"], "not allowed with"),
    ],
)
def test_a_mistyped_option_is_answered_with_the_nearest(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(script, tmp_path, *options)
    assert caught.value.code == 2 and says in capsys.readouterr().err
