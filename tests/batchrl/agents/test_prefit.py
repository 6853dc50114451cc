from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import presets
from batchrl.agents import prefit
from batchrl.agents.masks import ImitationMask, NearestNeighbourMask
from batchrl.agents.prefit import PrefitModels, costly_mask, fit_prefit_models
from batchrl.data.dataset import Dataset
from batchrl.data.split import Parts, split_for_run
from presets.schema import TrainPreset

N_ACTIONS = 3
SMALL = {"agent.embedder": [8], "agent.middleware": [8], "reward_model.epochs": 1, "bcq.imitation_epochs": 30}


def walk(episodes: int = 60, steps: int = 8, actions: int = N_ACTIONS) -> Dataset:
    """Actions 0 and 1 are taken where the first feature is low and high; the last one is never taken."""
    rng = np.random.default_rng(0)
    n = episodes * steps
    states = rng.normal(size=(n, 2)).astype(np.float32)
    next_states = np.roll(states, -1, axis=0)
    terminal = np.arange(n) % steps == steps - 1
    next_states[terminal] = 1e6
    return Dataset(
        states=states,
        actions=(states[:, 0] > 0).astype(np.int64),
        rewards=rng.normal(size=n),
        next_states=next_states,
        terminal=terminal,
        behavior_policy=np.full((n, actions), 1 / actions),
        offsets=np.arange(0, n + 1, steps),
        episode_ids=tuple(f"e{number}" for number in range(episodes)),
        state_columns=("state_feature_0", "state_feature_1"),
    )


def preset(**changes: object) -> TrainPreset:
    named = {key.replace("__", "."): value for key, value in changes.items()}
    resolved = presets.resolve("cartpole-ddqn-bcq", SMALL | named)
    assert isinstance(resolved, TrainPreset)
    return resolved


def fit(settings: TrainPreset, dataset: Dataset | None = None) -> tuple[PrefitModels, Parts]:
    dataset = dataset or walk()
    parts = Parts.of(dataset, split_for_run(dataset, settings.data, seed=0))
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    return fit_prefit_models(parts, dataset, settings, generator, rng), parts


@pytest.mark.parametrize(
    ("algorithm", "mode", "acting", "restricted", "acts_under_one"),
    [
        ("ddqn-bcq", "discrete_bcq", False, True, False),
        ("ddqn-bcq", "discrete_bcq", True, True, True),
        ("ddqn-bcq", "none", True, False, False),
        ("dqn", "discrete_bcq", False, False, False),
        ("dqn", "discrete_bcq", True, False, True),
    ],
)
def test_a_mask_is_fitted_where_something_keeps_to_it(
    algorithm: str, mode: str, acting: bool, restricted: bool, acts_under_one: bool
) -> None:
    models, _ = fit(preset(agent__algorithm=algorithm, bcq__mode=mode, bcq__mask_at_action_time=acting))
    assert (models.allowed is not None) == restricted
    assert (models.acting_mask is not None) == acts_under_one
    assert (models.masked_fraction > 0) == (restricted or acts_under_one)
    assert ("discrete_bcq" in models.described(mode)) == (restricted or acts_under_one)


@pytest.mark.parametrize("mode", ["coach_knn", "coach_nn", "discrete_bcq"])
@pytest.mark.parametrize("fallback", ["random", "unmasked_argmax", "most_likely"])
def test_the_bootstrap_may_take_some_action_after_each_step_and_any_after_the_last(mode: str, fallback: str) -> None:
    models, parts = fit(preset(bcq__mode=mode, bcq__fallback=fallback, agent__standardise_inputs=True))
    assert models.allowed is not None
    ends = torch.from_numpy(parts.train.terminal)
    assert models.allowed.any(dim=1).all()
    assert models.allowed[ends].all()
    drawn = torch.zeros(len(ends), dtype=torch.bool) if models.at_random is None else models.at_random
    assert not drawn[ends].any()
    # An action that was never logged is allowed only where there is nothing to choose by.
    if fallback == "most_likely":
        assert not models.allowed[~ends, N_ACTIONS - 1].any()
    assert models.masked_fraction >= 1 / N_ACTIONS


