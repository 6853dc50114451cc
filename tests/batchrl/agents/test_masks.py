from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from batchrl.agents import masks
from batchrl.agents.masks import ImitationMask, LoggedActions, NearestNeighbourMask, Support, nearest_neighbour_mask
from batchrl.agents.model import pack_mask, unpack_mask
from batchrl.agents.networks import Network, NetworkShape
from presets.schema import BcqSettings


def logged(
    states: list[float] | torch.Tensor, actions: list[int], episodes: list[int] | None = None, n_actions: int = 2
) -> LoggedActions:
    states = states if isinstance(states, torch.Tensor) else torch.tensor(states)[:, None]
    numbers = torch.tensor(episodes) if episodes is not None else torch.arange(len(actions))
    return LoggedActions(states, torch.tensor(actions), numbers, n_actions)


def knn(
    data: LoggedActions | None = None, embedding: Network | None = None, seed: int = 0, **settings: Any
) -> NearestNeighbourMask:
    data = data or logged([0.0, 1.0, 10.0, 12.0], [0, 1, 0, 1])
    return nearest_neighbour_mask(data, BcqSettings(**settings), embedding, np.random.default_rng(seed))


def constant(outputs: list[float]) -> Network:
    """A network whose outputs do not depend on the state."""
    network = Network(NetworkShape(1, len(outputs), ()), torch.Generator())
    bias = torch.tensor(outputs)[None]
    network.load_state_dict({"layers.0.weight": torch.zeros(1, len(outputs), 1), "layers.0.bias": bias})
    return network


def classifier(probabilities: list[float]) -> Network:
    return constant(torch.tensor(probabilities).log().tolist())


def test_the_threshold_is_the_mean_over_transitions_of_distances_summed_over_actions() -> None:
    assert knn().thresholds == pytest.approx([(1 + 1 + 2 + 2) / 4] * 2)
    assert knn(average_dist_coefficient=0.5).thresholds == pytest.approx([0.75] * 2)


def test_an_action_is_allowed_up_to_and_at_the_threshold() -> None:
    support = knn().support(torch.tensor([[1.5], [1.51], [-0.5], [100.0]]))
    assert support.allowed.tolist() == [[True, True], [False, True], [True, True], [False, False]]
    assert support.likeliest.tolist() == [1, 1, 0, 1]
    assert support.none_allowed_rate() == 0.25
    assert support.masked_fraction() == pytest.approx(3 / 8)


def test_an_action_that_was_never_taken_is_always_masked_and_moves_no_threshold() -> None:
    mask = knn(logged([0.0, 1.0, 10.0, 12.0], [0, 1, 0, 1], n_actions=3))
    assert mask.thresholds[:2] == knn().thresholds
    assert not mask.support(torch.zeros(1, 1)).allowed[0, 2]


def test_the_quantile_of_an_action_is_that_of_its_distances_between_episodes() -> None:
    # Action 0 at 0, 1, 3 and 7 in episodes of their own: nearest others at 1, 1, 2 and 4. Action 1 in one episode.
    data = logged([0.0, 1.0, 3.0, 7.0, 50.0, 51.0], [0, 0, 0, 0, 1, 1], [0, 1, 2, 3, 4, 4])
    assert knn(data, knn_threshold="quantile", knn_quantile=1.0).thresholds == [4.0, 0.0]
    assert knn(data, knn_threshold="quantile", knn_quantile=0.5).thresholds == [1.5, 0.0]
    support = knn(data, knn_threshold="quantile", knn_quantile=0.5).support(torch.tensor([[2.0], [50.0], [50.5]]))
    assert support.allowed.tolist() == [[True, False], [False, True], [False, False]]


def test_a_state_is_not_its_own_neighbour_when_its_episode_is_left_out() -> None:
    data = logged([0.0, 0.5, 4.0, 4.5], [0, 1, 0, 1], [0, 0, 1, 1])
    plain, others = knn(data), knn(data, knn_leave_own_episode_out=True)
    states, episodes = data.states, data.episodes
    assert plain.distances(states, episodes).tolist() == [[0.0, 0.5], [0.5, 0.0], [0.0, 0.5], [0.5, 0.0]]
    assert others.distances(states, episodes).tolist() == [[4.0, 4.5], [3.5, 4.0], [4.0, 3.5], [4.5, 4.0]]
    assert others.thresholds == pytest.approx([8.0] * 2)
    assert others.distances(states).equal(plain.distances(states)), "new states belong to no episode"


