from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from batchrl.contract.errors import InputError
from batchrl.data.dataset import Dataset
from batchrl.data.split import Parts, split_by_transitions, split_episodes, split_for_run
from batchrl.seeds import Stream, stream_seed
from presets.dataschema import DataSettings

LENGTHS = st.lists(st.integers(1, 50), min_size=3, max_size=60).map(np.array)
# Episodes of very different lengths: a cut at a row falls into one of the long ones.
UNEQUAL = np.repeat([200, 10], [10, 90])
SEEDS = 2000


@given(st.integers(3, 200), st.floats(0.05, 0.7), st.floats(0, 0.25), st.integers(0, 2**32 - 1))
def test_every_episode_is_in_exactly_one_part_and_parts_hold_their_share(
    n: int, train_ratio: float, test_ratio: float, seed: int
) -> None:
    split = split_episodes(n, train_ratio, test_ratio, seed)
    together = np.concatenate([split.train, split.evaluation, split.test])
    assert sorted(together.tolist()) == list(range(n))
    assert len(split.train) and len(split.evaluation) and bool(len(split.test)) == (test_ratio > 0)
    for part, ratio in ((split.train, train_ratio), (split.test, test_ratio)):
        assert abs(len(part) - ratio * n) <= 0.5 or len(part) == 1 or len(split.evaluation) == 1


def test_no_part_prefers_long_episodes_and_no_seed_refuses() -> None:
    """A cut at a row refuses 4 % of seeds here, and its test episodes are a third too long."""
    splits = [split_episodes(len(UNEQUAL), 0.8, 0.1, seed) for seed in range(SEEDS)]
    for name in ("train", "evaluation", "test"):
        means = np.array([UNEQUAL[getattr(split, name)].mean() for split in splits])
        assert abs(means.mean() - UNEQUAL.mean()) < 4 * means.std() / np.sqrt(SEEDS)
        assert means.mean() == pytest.approx(UNEQUAL.mean(), rel=0.05)
    chosen = np.bincount(np.concatenate([split.test for split in splits]), minlength=100) / SEEDS
    assert chosen.mean() == pytest.approx(0.1) and np.abs(chosen - 0.1).max() < 0.04


def test_a_cut_at_a_row_is_biased_and_refuses() -> None:
    """Why it is Coach's alone: the figures that the test above is free of."""
    means, refused = [], 0
    for seed in range(SEEDS):
        try:
            means.append(UNEQUAL[split_by_transitions(UNEQUAL, 0.8, 0.1, seed).test].mean())
        except InputError:
            refused += 1
    assert np.mean(means) > 1.3 * UNEQUAL.mean() and refused > 0.03 * SEEDS


@pytest.mark.parametrize("stratify", ["length", "return", "length_and_return"])
def test_strata_are_shared_out_in_proportion_by_every_seed(stratify: str) -> None:
    data = numbered(UNEQUAL[np.random.default_rng(0).permutation(100)])
    settings = DataSettings.model_validate({"train_ratio": 0.7, "test_ratio": 0.1, "stratify": stratify})
    # Rewards are numbered on, so that the long episodes have returns of their own, too.
    key = data.returns if stratify == "return" else data.lengths
    ten = np.argsort(key)[-10:]
    seen = set()
    for seed in range(200):
        split = split_for_run(data, settings, seed)
        assert (len(split.train), len(split.evaluation), len(split.test)) == (70, 20, 10)
        found = [int(np.isin(ten, part).sum()) for part in (split.train, split.evaluation, split.test)]
        # Two quantities share the precision: the episodes that are alike in both are fewer.
        assert np.abs(np.array(found) - [7, 2, 1]).max() <= (2 if stratify == "length_and_return" else 1)
        seen.add(tuple(sorted(split.test.tolist())))
    assert len(seen) > 190


def test_strata_leave_every_episode_as_likely_in_every_part() -> None:
    rng = np.random.default_rng(2)
    lengths, returns = rng.geometric(0.1, 53), rng.normal(size=53)
    drawn = [split_episodes(53, 0.6, 0.15, seed, (lengths, returns)) for seed in range(SEEDS)]
    for name in ("train", "evaluation", "test"):
        parts = [getattr(split, name) for split in drawn]
        share = np.bincount(np.concatenate(parts), minlength=53) / SEEDS
        wanted = len(parts[0]) / 53
        assert np.abs(share - wanted).max() < 4.5 * np.sqrt(wanted * (1 - wanted) / SEEDS)


