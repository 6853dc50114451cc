"""Policies of every algorithm as plain tensors, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from batchrl.agents.masks import ImitationMask
from batchrl.agents.model import PolicyModel, Scorer
from batchrl.agents.networks import Network, NetworkShape
from batchrl.agents.registry import ALGORITHMS
from batchrl.agents.target_policy import TargetPolicy
from batchrl.checkpoints.export import export_model, import_model
from batchrl.checkpoints.files import publish_state, read_state
from batchrl.checkpoints.onnx_comparison import compare, states_for
from batchrl.checkpoints.onnx_graph import PolicyGraph
from batchrl.checkpoints.policy import load_policy
from batchrl.contract.errors import InputError

Train = Callable[..., Path]
STATES = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)


def network(seed: int, ensemble: int = 1, scaled: bool = False) -> Network:
    scaling = (torch.ones(3), torch.full((3,), 0.5)) if scaled else (None, None)
    return Network(NetworkShape(3, 2, (6,), ensemble), torch.Generator().manual_seed(seed), *scaling)


def models() -> dict[str, PolicyModel]:
    preferences, values = Scorer(network(0, 3, scaled=True)), Scorer(network(1, 2), 7.0)
    mask = ImitationMask(network(2), 0.6, relative=False)
    greedy = TargetPolicy("epsilon_greedy", epsilon=0.2)
    return {
        "values are the preferences": PolicyModel(values, values, TargetPolicy(), None, "random"),
        "preferences apart": PolicyModel(preferences, values, greedy, None, "random"),
        "no values": PolicyModel(preferences, None, greedy, None, "unmasked_argmax"),
        "under a mask": PolicyModel(preferences, values, greedy, mask, "most_likely"),
    }


@pytest.mark.parametrize("kind", sorted(models()))
def test_a_model_is_read_back_as_it_was(kind: str, tmp_path: Path) -> None:
    model = models()[kind]
    config, tensors = model.pack()
    copied = {name: tensor.clone() for name, tensor in tensors.items()}
    export_model(tmp_path, model, {"epoch": 3}, "{}")
    exported, facts = import_model(tmp_path)
    assert facts["epoch"] == 3
    for found in (PolicyModel.unpack(json.loads(json.dumps(config)), copied), exported):
        np.testing.assert_array_equal(found.q_values(STATES), model.q_values(STATES))
        np.testing.assert_array_equal(found.action_probabilities(STATES), model.action_probabilities(STATES))
        assert (found.values is None) == (model.values is None)
        assert found.fallback == model.fallback
    if kind == "values are the preferences":
        assert exported.values is not None
        assert exported.values.network is exported.preferences.network
        assert not any(name.startswith("values.") for name in tensors)


def test_members_of_an_ensemble_are_averaged_in_the_rewards_units() -> None:
    members = network(1, 2)
    expected = members.infer(torch.from_numpy(STATES)).mean(dim=0) * 7
    np.testing.assert_allclose(Scorer(members, 7.0)(STATES), expected, rtol=1e-6)


def test_the_policy_follows_the_preferences_and_not_the_values() -> None:
    model = replace(models()["preferences apart"], target=TargetPolicy("greedy"))
    probabilities = model.action_probabilities(STATES)
    assert (probabilities.argmax(axis=1) == model.preferences(STATES).argmax(axis=1)).all()
    assert (probabilities.argmax(axis=1) != model.q_values(STATES).argmax(axis=1)).any()
    assert not models()["no values"].q_values(STATES).any()


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_checkpoints_and_exports_of_every_algorithm_give_the_same_policy(
    train: Train, data_file: Path, tmp_path: Path, algorithm: str
) -> None:
    settings = {"agent__ensemble": "2", "agent__standardise_inputs": "true", "agent__value_scale": "3"}
    data = data_file
    if ALGORITHMS[algorithm].single_decisions:
        frame = pd.read_csv(data_file)
        frame.assign(episode_id=range(len(frame))).to_csv(data := tmp_path / "decisions.csv", index=False)
    train(tmp_path, data, epochs="1", agent__algorithm=algorithm, **settings)
    policies = [load_policy(tmp_path / "checkpoints"), load_policy(tmp_path / "model")]
    for policy in policies:
        found = policy.describe()
        assert (found["algorithm"], found["ensemble"], found["epoch"]) == (algorithm, 2, 1)
        assert policy.q_values(STATES).any() == (algorithm not in ("bc", "ips-policy"))
        graph = PolicyGraph(policy.model, policy.model.target)
        outputs = zip(graph.output_names, graph(torch.from_numpy(states_for(policy.model))), strict=True)
        found = {name: tensor.numpy() for name, tensor in outputs}
        assert compare(policy.model, found, states_for(policy.model)).holds
    np.testing.assert_array_equal(*(policy.q_values(STATES) for policy in policies))
    np.testing.assert_array_equal(*(policy.action_probabilities(STATES) for policy in policies))


def test_what_another_version_wrote_is_refused_with_what_to_do(trained: Path, tmp_path: Path, train: Train) -> None:
    state = read_state(trained / "checkpoints" / "epoch_0005.pt")
    publish_state(tmp_path / "checkpoints" / "epoch_0005.pt", state | {"format": 1})
    for load in (lambda: load_policy(tmp_path / "checkpoints"), lambda: train(tmp_path)):
        with pytest.raises(InputError, match="format 1") as caught:
            load()
        assert caught.value.hint
    description = json.loads((trained / "model" / "model.json").read_text()) | {"format": 1}
    (tmp_path / "model.json").write_text(json.dumps(description))
    safetensors.torch.save_file({}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"model\.json has format 1") as refused:
        load_policy(tmp_path)
    assert "Train again" in str(refused.value.hint)
