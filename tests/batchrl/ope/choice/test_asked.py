"""``ope --rank``: the policies of a question, ranked, as JSON and as text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scripts import script_module

from batchrl.data.loader import load_dataset
from batchrl.ope.choice import steps
from batchrl.ope.choice.asked import candidates_of, ranking_of
from batchrl.ope.choice.steps import drawn_episodes
from batchrl.ope.study.given import given_policies
from batchrl.ope.study.study import Question
from presets.dataschema import DataSettings

NAMES = ("always:1", "uniform", "always:0")


def write_log(path: Path, length: int, eligible: bool = False, episodes: int = 150) -> Path:
    """Uniform decisions of which action 1 pays more."""
    rng = np.random.default_rng(0)
    rows = []
    for episode in range(episodes):
        for step in range(length):
            action = int(rng.integers(2))
            row = {
                "action": action,
                "all_action_probabilities": "[0.5, 0.5]",
                "episode_id": episode,
                "reward": action + rng.normal(0, 0.2),
                "state_feature_0": step,
                "state_feature_1": rng.normal(),
            }
            if eligible:
                only = rng.random() < 0.5
                row |= {"action": 0} if only else {}
                row |= {"all_action_probabilities": "[1, 0]" if only else "[0.5, 0.5]"}
            rows.append(row)
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def asked(path: Path) -> Question:
    loaded = load_dataset(path, DataSettings())
    return Question(source="log", policies=[], targets=[None], given=given_policies(NAMES, loaded.dataset))


@pytest.mark.parametrize("length", [1, 4])
def test_policies_are_ranked_as_json_and_in_words(
    length: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_log(tmp_path / "log.csv", length)
    models = [word for name in NAMES[::-1] for word in ("--model", name)]
    found = tmp_path / "found.json"
    options = ["--data-name", "log.csv", "--rank", "--brief", "--resamples", "50", "--output", str(found)]

    assert script_module("ope").main([str(log), *models, *options]) == 0

    out = capsys.readouterr().out
    ranking = json.loads(found.read_text())["ranking"]
    assert [policy["source"] for policy in ranking["policies"]] == list(NAMES)
    assert [policy["rank"] for policy in ranking["policies"]] == [1, 2, 3]
    assert ranking["reliable"] and ranking["agreement"] == pytest.approx(1)
    assert [member["name"] for member in ranking["members"]] == ["squares", "cubics", "network", "knn"]
    assert not any(member["discarded"] for member in ranking["members"])
    assert set(ranking["policies"][0]) == {"source", "policy", "rank", "mean_rank", "ranks"}
    words = " ".join(out.split())
    assert "Ranked by fitted values: 4 of 4 methods count, mean rank correlation 1.00." in words
    assert "RANK SQUARES CUBICS NETWORK KNN POLICY 1 1 1 1 1 always:1: always action 1" in words
    assert "no estimates of worth" in words
    said = "the reward of the policy that acts" if length == 1 else "under the policy that acts, discount 0.99, on all"
    assert said in words
    assert max(map(len, out.splitlines())) <= 80


def test_one_policy_is_not_ranked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = write_log(tmp_path / "log.csv", 2, episodes=20)
    assert script_module("ope").main([str(log), "--model", "uniform", "--rank", "--json", "--resamples", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["ranking"] is None


def test_candidates_are_kept_to_what_could_be_taken(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.csv", 3, eligible=True)
    loaded = load_dataset(path, DataSettings(eligibility="probabilities"))
    data = loaded.dataset
    assert data.eligible is not None and not data.eligible.all()

    found = list(candidates_of(asked(path), loaded, data))

    on = ~data.terminal
    after = data.eligible_after()
    assert after is not None
    for candidate in found:
        assert not candidate.conduct.starts[~data.eligible[data.offsets[:-1]]].any()
        assert not candidate.conduct.following[on][~after[on]].any()
        np.testing.assert_allclose(candidate.conduct.starts.sum(axis=1), 1)


def test_of_a_long_log_whole_episodes_are_drawn_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_log(tmp_path / "log.csv", 4)
    loaded = load_dataset(path, DataSettings())
    monkeypatch.setattr(steps, "MOST_TRANSITIONS", 450)

    positions = drawn_episodes(loaded.dataset, 0)
    ranking = ranking_of(asked(path), loaded, 0.9)

    assert len(positions) == 112
    assert len(set(positions)) == 112
    assert ranking.episodes == "112 episodes drawn of 150"
    assert [place.source for place in ranking.places] == list(NAMES)
