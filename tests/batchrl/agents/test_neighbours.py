from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from batchrl.agents import neighbours
from batchrl.agents.neighbours import Neighbours, expected_seconds, nearest_distances


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def brute_force(
    queries: Tensor, keys: Tensor, query_groups: Tensor | None = None, key_groups: Tensor | None = None
) -> np.ndarray:
    result = []
    for position, query in enumerate(queries):
        distances = torch.linalg.vector_norm(query.double() - keys.double(), dim=1)
        if query_groups is not None and key_groups is not None:
            distances = distances[key_groups != query_groups[position]]
        result.append(distances.min().item() if len(distances) else np.inf)
    return np.array(result)


def close_together() -> tuple[Tensor, Tensor]:
    """Keys far from 0, whose distances from the queries differ in the last digits of float32."""
    keys = 1000 + random(300, 40) * 1e-3
    return keys[:50] + random(50, 40, seed=1) * 1e-4, keys


def on_a_line() -> tuple[Tensor, Tensor]:
    """Many keys whose distances are small beside their lengths."""
    direction = random(1, 40)
    positions = torch.from_numpy(np.random.default_rng(0).permutation(np.linspace(-1, 1, 5000, dtype=np.float32)))
    return torch.linspace(-1, 1, 97)[:, None] * direction, positions[:, None] * direction


def two_clusters() -> tuple[Tensor, Tensor]:
    """Distances that even float64 products round away: both clusters are far from their common centre."""
    keys = random(200, 8) * 1e-2
    keys[::2] += 1e5
    keys[1::2] -= 1e5
    return keys[:40] + random(40, 8, seed=1) * 1e-2, keys


def crowds() -> tuple[Tensor, Tensor]:
    """Many keys whose distances are far below what float32 tells apart."""
    keys = random(2000, 8) * 1e-4
    keys[::2] += 1
    keys[1::2] -= 1
    return keys[:40] + random(40, 8, seed=1) * 1e-4, keys


def of_all_lengths() -> tuple[Tensor, Tensor]:
    keys = random(400, 6) * torch.logspace(-12, 12, 400)[:, None]
    return random(100, 6, seed=1) * torch.logspace(12, -12, 100)[:, None], keys


def near_overflow() -> tuple[Tensor, Tensor]:
    return random(20, 5, seed=1) * 1e37, random(50, 5) * 3e37


def near_underflow() -> tuple[Tensor, Tensor]:
    return random(20, 5, seed=1) * 1e-39, random(50, 5) * 1e-38


def far_queries() -> tuple[Tensor, Tensor]:
    return random(20, 5, seed=1) * 1e30, random(50, 5) * 1e-10


def equal_keys() -> tuple[Tensor, Tensor]:
    return random(30, 7), random(1, 7, seed=1).expand(500, -1)


def one_key() -> tuple[Tensor, Tensor]:
    return random(30, 7), random(1, 7, seed=1)


def narrow() -> tuple[Tensor, Tensor]:
    return random(60, 1), random(90, 1, seed=1)


CASES = [
    close_together,
    on_a_line,
    two_clusters,
    crowds,
    of_all_lengths,
    near_overflow,
    near_underflow,
    far_queries,
    equal_keys,
    one_key,
    narrow,
]


@pytest.mark.parametrize("case", CASES)
def test_distances_are_those_of_brute_force_to_the_bit(case: Callable[[], tuple[Tensor, Tensor]]) -> None:
    queries, keys = case()
    np.testing.assert_array_equal(nearest_distances(queries, keys), brute_force(queries, keys))


