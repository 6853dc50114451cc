"""The estimators of a run: for its csv, and for the choice of the epoch."""

from __future__ import annotations

import numpy as np

from batchrl.data.dataset import Dataset
from batchrl.ope.evaluator import Evaluator
from batchrl.seeds import Stream, stream_seed
from batchrl.training.scores import SelectionScorer, TrainingReturns
from batchrl.training.state import RunState


def evaluator_of(run: RunState, episodes: Dataset) -> Evaluator:
    """The estimators of the csv, on some episodes."""
    preset, seed = run.preset, stream_seed(run.preset.seed, Stream.BOOTSTRAP)
    return Evaluator(episodes, run.models.rewards(episodes), preset.ope, preset.agent.discount, seed)


def scorer_of(run: RunState, episodes: Dataset) -> SelectionScorer:
    """The scores that choose the epoch, on some episodes."""
    training = TrainingReturns.of(run.parts.train, run.preset.agent.discount)
    return SelectionScorer(episodes, training, run.preset, stream_seed(run.preset.seed, Stream.BOOTSTRAP))


def episodes_of_an_epoch(run: RunState) -> Dataset:
    """The evaluation episodes, or as many as the preset allows; the split has shuffled them."""
    episodes, most = run.parts.evaluation, run.preset.ope.max_episodes
    if most is None or episodes.n_episodes <= most:
        return episodes
    return episodes.select(np.arange(most, dtype=np.int64))
