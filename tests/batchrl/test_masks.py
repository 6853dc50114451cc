from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrl.agents import masks
from batchrl.agents.masks import ImitationMask, NoMask, Support, nearest_distances, nearest_neighbour_mask
from batchrl.agents.model import pack_mask, unpack_mask
from batchrl.agents.networks import QNetwork


def brute_force(queries: torch.Tensor, keys: torch.Tensor) -> np.ndarray:
    differences = queries.numpy().astype(np.float64)[:, None, :] - keys.numpy().astype(np.float64)[None, :, :]
    return np.sqrt((differences**2).sum(axis=2)).min(axis=1)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 60), st.integers(1, 20))
def test_distances_are_those_of_brute_force(seed: int, n_queries: int, n_keys: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn(n_queries, width, generator=generator)
    keys = 1000 + torch.randn(n_keys, width, generator=generator)
    found = nearest_distances(queries, (keys, keys[:1], keys[:0]))
    np.testing.assert_allclose(found[:, 0], brute_force(queries, keys), rtol=1e-12)
    np.testing.assert_allclose(found[:, 1], brute_force(queries, keys[:1]), rtol=1e-12)
    assert torch.isinf(found[:, 2]).all()


def test_blocks_do_not_change_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, keys = torch.randn(50, 8), torch.randn(70, 8)
    whole = nearest_distances(queries, (keys,))
    monkeypatch.setattr(masks, "QUERIES_AT_ONCE", 7)
    monkeypatch.setattr(masks, "KEYS_AT_ONCE", 9)
    np.testing.assert_allclose(nearest_distances(queries, (keys,)), whole, rtol=1e-12)


def test_a_key_is_at_distance_exactly_zero() -> None:
    keys = torch.randn(200, 32) * 1e3
    assert (nearest_distances(keys, (keys,)) == 0).all()


def knn(coefficient: float = 1.0, capacity: int = 1000, n_actions: int = 2) -> masks.NearestNeighbourMask:
    states = torch.tensor([[0.0], [1.0], [10.0], [12.0]])
    actions = torch.tensor([0, 1, 0, 1])
    return nearest_neighbour_mask(states, actions, n_actions, coefficient, capacity, None, np.random.default_rng(0))


def test_the_threshold_is_the_mean_over_transitions_of_distances_summed_over_actions() -> None:
    assert knn().threshold == pytest.approx((1 + 1 + 2 + 2) / 4)
    assert knn(coefficient=0.5).threshold == pytest.approx(0.75)


def test_an_action_is_allowed_up_to_and_at_the_threshold() -> None:
    support = knn().support(torch.tensor([[1.5], [1.51], [-0.5], [100.0]]))
    assert support.allowed.tolist() == [[True, True], [False, True], [True, True], [False, False]]
    assert support.likeliest.tolist() == [1, 1, 0, 1]
    assert support.none_allowed_rate() == 0.25


def test_an_action_that_was_never_taken_is_always_masked_and_moves_no_threshold() -> None:
    mask = knn(n_actions=3)
    assert mask.threshold == knn().threshold
    assert not mask.support(torch.zeros(1, 1)).allowed[0, 2]


def test_more_keys_than_the_capacity_are_subsampled() -> None:
    states = torch.arange(100.0)[:, None]
    actions = torch.arange(100) % 2
    drawn = [
        nearest_neighbour_mask(states, actions, 2, 1.0, 10, None, np.random.default_rng(seed)).keys[0]
        for seed in (0, 0, 1)
    ]
    assert [len(keys) for keys in drawn] == [10, 10, 10]
    assert drawn[0].equal(drawn[1])
    assert not drawn[0].equal(drawn[2])


def classifier(probabilities: list[float]) -> QNetwork:
    network = QNetwork(1, len(probabilities), (), torch.Generator())
    torch.nn.init.zeros_(network.head.weight)
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor(probabilities).log())
    return network


def test_coach_nn_compares_probabilities_with_an_absolute_threshold() -> None:
    support = ImitationMask(classifier([0.5, 0.3, 0.2]), 0.25, relative=False).support(torch.zeros(1, 1))
    assert support.allowed.tolist() == [[True, True, False]]
    nothing = ImitationMask(classifier([0.34, 0.33, 0.33]), 0.35, relative=False).support(torch.zeros(1, 1))
    assert nothing.none_allowed.tolist() == [True]


def test_discrete_bcq_compares_with_the_most_likely_action() -> None:
    support = ImitationMask(classifier([0.7, 0.2, 0.1]), 0.25, relative=True).support(torch.zeros(1, 1))
    assert support.allowed.tolist() == [[True, True, False]]


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6), st.floats(0, 1))
def test_the_relative_threshold_always_allows_something(chances: list[float], threshold: float) -> None:
    support = ImitationMask(classifier(chances), threshold, relative=True).support(torch.zeros(1, 1))
    assert support.none_allowed_rate() == 0


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


@pytest.mark.parametrize("kind", ["knn", "knn on embeddings", "imitation", "none"])
def test_a_mask_survives_packing(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    states, actions = torch.randn(30, 3, generator=generator), torch.arange(30) % 2
    network = QNetwork(3, 2, (5,), generator)
    mask: masks.ActionMask = NoMask(2)
    if kind.startswith("knn"):
        embedding = network if "embeddings" in kind else None
        mask = nearest_neighbour_mask(states, actions, 2, 1.0, 100, embedding, np.random.default_rng(0))
    elif kind == "imitation":
        mask = ImitationMask(network, 0.5, relative=True)
    restored = unpack_mask(*pack_mask(mask))
    assert restored is not None
    queries = torch.randn(20, 3, generator=generator)
    assert restored.support(queries).allowed.equal(mask.support(queries).allowed)
