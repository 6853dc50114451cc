"""The logging policy, estimated from the states and the actions taken, where its probabilities were not logged.

A model of the action (``behaviour_models``), cross-fitted over episodes: the probabilities of an episode come from a
model that did not see it (Chernozhukov et al. 2018). They are tempered where that makes them better (``temperature``),
by a number fitted to the probabilities of other episodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from batchrl.contract.errors import InputError
from batchrl.data.behaviour_fit import BINS, BehaviourFit, Gain, Kind, LoggerFit, calibration_curve, in_ranges
from batchrl.data.behaviour_models import Model, Scale, bent, fitted
from batchrl.data.calibration import loss_of_shares, mean_log_loss
from batchrl.data.curvature import strongest_bend
from batchrl.data.dataset import Dataset, Flags, Floats64, Integers
from batchrl.data.mixture import Mixture
from batchrl.data.storage import Storage, chunks
from batchrl.data.temperature import calibrate, losses_of_episodes

Wanted = Literal["logistic", "network", "auto"]

FOLDS = 5
# Of the draw of the folds: the same log is always divided alike.
SEED = 20_480


def with_estimated_behavior(
    dataset: Dataset, balanced: bool = False, wanted: Wanted = "logistic"
) -> tuple[Dataset, str]:
    """The data set with an estimated ``behavior_policy``, and what there is to say about it, in words.

    Where several policies logged episodes, each has a model of its own, fitted to its episodes alone.

    Args:
        dataset: without probabilities; at least two episodes of every policy that logged any.
        balanced: whether its loggers, of which it has some then, are to be taken as one mixture: each one's model is
            evaluated in the rows of all.
        wanted: the model; auto takes a network where its log loss of episodes that it did not see is lower than the
            logistic model's beyond chance.

    Raises:
        InputError: there is only one episode.
    """
    storage = Storage.like(dataset.states)
    estimated = storage.empty((dataset.n_transitions, dataset.n_actions), np.float64)
    mixture, fits, ranges = None, [], np.zeros((3, BINS))
    if balanced:
        mixture = Mixture(storage.empty((dataset.n_transitions, len(dataset.logger_names)), np.float64))
        mixture.log_chances[:] = -np.inf
    for logger, episodes in _episodes_of_loggers(dataset):
        part, chances, whose = dataset, estimated, ""
        if logger is not None:
            part = dataset.select(np.flatnonzero(episodes))
            chances = storage.empty((part.n_transitions, part.n_actions), np.float64)
            whose = f" of logger {dataset.logger_names[logger]}"
        found = _cross_fitted(part, chances, wanted, whose)
        ranges += in_ranges(chances, part.actions)
        temperature, gain = calibrate(chances, part, found.fold)
        name = None if logger is None else dataset.logger_names[logger]
        bend = None
        if found.kind == "logistic":
            bend = strongest_bend(part, chances, loss_of_shares(part) - min(gain.before, gain.after))
        fits.append(LoggerFit(name, found.kind, found.network, temperature, gain, bend))
        if logger is None:
            continue
        rows = np.repeat(episodes, dataset.lengths)
        estimated[rows] = chances
        if mixture is not None:
            # The model has seen no episode of another logger; of its own, the folds' models have not.
            model = replace(found.of_all_episodes(part), temperature=temperature)
            mixture.log_chances[:, logger] = model.log_chances(dataset)
            mixture.log_chances[rows, logger] = np.log(chances[np.arange(len(chances)), part.actions])
    tempered = any(each.temperature != 1 for each in fits)
    fit = BehaviourFit(tuple(fits), calibration_curve(ranges) if tempered else None)
    known = replace(dataset, behavior_policy=estimated, taken_propensities=None, mixture=mixture)
    result = replace(known, estimated_on=dataset.n_episodes, behavior_fit=fit)
    return result, _told(result, fit)


def _episodes_of_loggers(dataset: Dataset) -> Iterator[tuple[int | None, Flags]]:
    """Each logger with its episodes ``[n]``; None where one policy logged all."""
    if dataset.loggers is None:
        yield None, np.ones(dataset.n_episodes, np.bool_)
        return
    for logger in np.unique(dataset.loggers).tolist():
        yield logger, dataset.loggers == logger


@dataclass(frozen=True)
class CrossFitted:
    """What comes of the estimation beside the probabilities.

    Args:
        kind: which model was taken.
        logistic: the logistic model of all episodes.
        fold: ``[n]``, the part of each episode.
        network: what a network gains over the logistic model; None where they were not compared.
    """

    kind: Kind
    logistic: Model
    fold: Integers
    network: Gain | None = None

    def of_all_episodes(self, dataset: Dataset) -> Model:
        """The model of that kind that saw all of them."""
        if self.kind == "logistic":
            return self.logistic
        return fitted(self.kind, dataset, np.ones(dataset.n_episodes, np.bool_), self.logistic)


def _cross_fitted(dataset: Dataset, estimated: Floats64, wanted: Wanted, whose: str) -> CrossFitted:
    """Fill ``[N, A]``, the probabilities of each episode by a model of the others."""
    n = dataset.n_episodes
    if n < 2:
        raise InputError(
            f"One episode{whose} is too few to estimate the probabilities of the actions, which were not logged: the "
            "model of an episode is fitted on others.",
            "Log more episodes, or their probabilities.",
        )
    fold = np.random.default_rng([SEED, n]).permutation(n) % min(FOLDS, n)
    others = [fold != number for number in range(int(fold.max()) + 1)]
    # A logistic model of all episodes is where those of the folds begin: their minimum is theirs alone, and near.
    whole = fitted("logistic", dataset, np.ones(n, np.bool_), Model.blank(dataset, Scale.of(dataset)))
    logistic = [fitted("logistic", dataset, episodes, whole) for episodes in others]
    if wanted != "network":
        _fill(logistic, dataset, fold, estimated)
    if wanted == "logistic":
        return CrossFitted("logistic", whole, fold)
    networks = [bent(dataset, episodes, model) for episodes, model in zip(others, logistic, strict=True)]
    if wanted == "network":
        _fill(networks, dataset, fold, estimated)
        return CrossFitted("network", whole, fold)
    by_networks = Storage.like(estimated).empty(estimated.shape, np.float64)
    _fill(networks, dataset, fold, by_networks)
    gain = Gain.of(
        losses_of_episodes(dataset, lambda a, b: estimated[a:b]),
        losses_of_episodes(dataset, lambda a, b: by_networks[a:b]),
        dataset.n_transitions,
    )
    if not gain.beyond_chance:
        return CrossFitted("logistic", whole, fold, gain)
    for start, stop in chunks(dataset.n_transitions):
        estimated[start:stop] = by_networks[start:stop]
    return CrossFitted("network", whole, fold, gain)


def _fill(models: Sequence[Model], dataset: Dataset, fold: Integers, estimated: Floats64) -> None:
    """The probabilities of each episode, by the model of its fold, which did not see it."""
    rows = np.repeat(fold, dataset.lengths)
    for number, model in enumerate(models):
        for first, last in chunks(dataset.n_transitions):
            mine = rows[first:last] == number
            estimated[first:last][mine] = model.probabilities(dataset, first, last, mine)


def _told(dataset: Dataset, fit: BehaviourFit) -> str:
    loss, of_shares = mean_log_loss(dataset)
    compared = f"log loss {loss:.4g} of episodes that a model did not see, {of_shares:.4g} of the actions' shares alone"
    return (
        "the probabilities of the actions were not logged, or are not to be used: a logging policy was estimated "
        f"({fit.told()}; cross-fitted over episodes; {compared}), and every figure that weighs "
        "actions rests on estimated propensities"
    )
