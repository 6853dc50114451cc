"""The estimators of a run: for its csv, and for the choice of the epoch."""

from __future__ import annotations

import numpy as np

from batchrl.data.dataset import Dataset
from batchrl.ope.study.evaluator import Evaluator
from batchrl.ope.study.possible import PossibleValues
from batchrl.seeds import Stream, stream_seed
from batchrl.training.scores import SelectionScorer, TrainingReturns
from batchrl.training.state import RunState

# Steps of padded episodes that estimates hold at once: they make some 30 arrays of so many numbers (64 MiB each), and
# the data may be larger than memory.
MOST_PADDED_STEPS = 8_388_608


def evaluator_of(run: RunState, episodes: Dataset) -> Evaluator:
    """The estimators of the csv, on some episodes."""
    preset, seed = run.preset, stream_seed(run.preset.seed, Stream.BOOTSTRAP)
    discount = preset.agent.discount
    possible = PossibleValues.of([run.parts.train, episodes], discount)
    return Evaluator(episodes, run.models.rewards(episodes), preset.ope, discount, seed, possible)


def scorer_of(run: RunState, episodes: Dataset) -> SelectionScorer:
    """The scores that choose the epoch, on some episodes."""
    training = TrainingReturns.of(run.parts.train, run.preset.agent.discount)
    return SelectionScorer(episodes, training, run.preset, stream_seed(run.preset.seed, Stream.BOOTSTRAP))


def episodes_of_an_epoch(run: RunState) -> Dataset:
    """The evaluation episodes, or as many as the preset and the memory allow."""
    most = run.preset.ope.max_episodes
    return estimable(run.parts.evaluation if most is None else _first(run.parts.evaluation, most))


def estimable(episodes: Dataset, most_steps: int = MOST_PADDED_STEPS) -> Dataset:
    """The episodes, or so many of them as padded take no more steps than that; the split has shuffled them."""
    return _first(episodes, max(2, most_steps // int(episodes.lengths.max())))


def _first(episodes: Dataset, most: int) -> Dataset:
    return episodes if episodes.n_episodes <= most else episodes.select(np.arange(most, dtype=np.int64))