def test_strata_bring_test_means_nearer_and_bias_none() -> None:
    rng = np.random.default_rng(1)
    lengths = rng.geometric(0.03, 200)
    plain, stratified = (
        np.array([lengths[split_episodes(200, 0.7, 0.1, seed, alike).test].mean() for seed in range(SEEDS // 4)])
        for alike in ((), (lengths,))
    )
    assert stratified.std() < 0.7 * plain.std()
    assert abs(stratified.mean() - lengths.mean()) < 4 * stratified.std() / np.sqrt(len(stratified))


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    first, again, other = (split_episodes(100, 0.4, 0.1, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.train, again.train)
    assert first.train.tolist() != other.train.tolist()


@pytest.mark.parametrize(("n", "test_ratio"), [(1, 0.0), (2, 0.4), (1, 0.4)])
def test_fewer_episodes_than_parts_are_refused(n: int, test_ratio: float) -> None:
    with pytest.raises(InputError, match="cannot fill training"):
        split_episodes(n, 0.4, test_ratio, seed=0)


@pytest.mark.parametrize(("n", "ratios"), [(2, (0.9, 0.0)), (3, (0.98, 0.01)), (3, (0.01, 0.98)), (4, (0.9, 0.05))])
def test_as_many_episodes_as_parts_are_enough(n: int, ratios: tuple[float, float]) -> None:
    split = split_episodes(n, *ratios, seed=0)
    assert len(split.train) and len(split.evaluation) and bool(len(split.test)) == (ratios[1] > 0)


@given(LENGTHS, st.floats(0.05, 0.7), st.integers(0, 2**32 - 1))
def test_coachs_training_holds_its_share_and_less_than_one_episode_more(
    lengths: np.ndarray, train_ratio: float, seed: int
) -> None:
    try:
        split = split_by_transitions(lengths, train_ratio, 0.0, seed)
    except InputError:
        assume(False)
    wanted = round(train_ratio * lengths.sum())
    held = lengths[split.train].sum()
    assert held > wanted >= held - lengths[split.train[-1]]


@given(LENGTHS, st.floats(0.1, 0.3), st.integers(0, 1000))
def test_coachs_test_part_holds_its_share_and_less_than_one_episode_more(
    lengths: np.ndarray, test_ratio: float, seed: int
) -> None:
    try:
        split = split_by_transitions(lengths, 0.4, test_ratio, seed)
    except InputError:
        assume(False)
    wanted = round(test_ratio * lengths.sum())
    held = lengths[split.test].sum()
    assert held >= wanted
    assert wanted == 0 or held - lengths[split.test[0]] < wanted


def test_the_setting_decides_what_shares_are_of() -> None:
    data = numbered(UNEQUAL)
    coachs = split_for_run(data, DataSettings(split_by="transitions"), seed=3)
    expected = split_by_transitions(UNEQUAL, 0.4, 0.0, stream_seed(3, Stream.SPLIT))
    np.testing.assert_array_equal(coachs.train, expected.train)
    assert len(split_for_run(data, DataSettings(), seed=3).train) == 40 != len(coachs.train)
    with pytest.raises(ValidationError, match="stratify length divides episodes, and split_by is transitions"):
        DataSettings(split_by="transitions", stratify="length")


@given(LENGTHS, st.floats(0.05, 0.6), st.floats(0, 0.3), st.integers(0, 2**32 - 1))
def test_parts_hold_whole_episodes_and_every_transition_once(
    lengths: np.ndarray, train_ratio: float, test_ratio: float, seed: int
) -> None:
    data = numbered(lengths)
    split = split_episodes(data.n_episodes, train_ratio, test_ratio, seed, (data.lengths, data.returns))
    parts = Parts.of(data, split)
    found = [part for part in (parts.train, parts.evaluation, parts.test) if part is not None]
    assert (parts.test is None) == (len(split.test) == 0)
    for part in found:
        for begin, end, label in zip(part.offsets[:-1], part.offsets[1:], part.episode_ids, strict=True):
            first = data.offsets[int(label)]
            np.testing.assert_array_equal(part.rewards[begin:end], np.arange(first, first + lengths[int(label)]))
    np.testing.assert_array_equal(np.sort(np.concatenate([part.rewards for part in found])), data.rewards)


@given(LENGTHS, st.integers(0, 2**32 - 1), st.floats(0.1, 0.6))
def test_a_split_depends_on_nothing_but_its_arguments(lengths: np.ndarray, seed: int, train_ratio: float) -> None:
    first = split_episodes(len(lengths), train_ratio, 0.1, seed, (lengths,))
    np.random.seed(seed % 1000)
    again = split_episodes(len(lengths), train_ratio, 0.1, seed, (lengths.copy(),))
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