def test_an_action_known_from_the_own_episode_alone_is_masked_there_and_moves_no_threshold() -> None:
    data = logged([0.0, 1.0, 2.0], [0, 0, 1], [0, 1, 1])
    mask = knn(data, knn_leave_own_episode_out=True)
    # Action 0: 1 from each of the states, 2 from the last. Action 1: 2, and nothing for the states of episode 1.
    assert mask.thresholds == pytest.approx([(1 + 1 + 2) / 3 + 2] * 2)
    assert mask.support(data.states, data.episodes).allowed[:, 1].tolist() == [True, False, False]


def test_more_keys_than_the_capacity_are_subsampled() -> None:
    data = logged(torch.arange(100.0)[:, None], (torch.arange(100) % 2).tolist())
    drawn = [knn(data, seed=seed, knn_capacity=10).keys[0] for seed in (0, 0, 1)]
    assert [len(keys) for keys in drawn] == [10, 10, 10]
    assert drawn[0].equal(drawn[1])
    assert not drawn[0].equal(drawn[2])
    assert (drawn[0] % 2 == 0).all()


def test_blocks_do_not_change_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    data = logged(torch.randn(70, 3, generator=generator), (torch.arange(70) % 2).tolist())
    mask = knn(data, knn_leave_own_episode_out=True)
    whole = mask.distances(data.states, data.episodes)
    monkeypatch.setattr(masks, "STATES_AT_ONCE", 9)
    assert mask.distances(data.states, data.episodes).equal(whole)


def test_states_are_supported_where_logged_states_coincide() -> None:
    """Where every distance is 0, the rounding of embeddings must not forbid what was logged."""
    network = Network(NetworkShape(2, 2, (64, 300)), torch.Generator().manual_seed(0))
    states = torch.tensor([[0.1, 0.7], [0.9, 0.3], [0.5, 0.4]]).repeat(40, 1)
    mask = knn(logged(states, (torch.arange(120) // 3 % 2).tolist()), network)
    for size in (1, 2, 7, 120):
        assert mask.support(states[:size]).allowed.all()


def test_coach_nn_compares_probabilities_with_an_absolute_threshold() -> None:
    support = ImitationMask(classifier([0.5, 0.3, 0.2]), 0.25, relative=False).support(torch.zeros(1, 1))
    assert support.allowed.tolist() == [[True, True, False]]
    nothing = ImitationMask(classifier([0.34, 0.33, 0.33]), 0.35, relative=False).support(torch.zeros(1, 1))
    assert nothing.none_allowed.tolist() == [True]


def test_discrete_bcq_compares_with_the_most_likely_action() -> None:
    support = ImitationMask(classifier([0.7, 0.2, 0.1]), 0.25, relative=True).support(torch.zeros(1, 1))
    assert support.allowed.tolist() == [[True, True, False]]


@pytest.mark.parametrize("relative", [False, True])
def test_a_classifier_never_allows_what_was_never_logged(relative: bool) -> None:
    mask = ImitationMask(constant([0.0, 9.0, 0.0]), 0.0, relative, absent=[1])
    support = mask.support(torch.zeros(4, 1))
    assert support.allowed.tolist() == [[True, False, True]] * 4
    assert (support.likeliest != 1).all()


def test_fallbacks_where_nothing_is_allowed() -> None:
    support = Support(torch.tensor([[True, False], [False, False]]), torch.tensor([0, 1]))
    expected = {
        "most_likely": ([[True, False], [False, True]], [False, False]),
        "unmasked_argmax": ([[True, False], [True, True]], [False, False]),
        "random": ([[True, False], [True, True]], [False, True]),
    }
    for fallback, (allowed, at_random) in expected.items():
        found = support.with_fallback(fallback)  # type: ignore[arg-type]
        assert (found[0].tolist(), found[1].tolist()) == (allowed, at_random)


@pytest.mark.parametrize("kind", ["knn", "knn on embeddings", "knn with quantiles", "imitation"])
def test_a_mask_survives_packing(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    data = logged(torch.randn(30, 3, generator=generator), (torch.arange(30) % 2).tolist())
    network = Network(NetworkShape(3, 2, (5,)), generator, torch.ones(3), torch.full((3,), 0.5))
    mask: masks.ActionMask
    if kind == "imitation":
        mask = ImitationMask(network, 0.5, relative=True, absent=[1])
    else:
        threshold = "quantile" if "quantiles" in kind else "mean_distance"
        mask = knn(data, network if "embeddings" in kind else None, knn_threshold=threshold)
    restored = unpack_mask(*pack_mask(mask))
    assert restored is not None
    queries = torch.randn(20, 3, generator=generator)
    assert restored.support(queries).allowed.equal(mask.support(queries).allowed)
