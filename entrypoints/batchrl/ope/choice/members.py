"""The members of a ranking: methods that fit values of several policies to one log, and what they are called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from batchrl.data.dataset import Dataset, Floats32
from batchrl.ope.choice.averager import NEIGHBOURS, fit_averager
from batchrl.ope.choice.features import Features, count_of_monomials, polynomial, rectified, standardised
from batchrl.ope.choice.linear import fit_linear
from batchrl.ope.choice.steps import Conduct, Fit
from batchrl.ope.study.fqe import MOST_AT_ONCE, enough_updates, fit_start_values

# Features of a state, and these times actions, beyond which a linear member is not made.
MOST_FEATURES, MOST_WEIGHTS = 300, 2_000
RECTIFIED_UNITS = 150
NETWORK_UPDATES, MOST_UPDATES = 1_500, 20_000
# Members that can bend as the values do; linear ones alone are not enough.
NETWORK, AVERAGER = "network", "knn"


@dataclass(frozen=True)
class Member:
    """One way to value policies.

    Args:
        name: in tables and JSON.
        words: what it is.
        fit: values of some policies on a dataset, with a discount and a seed.
    """

    name: str
    words: str
    fit: Callable[[Dataset, Sequence[Conduct], float, int], Fit]


def members_for(dataset: Dataset) -> Iterator[Member]:
    """The members that a log's size allows; ``network`` and ``knn`` are always among them."""
    scaled = standardised(dataset.states)
    width = scaled(dataset.states[:1]).shape[1]
    most = min(MOST_FEATURES, MOST_WEIGHTS // dataset.n_actions)
    left_out = False
    for name, degree in (("squares", 2), ("cubics", 3)):
        if count_of_monomials(width, degree) <= most:
            yield Member(name, f"linear fitted Q evaluation on {name} of the features", partial(_polynomial, degree))
        else:
            left_out = True
    if left_out and most > width:
        units = min(RECTIFIED_UNITS, most)
        yield Member("relu", f"linear fitted Q evaluation on {units} random features", partial(_rectified, units))
    yield Member(NETWORK, "fitted Q evaluation by a network of 64 and 64 units", _network)
    yield Member(AVERAGER, f"averages over the {NEIGHBOURS} nearest logged steps", fit_averager)


def _polynomial(degree: int, dataset: Dataset, policies: Sequence[Conduct], discount: float, seed: int) -> Fit:
    return _linear(lambda scaled: polynomial(scaled, degree), dataset, policies, discount)


def _rectified(units: int, dataset: Dataset, policies: Sequence[Conduct], discount: float, seed: int) -> Fit:
    return _linear(lambda scaled: rectified(scaled, units, seed), dataset, policies, discount)


def _linear(expanded: Features, dataset: Dataset, policies: Sequence[Conduct], discount: float) -> Fit:
    """Linear values on features of standardised states, each brought to the mean square 1."""
    scaled = standardised(dataset.states)
    size = np.sqrt(np.square(expanded(scaled(dataset.states))).mean(axis=0))
    size[size == 0] = 1

    def features(states: Floats32) -> Floats32:
        found = expanded(scaled(states))
        found /= size
        return found

    return fit_linear(dataset, policies, features, discount)


def _network(dataset: Dataset, policies: Sequence[Conduct], discount: float, seed: int) -> Fit:
    updates = min(max(NETWORK_UPDATES, enough_updates(dataset, discount)), MOST_UPDATES)
    values: list[float] = []
    for begin in range(0, len(policies), MOST_AT_ONCE):
        some = policies[begin : begin + MOST_AT_ONCE]
        found = fit_start_values(dataset, [policy.following for policy in some], discount, updates, seed)
        values += [policy.value(of_starts) for policy, of_starts in zip(some, found, strict=True)]
    return Fit(np.array(values))
