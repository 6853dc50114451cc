"""Which episodes train, which estimate, and which are kept for the final figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchrl.contract.errors import InputError
from batchrl.data.dataset import Dataset, Integers
from batchrl.seeds import Stream, stream_seed
from presets.dataschema import DataSettings


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


def split_episodes(lengths: Integers, train_ratio: float, test_ratio: float, seed: int) -> Split:
    """Shuffle the episodes and divide them by transitions, never inside an episode.

    The episode with transition ``round(train_ratio * N)`` is the last one of training, as in Coach; the test begins
    with the episode that contains the transition at ``test_ratio`` from the end. So both hold at least their share.

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
            f"{len(order)} episodes of {total} transitions cannot fill {parts} "
            f"at train_ratio {train_ratio} and test_ratio {test_ratio}.",
            "Log more episodes, or lower data.train_ratio or data.test_ratio.",
        )
    last = len(order) - n_test
    return Split(order[:n_train], order[n_train:last], order[last:])


def split_for_run(lengths: Integers, settings: DataSettings, seed: int) -> Split:
    """The split that a run with these settings and this seed begins with; see ``split_episodes`` for the errors."""
    return split_episodes(lengths, settings.train_ratio, settings.test_ratio, stream_seed(seed, Stream.SPLIT))


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
