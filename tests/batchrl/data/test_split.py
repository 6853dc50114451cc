from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batchrl.contract.errors import InputError
from batchrl.data.dataset import Dataset
from batchrl.data.split import Parts, split_episodes

LENGTHS = st.lists(st.integers(1, 50), min_size=3, max_size=60).map(np.array)


@given(LENGTHS, st.floats(0.05, 0.7), st.floats(0, 0.25), st.integers(0, 2**32 - 1))
def test_every_episode_is_in_exactly_one_part(
    lengths: np.ndarray, train_ratio: float, test_ratio: float, seed: int
) -> None:
    try:
        split = split_episodes(lengths, train_ratio, test_ratio, seed)
    except InputError:
        assume(False)
    together = np.concatenate([split.train, split.evaluation, split.test])
    assert sorted(together.tolist()) == list(range(len(lengths)))
    assert len(split.train) and len(split.evaluation)


@given(LENGTHS, st.floats(0.05, 0.7), st.integers(0, 2**32 - 1))
def test_training_holds_its_share_and_less_than_one_episode_more(
    lengths: np.ndarray, train_ratio: float, seed: int
) -> None:
    try:
        split = split_episodes(lengths, train_ratio, 0.0, seed)
    except InputError:
        assume(False)
    wanted = round(train_ratio * lengths.sum())
    held = lengths[split.train].sum()
    assert held > wanted >= held - lengths[split.train[-1]]


@given(LENGTHS, st.floats(0.1, 0.3), st.integers(0, 1000))
def test_the_test_part_holds_its_share_and_less_than_one_episode_more(
    lengths: np.ndarray, test_ratio: float, seed: int
) -> None:
    try:
        split = split_episodes(lengths, 0.4, test_ratio, seed)
    except InputError:
        assume(False)
    wanted = round(test_ratio * lengths.sum())
    held = lengths[split.test].sum()
    assert held >= wanted
    assert wanted == 0 or held - lengths[split.test[0]] < wanted


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    lengths = np.arange(1, 101)
    first, again, other = (split_episodes(lengths, 0.4, 0.1, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.train, again.train)
    assert first.train.tolist() != other.train.tolist()


@pytest.mark.parametrize(("lengths", "ratios"), [([5], (0.4, 0.0)), ([5, 5], (0.9, 0.0)), ([1, 1], (0.4, 0.4))])
def test_too_few_episodes_are_refused(lengths: list[int], ratios: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="cannot fill training"):
        split_episodes(np.array(lengths), *ratios, seed=0)


@given(LENGTHS, st.floats(0.05, 0.6), st.floats(0, 0.3), st.integers(0, 2**32 - 1))
def test_parts_hold_whole_episodes_and_every_transition_once(
    lengths: np.ndarray, train_ratio: float, test_ratio: float, seed: int
) -> None:
    data = numbered(lengths)
    try:
        split = split_episodes(data.lengths, train_ratio, test_ratio, seed)
    except InputError:
        assume(False)
    parts = Parts.of(data, split)
    found = [part for part in (parts.train, parts.evaluation, parts.test) if part is not None]
    assert (parts.test is None) == (len(split.test) == 0)
    for part in found:
        for begin, end, label in zip(part.offsets[:-1], part.offsets[1:], part.episode_ids, strict=True):
            first = data.offsets[int(label)]
            np.testing.assert_array_equal(part.rewards[begin:end], np.arange(first, first + lengths[int(label)]))
    np.testing.assert_array_equal(np.sort(np.concatenate([part.rewards for part in found])), data.rewards)


@given(LENGTHS, st.integers(0, 2**32 - 1), st.floats(0.1, 0.6))
def test_a_split_depends_on_nothing_but_lengths_seed_and_ratios(
    lengths: np.ndarray, seed: int, train_ratio: float
) -> None:
    try:
        first = split_episodes(lengths, train_ratio, 0.1, seed)
    except InputError:
        assume(False)
    np.random.seed(seed % 1000)
    again = split_episodes(lengths.copy(), train_ratio, 0.1, seed)
    for name in ("train", "evaluation", "test"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


def numbered(lengths: np.ndarray) -> Dataset:
    """Episodes whose rewards are the numbers of their transitions."""
    n = int(lengths.sum())
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    terminal = np.zeros(n, np.bool_)
    terminal[offsets[1:] - 1] = True
    states = np.arange(n, dtype=np.float32)[:, None]
    policy = np.full((n, 2), 0.5)
    ids = tuple(map(str, range(len(lengths))))
    rewards = np.arange(n, dtype=np.float64)
    return Dataset(states, np.zeros(n, np.int64), rewards, states, terminal, policy, offsets, ids, ("state_feature_0",))