@pytest.mark.parametrize("case", CASES)
def test_the_error_of_scores_stays_within_its_bound(case: Callable[[], tuple[Tensor, Tensor]]) -> None:
    queries, keys = case()
    index = Neighbours.of(keys)
    scale, centre = index.scale, index.centre
    wanted = (keys[index.rows].double() - centre) * scale
    asked = (queries.double() - centre) * scale
    exact = torch.cdist(asked, wanted, compute_mode="donot_use_mm_for_euclid_dist").square().T
    exact -= asked.square().sum(dim=1)
    scores = torch.addmm(index.squares[:, None], index.scored, asked.float().T, alpha=-2).double()
    lengths = asked.norm(dim=1)
    told_apart = lengths < neighbours.LONGEST
    bound = index._error(lengths, torch.float32).double().repeat_interleave(neighbours.GROUP, dim=0)
    # The exact scores are rounded themselves, in float64.
    slack = 1e-14 * (lengths + index.radii.max()).square()
    assert ((scores - exact).abs() <= bound + slack)[:, told_apart].all()


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 60), st.integers(1, 20), st.booleans())
def test_any_numbers_of_queries_and_keys(seed: int, n_queries: int, n_keys: int, width: int, repeated: bool) -> None:
    queries, keys = random(n_queries, width, seed=seed), random(n_keys, width, seed=seed + 1)
    if repeated:
        keys, queries = keys.round(), queries.round()
    np.testing.assert_array_equal(nearest_distances(queries, keys), brute_force(queries, keys))


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 8), st.booleans())
def test_keys_of_the_own_group_are_left_out(seed: int, n_keys: int, n_groups: int, sort: bool) -> None:
    rng = np.random.default_rng(seed)
    # Rounded, so that keys are repeated within groups and across them.
    keys, queries = random(n_keys, 2, seed=seed).round(), random(30, 2, seed=seed + 1)
    key_groups = torch.from_numpy(rng.integers(0, n_groups, n_keys))
    query_groups = torch.from_numpy(rng.integers(0, n_groups + 1, 30))
    query_groups = query_groups.sort().values if sort else query_groups
    found = nearest_distances(queries, keys, query_groups, key_groups)
    np.testing.assert_array_equal(found, brute_force(queries, keys, query_groups, key_groups))
    assert (found >= nearest_distances(queries, keys)).all()


@given(st.integers(0, 10_000))
def test_the_order_of_keys_changes_nothing(seed: int) -> None:
    queries, keys = random(20, 5, seed=seed), random(200, 5, seed=seed + 1)
    groups = torch.arange(200) // 10
    own = torch.arange(20)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(200))
    assert nearest_distances(queries, keys[order]).equal(nearest_distances(queries, keys))
    shuffled = nearest_distances(queries, keys[order], own, groups[order])
    assert shuffled.equal(nearest_distances(queries, keys, own, groups))


def test_a_key_is_at_distance_exactly_zero() -> None:
    keys = random(5000, 32) * 1e3
    assert (nearest_distances(keys, keys) == 0).all()


def test_without_keys_the_distance_is_infinite() -> None:
    assert torch.isinf(nearest_distances(random(3, 4), random(0, 4))).all()
    assert nearest_distances(random(0, 4), random(3, 4)).shape == (0,)


def test_blocks_do_not_change_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, keys = random(50, 8), torch.cat([random(70, 8, seed=1), random(30, 8, seed=1)])
    groups = torch.arange(100) // 7
    own = torch.arange(50) // 9
    whole = nearest_distances(queries, keys, own, groups)
    monkeypatch.setattr(neighbours, "QUERIES_AT_ONCE", 8)
    monkeypatch.setattr(neighbours, "KEYS_AT_ONCE", 32)
    monkeypatch.setattr(neighbours, "DIFFERENCES_AT_ONCE", 100)
    assert nearest_distances(queries, keys, own, groups).equal(whole)


def test_repeated_keys_are_kept_once_even_where_hashes_collide(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = torch.cat([random(40, 3), random(40, 3)])
    queries = random(20, 3, seed=1)
    assert len(Neighbours.of(keys).rows) == 48, "40 distinct keys, filled to three groups of 16"
    monkeypatch.setattr(neighbours, "_hashes", lambda array: np.zeros(len(array), dtype=np.uint64))
    np.testing.assert_array_equal(nearest_distances(queries, keys), brute_force(queries, keys))


def test_where_float32_cannot_tell_keys_apart_float64_does() -> None:
    queries, keys = crowds()
    index = Neighbours.of(keys)
    _, again = index._nearest(queries, None, torch.float32)
    assert len(again) > 0
    _, again = index._nearest(queries, None, torch.float64)
    assert len(again) == 0


def test_the_expected_time_is_in_proportion_to_the_work() -> None:
    few, many = expected_seconds(1_000, 1_000, 4), expected_seconds(1_000_000, 1_000_000, 4)
    assert many > 1_000 * few > 0
