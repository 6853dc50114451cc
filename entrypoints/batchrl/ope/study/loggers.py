"""Several loggers in the figures of a study: what their shares do to intervals, and what a reader must know."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from batchrl.data.dataset import Dataset
from batchrl.ope.estimators.quotients import Block, Quotients
from batchrl.ope.estimators.student import influence
from batchrl.ope.report.words import Words

# A logger of fewer episodes says too little of its own mean.
LEAST_EPISODES = 20


def within_loggers(estimator: Quotients, dataset: Dataset) -> Quotients:
    """The same estimator, whose resamples and influence leave out how many episodes each logger happened to log.

    Balanced weights hold for the numbers ``n_k`` as they are: the sample is stratified, and only what varies within the
    episodes of a logger is an error (Veach & Guibas 1995; He et al. 2019). To first order that is the influence less
    its mean over the logger's episodes: a summand with mean 0, which joins the estimate's others. Without it intervals
    count the differences between loggers as well, and are too wide.

    Args:
        estimator: of the n episodes.
        dataset: those, with named loggers.
    """
    assert dataset.loggers is not None, "only named loggers are balanced"
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        moves = influence(estimator)
    if not np.isfinite(moves).all():
        return estimator
    counts = np.bincount(dataset.loggers, minlength=len(dataset.logger_names))
    sums = np.bincount(dataset.loggers, moves, len(dataset.logger_names))
    means = np.divide(sums, counts, out=np.zeros_like(sums), where=counts >= LEAST_EPISODES)
    between = means[dataset.loggers]
    between -= between.mean()
    return Quotients((*estimator.blocks, Block(between[:, None], None, np.array([-1.0]))))


def remarks_on_loggers(dataset: Dataset, words: Words) -> Iterator[str]:
    """What a reader of figures must know of the loggers, in sentences; nothing where one policy logged all.

    Args:
        dataset: the scored episodes.
        words: what they are called.
    """
    if dataset.loggers is None:
        return
    counts = np.bincount(dataset.loggers, minlength=len(dataset.logger_names))
    named = [f"{name} {count}" for name, count in zip(dataset.logger_names, counts.tolist(), strict=True) if count]
    said = f"Loggers, by {words.episodes}: {', '.join(named)}."
    if dataset.mixture is None:
        yield (
            f"{said} Each {words.episode} is weighed by the probabilities of its own logger: one that never acts as a "
            "policy would leaves a part of that policy's value out (data.loggers: balanced)."
        )
        return
    yield (
        f"{said} They are balanced: each {words.episode} is weighed by the probability of what was done under all of "
        f"them, mixed in these shares, which is right where all of them met the same kind of {words.episodes}."
    )