@pytest.mark.parametrize("embedding", ["reward_model", "behavior_model", "state", "standardised_state"])
@pytest.mark.parametrize("threshold", ["mean_distance", "quantile"])
def test_neighbours_can_be_compared_by_each_embedding(embedding: str, threshold: str) -> None:
    settings = preset(bcq__embedding=embedding, bcq__knn_threshold=threshold, bcq__mask_at_action_time=True)
    models, parts = fit(settings)
    mask = models.acting_mask
    assert isinstance(mask, NearestNeighbourMask)
    states = torch.from_numpy(parts.train.states)
    taken = torch.from_numpy(parts.train.actions)
    assert mask.support(states).allowed.gather(1, taken[:, None]).all(), "a logged action is near itself"
    far = mask.support(torch.full((1, 2), 1e4)).allowed
    assert not far.any()


def test_standardised_states_have_mean_0_and_deviation_1() -> None:
    dataset = walk()
    scaled = replace(dataset, states=dataset.states * np.array([1, 1e3], dtype=np.float32) + 7)
    models, parts = fit(preset(bcq__embedding="standardised_state", bcq__mask_at_action_time=True), scaled)
    mask = models.acting_mask
    assert isinstance(mask, NearestNeighbourMask)
    keys = torch.cat(mask.keys)
    assert len(keys) == parts.train.n_transitions
    torch.testing.assert_close(keys.mean(dim=0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(keys.std(dim=0, correction=0), torch.ones(2), atol=1e-5, rtol=0)


def test_the_logged_next_action_is_masked_only_where_the_own_episode_is_left_out() -> None:
    """The state after a step is itself logged with the next step's action."""
    masked = {}
    for leave_out in (False, True):
        models, parts = fit(preset(bcq__knn_leave_own_episode_out=leave_out, bcq__average_dist_coefficient=0.2))
        assert models.allowed is not None
        followed = np.flatnonzero(~parts.train.terminal)
        logged_next = models.allowed[followed, torch.from_numpy(parts.train.actions[followed + 1])]
        masked[leave_out] = 1 - logged_next.double().mean().item()
    assert masked[False] == 0
    assert masked[True] > 0


def test_an_index_of_all_episodes_leaves_no_evaluation_state_without_an_action() -> None:
    narrow = {"bcq__average_dist_coefficient": 0.01, "bcq__embedding": "state"}
    assert fit(preset(**narrow))[0].none_allowed_rate > 0.5
    assert fit(preset(**narrow, bcq__knn_source="all"))[0].none_allowed_rate == 0


def test_frozen_models_come_back_from_a_checkpoint() -> None:
    settings = preset(bcq__mask_at_action_time=True, bcq__mode="coach_nn", agent__standardise_inputs=True)
    models, parts = fit(settings)
    restored = PrefitModels.from_state(models.state_dict(), walk(), settings)
    np.testing.assert_array_equal(restored.rewards(parts.evaluation), models.rewards(parts.evaluation))
    assert isinstance(restored.acting_mask, ImitationMask)
    assert restored.acting_mask.absent == [N_ACTIONS - 1]
    assert restored.allowed is not None and models.allowed is not None
    assert restored.allowed.equal(models.allowed)


def test_a_long_search_for_neighbours_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = walk()
    assert costly_mask(dataset, preset()) is None
    monkeypatch.setattr(prefit, "UNANNOUNCED_PRODUCTS", 1e3)
    notice = costly_mask(dataset, preset())
    # 40 % of 480 states train, and are indexed by embeddings of 8 numbers.
    assert notice is not None
    assert "192 states among 192 logged ones of width 8" in notice
    assert "discrete_bcq" in notice
    assert "among 20 logged ones" in str(costly_mask(dataset, preset(bcq__knn_capacity=10)))
    assert costly_mask(dataset, preset(bcq__mode="discrete_bcq")) is None
    assert costly_mask(dataset, preset(agent__algorithm="cql")) is None
