"""Candidates chosen from one log: which episodes judge, who is promoted, and the script ``choose.py``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scripts import script_module

from batchrl.agents.target_policy import TargetPolicy
from batchrl.contract.errors import InputError
from batchrl.data.loader import LoadedData, load_dataset
from batchrl.ope.gate.candidates import Choice, Terms, choose, held_of
from batchrl.ope.study.sources import TrainedPolicy, read_policy

SPLIT = {"data__test_ratio": "0.3", "data__split_seed": "7", "epochs": "1"}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 single steps of two actions, of which the one that the state names pays 1."""
    rng = np.random.default_rng(0)
    state, action = rng.normal(size=400), rng.integers(2, size=400)
    frame = pd.DataFrame(
        {
            "action": action,
            "all_action_probabilities": "[0.5, 0.5]",
            "episode_id": np.repeat(np.arange(200), 2),
            "reward": (action == (state > 0)).astype(float),
            "state_feature_0": state,
            "state_feature_1": np.tile([0.0, 1.0], 200),
        }
    )
    path = tmp_path_factory.mktemp("log") / "log.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def candidates(train: Callable[..., Path], log: Path, tmp_path_factory: pytest.TempPathFactory) -> list[TrainedPolicy]:
    """Two seeds that share their split."""
    folder = tmp_path_factory.mktemp("candidates")
    runs = [train(folder / seed, log, seed=seed, **SPLIT) for seed in ("0", "1")]
    return [read_policy(run.name, run / "checkpoints") for run in runs]


@pytest.fixture(scope="module")
def loaded(log: Path, candidates: list[TrainedPolicy]) -> LoadedData:
    settings = candidates[0].data_settings
    assert settings is not None
    return load_dataset(log, settings)


def chosen(
    policies: list[TrainedPolicy], loaded: LoadedData, reward_range: tuple[float, float] | None = None
) -> Choice:
    return choose(policies, loaded, Terms("log.csv", 0.05, reward_range=reward_range))


def acting(policy: TrainedPolicy, name: str, temperature: float) -> TrainedPolicy:
    target = TargetPolicy("softmax", temperature)
    return replace(policy, name=name, model=replace(policy.model, target=target))


def test_runs_of_several_seeds_keep_the_same_episodes_where_the_split_has_one(
    candidates: list[TrainedPolicy], loaded: LoadedData
) -> None:
    first, second = (policy.split for policy in candidates)
    assert first is not None and second is not None
    assert first.test.tolist() == second.test.tolist()
    held = held_of(candidates, loaded.dataset)
    assert held.lack is None
    assert sorted(held.unseen) == sorted(first.test)
    assert sorted([*held.unseen, *held.rest]) == list(range(200))


def test_the_pick_is_judged_on_episodes_that_neither_training_nor_ranking_saw(
    candidates: list[TrainedPolicy], loaded: LoadedData
) -> None:
    found = chosen(candidates, loaded)
    facts = found.to_json()
    assert facts["episodes"] == {"all": 200, "ranked_on": 140, "unseen": 60}
    assert found.ranking is not None and "the 140 episodes" in found.ranking.episodes
    assert found.look is not None and found.look.facts["episodes"] == 60
    assert facts["pick"] in ("0", "1")
    # Rewards of the unseen episodes move the look, and never the order.
    dataset = loaded.dataset
    rewards = np.array(dataset.rewards)
    held = held_of(candidates, dataset)
    for episode in held.unseen:
        rewards[dataset.offsets[episode] : dataset.offsets[episode + 1]] *= -1
    digest = dataset.sha256()
    changed = replace(dataset, rewards=rewards)
    moved = [replace(one, facts={**one.facts, "data_sha256": changed.sha256()}) for one in candidates]
    assert changed.sha256() != digest
    other = chosen(moved, replace(loaded, dataset=changed))
    assert other.ranking is not None and found.ranking is not None
    assert [place.source for place in other.ranking.places] == [place.source for place in found.ranking.places]
    assert other.look is not None and other.look.difference.value != found.look.difference.value


def test_a_policy_that_acts_as_the_log_did_is_not_promoted(candidates: list[TrainedPolicy], loaded: LoadedData) -> None:
    found = chosen([acting(candidates[0], "flat", 1e9)], loaded, (0.0, 1.0))
    assert found.ranking is None and found.pick == "flat"
    assert not found.promoted and found.to_json()["promoted"] is None
    assert "acts as the incumbent policy does" in found.reason
    assert found.least_gain is not None and found.least_gain < 0


def test_nothing_is_promoted_where_no_episode_is_unseen(
    candidates: list[TrainedPolicy], loaded: LoadedData, train: Callable[..., Path], log: Path, tmp_path: Path
) -> None:
    run = train(tmp_path / "whole", log, epochs="1", data__test_ratio="0")
    found = chosen([*candidates, read_policy("whole", run / "checkpoints")], loaded)
    assert not found.promoted and found.look is None
    assert "kept from every training" in found.reason and "data.test_ratio" in found.reason
    assert found.facts["episodes"] == {"all": 200, "ranked_on": 200, "unseen": 0}


def test_nothing_is_promoted_by_another_log_than_the_trainings(
    candidates: list[TrainedPolicy], loaded: LoadedData
) -> None:
    other = replace(loaded, dataset=loaded.dataset.select(np.arange(100)))
    found = chosen(candidates, other)
    assert not found.promoted and "nothing says which episodes of this log 0, 1 learnt from" in found.reason


def test_a_range_that_the_rewards_leave_is_refused(candidates: list[TrainedPolicy], loaded: LoadedData) -> None:
    with pytest.raises(InputError, match="has rewards from 0 to 1"):
        chosen(candidates, loaded, (0.5, 1.0))


def test_the_script_writes_what_it_says(
    log: Path, candidates: list[TrainedPolicy], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = script_module("choose")
    runs = [Path(str(one.facts["source"])).parent for one in candidates]
    models = [word for run in runs for word in ("--model", f"{run.parent.name}={run}")]
    output = tmp_path / "with space.json"
    assert script.main([str(log), *models, "--reward-range", "0:1", "--output", str(output), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(output.read_text())
    assert printed["look"]["alpha"] == 0.025 and printed["betting_bound"] is not None
    assert script.main([str(log), *models, "--alpha", "0.7"]) == 2
    assert script.main([str(log), *models[:2], *models[:2]]) == 2
    assert "is named twice" in capsys.readouterr().err
