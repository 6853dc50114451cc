"""Which episodes train, which estimate, and which are kept for the final figure.

Shares are of episodes: every episode is as likely as any other to be in a part, so that no part's lengths or returns
are biased. (A cut at a row, as Coach makes it, falls into long episodes more often than into short ones.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchrl.contract.errors import InputError
from batchrl.data.dataset import Dataset, Floats64, Integers
from batchrl.seeds import Stream, stream_seed
from presets.dataschema import DataSettings

# So many episodes of similar values, or a few more, are shuffled before they are dealt out.
EPISODES_OF_A_BLOCK = 5
GOLDEN_RATIO = (1 + math.sqrt(5)) / 2


@dataclass(frozen=True)
class Split:
    """Positions of episodes, each in its shuffled order.

    Args:
        train: episodes to learn from.
        evaluation: episodes that estimate every epoch's policy, and so choose the checkpoint.
        test: episodes that neither training nor the choice sees; may be empty.
    """

    train: Integers
    evaluation: Integers
    test: Integers


def split_episodes(
    n_episodes: int, train_ratio: float, test_ratio: float, seed: int, alike: Sequence[Integers | Floats64] = ()
) -> Split:
    """Shuffle the episodes and divide them by their number.

    Shares are rounded, and every part that is asked for gets an episode at least; the evaluation has what is left.

    Args:
        n_episodes: n.
        train_ratio: share of episodes to train on, above 0 and below 1.
        test_ratio: share of episodes for the test, from 0 to below 1.
        seed: of the shuffle.
        alike: at most two quantities ``[n]`` of the episodes, such as their lengths, whose distribution is to be the
            same in all parts.

    Raises:
        InputError: fewer episodes than parts.
    """
    parts = 3 if test_ratio > 0 else 2
    if n_episodes < parts:
        named = "training, evaluation and test" if test_ratio > 0 else "training and evaluation"
        raise InputError(
            f"{_counted(n_episodes)} cannot fill {named}: each needs one of its own.",
            "Log more episodes." if parts == 2 or n_episodes < 2 else "Log more episodes, or set data.test_ratio to 0.",
        )
    rng = np.random.default_rng([seed, n_episodes])
    order = rng.permutation(n_episodes).astype(np.int64)
    if alike:
        order = _spread(order, alike, rng)
    n_train = min(max(1, round(train_ratio * n_episodes)), n_episodes - parts + 1)
    n_test = min(max(1, round(test_ratio * n_episodes)), n_episodes - n_train - 1) if test_ratio > 0 else 0
    last = n_episodes - n_test
    return Split(order[:n_train], order[n_train:last], order[last:])


def split_by_transitions(lengths: Integers, train_ratio: float, test_ratio: float, seed: int) -> Split:
    """Coach's division, at a transition, moved to the end of its episode (quirk 23).

    The episode with transition ``round(train_ratio * N)`` is the last one of training; the test begins with the episode
    that contains the transition at ``test_ratio`` from the end. So both hold at least their share, and long episodes
    are more likely in them than in the evaluation.

    Args:
        lengths: ``[n]``, steps of each episode, all positive.
        train_ratio: share of transitions to train on, above 0 and below 1.
        test_ratio: share of transitions for the test, from 0 to below 1.
        seed: of the shuffle.

    Raises:
        InputError: too few episodes to fill the parts.
    """
    order = np.random.default_rng([seed, len(lengths)]).permutation(len(lengths)).astype(np.int64)
    ends = np.cumsum(lengths[order])
    total = int(ends[-1])
    n_train = int(np.searchsorted(ends, round(train_ratio * total), side="right")) + 1
    n_test = 0
    if test_ratio > 0:
        before_test = total - round(test_ratio * total)
        n_test = len(order) - int(np.searchsorted(ends, before_test, side="right"))
    if n_train + n_test >= len(order):
        parts = "training, evaluation and test" if test_ratio else "training and evaluation"
        raise InputError(
            f"{_counted(len(order))} of {total} transitions cannot fill {parts} "
            f"at train_ratio {train_ratio} and test_ratio {test_ratio}, cut at a transition.",
            "Set data.split_by to episodes, log more episodes, or lower data.train_ratio or data.test_ratio.",
        )
    last = len(order) - n_test
    return Split(order[:n_train], order[n_train:last], order[last:])


def split_for_run(dataset: Dataset, settings: DataSettings, seed: int) -> Split:
    """The split that a run with these settings and this seed begins with; see ``split_episodes`` for the errors."""
    seed = seed if settings.split_seed is None else settings.split_seed
    ratios, drawn_by = (settings.train_ratio, settings.test_ratio), stream_seed(seed, Stream.SPLIT)
    if settings.split_by == "transitions":
        return split_by_transitions(dataset.lengths, *ratios, drawn_by)
    alike: list[Integers | Floats64] = []
    if settings.stratify in ("length", "length_and_return"):
        alike.append(dataset.lengths)
    if settings.stratify in ("return", "length_and_return"):
        alike.append(dataset.returns)
    return split_episodes(dataset.n_episodes, *ratios, drawn_by, alike)


def _spread(order: Integers, alike: Sequence[Integers | Floats64], rng: np.random.Generator) -> Integers:
    """The shuffled episodes in such an order that every stretch of it holds about the same share of alike ones.

    Multiples of the golden ratio, modulo 1, fill the unit interval evenly, and so do any consecutive ones of them: as
    places of the sorted episodes they deal each range of values out in proportion, to about one episode. All
    are then turned by the same random number of places, which makes every episode as likely as any other in every part.

    Args:
        order: ``[n]``, shuffled: ties are broken by chance.
        alike: see ``split_episodes``; of two, the second sorts the episodes that are alike in the first.
        rng: of the places.
    """
    n = len(order)
    most = max(1, n // EPISODES_OF_A_BLOCK)
    each = most if len(alike) == 1 else math.isqrt(most)
    blocks = [order]
    for quantity in alike:
        blocks = [
            part for block in blocks for part in np.array_split(block[np.argsort(quantity[block], kind="stable")], each)
        ]
    dealt = np.concatenate([rng.permutation(block) for block in blocks])
    ranks = np.argsort(np.argsort(np.arange(n) * GOLDEN_RATIO % 1.0))
    spread: Integers = dealt[np.argsort((ranks + rng.integers(n)) % n)]
    return spread


def _counted(n_episodes: int) -> str:
    return "1 episode" if n_episodes == 1 else f"{n_episodes} episodes"


@dataclass(frozen=True)
class Parts:
    """The datasets of a split; ``test`` is None where no episodes were kept for it."""

    train: Dataset
    evaluation: Dataset
    test: Dataset | None

    @classmethod
    def of(cls, dataset: Dataset, split: Split) -> Parts:
        """The parts of a data set that a split names."""
        test = dataset.select(split.test) if len(split.test) else None
        return cls(dataset.select(split.train), dataset.select(split.evaluation), test)
