"""What logged data holds: episodes, returns, the logging policy, and how well each action is supported, and where."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from batchrl.data.calibration import EstimatedBehavior
from batchrl.data.dataset import Dataset, Floats64
from batchrl.data.loader import LoadedData
from batchrl.data.loggers import LoggerFigures, figures_of_loggers
from batchrl.data.slices import Slices, slices_of
from batchrl.data.storage import chunks


@dataclass(frozen=True)
class Spread:
    """How numbers, one an episode, are spread.

    Args:
        mean: of the numbers.
        standard_error: of the mean; None of fewer than two.
        min: the lowest.
        median: the middle one.
        max: the highest.
    """

    mean: float
    standard_error: float | None
    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: Floats64) -> Spread:
        """Of ``[n]`` numbers, at least one."""
        error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None
        return cls(float(values.mean()), error, float(values.min()), float(np.median(values)), float(values.max()))


@dataclass(frozen=True)
class ActionSupport:
    """How well one action is covered.

    Args:
        action: its name.
        share: of the transitions that took it.
        mean_probability: under the logging policy, over all transitions; None where only that of the taken action was
            logged.
        smallest_taken: the smallest logged probability with which it was taken; None where it never was.
        eligible: share of the transitions in which it could be taken; None where they do not say.
    """

    action: str
    share: float
    mean_probability: float | None
    smallest_taken: float | None
    eligible: float | None = None


@dataclass(frozen=True)
class Feature:
    """One column of the state: mean, standard deviation and range over the transitions."""

    name: str
    mean: float
    std: float
    min: float
    max: float


@dataclass(frozen=True)
class Ends:
    """How episodes end: for good, cut with a known next state, or cut without one (counts as for good)."""

    terminal: int
    truncated: int
    unknown: int


@dataclass(frozen=True)
class Recorded:
    """When the first and the last of the steps were logged: ISO 8601, UTC."""

    first: str
    last: str


@dataclass(frozen=True)
class Entropy:
    """Entropy of the logging policy, in nats, over the transitions; ``highest`` is that of the uniform policy."""

    mean: float
    min: float
    max: float
    highest: float


@dataclass(frozen=True)
class Description:
    """Figures of one data set; see the parts for units."""

    schema: str
    episodes: int
    transitions: int
    actions: int
    left_out_episodes: int
    recorded: Recorded | None
    sha256: str
    ends: Ends
    lengths: Spread
    returns: Spread
    discount: float | None
    discounted_returns: Spread | None
    behavior_entropy: Entropy | None
    estimated_behavior: EstimatedBehavior | None
    notes: tuple[str, ...]
    support: tuple[ActionSupport, ...]
    loggers: tuple[LoggerFigures, ...]
    features: tuple[Feature, ...]
    slices: Slices

    def to_dict(self) -> dict[str, Any]:
        """The figures in JSON's types."""
        return asdict(self)


def describe(loaded: LoadedData, discount: float | None = None) -> Description:
    """The figures of what was read, in memory that does not grow with its transitions.

    Args:
        loaded: the data.
        discount: of one step, from 0 to 1, for discounted returns; None for none.
    """
    data = loaded.dataset
    ends_for_good = int(data.terminal[data.offsets[1:] - 1].sum())
    return Description(
        schema=loaded.schema,
        episodes=data.n_episodes,
        transitions=data.n_transitions,
        actions=data.n_actions,
        left_out_episodes=loaded.left_out,
        recorded=None if loaded.recorded is None else Recorded(*map(_as_date, loaded.recorded)),
        sha256=data.sha256(),
        ends=Ends(ends_for_good - loaded.unknown_ends, data.n_episodes - ends_for_good, loaded.unknown_ends),
        lengths=Spread.of(data.lengths.astype(np.float64)),
        returns=Spread.of(data.returns),
        discount=discount,
        discounted_returns=None if discount is None else Spread.of(data.discounted_returns(discount)),
        behavior_entropy=_entropy(data),
        estimated_behavior=EstimatedBehavior.of(data),
        notes=loaded.notes,
        support=_support(data),
        loggers=figures_of_loggers(data),
        features=_features(data),
        slices=slices_of(data),
    )


def _as_date(seconds: float) -> str:
    return f"{np.datetime64(0, 's') + np.timedelta64(math.floor(seconds), 's')}Z"


def _entropy(data: Dataset) -> Entropy | None:
    """None where the probabilities of the other actions are not known."""
    if data.behavior_policy is None:
        return None
    total, lowest, highest = 0.0, math.inf, -math.inf
    for start, stop in chunks(data.n_transitions):
        chances = data.behavior_policy[start:stop]
        entropy = -(chances * np.log(np.where(chances > 0, chances, 1))).sum(axis=1)
        total += float(entropy.sum())
        lowest, highest = min(lowest, float(entropy.min())), max(highest, float(entropy.max()))
    # Rounding may leave that of a certain action a little below 0; adding 0 turns -0 into 0.
    return Entropy(total / data.n_transitions, max(lowest, 0.0) + 0.0, highest + 0.0, math.log(data.n_actions))


def _support(data: Dataset) -> tuple[ActionSupport, ...]:
    counts = np.zeros(data.n_actions, np.int64)
    chances = np.zeros(data.n_actions)
    smallest = np.full(data.n_actions, np.inf)
    could = None if data.eligible is None else data.eligible.sum(axis=0)
    for start, stop in chunks(data.n_transitions):
        actions = data.actions[start:stop]
        counts += np.bincount(actions, minlength=data.n_actions)
        if data.behavior_policy is not None:
            chances += data.behavior_policy[start:stop].sum(axis=0)
        np.minimum.at(smallest, actions, data.own_propensities[start:stop])
    n = data.n_transitions
    return tuple(
        ActionSupport(
            data.action_names[action],
            float(counts[action] / n),
            None if data.behavior_policy is None else float(chances[action] / n),
            float(smallest[action]) if counts[action] else None,
            None if could is None else float(could[action] / n),
        )
        for action in range(data.n_actions)
    )


def _features(data: Dataset) -> tuple[Feature, ...]:
    n = data.n_transitions

    def parts() -> Iterator[Floats64]:
        return (data.states[start:stop].astype(np.float64) for start, stop in chunks(n))

    def over(reduce: Callable[[Floats64], Floats64]) -> Floats64:
        return np.stack([reduce(part) for part in parts()])

    mean = over(lambda part: part.sum(axis=0)).sum(axis=0) / n
    # About the mean, not from sums of squares: those lose what is small beside a large mean.
    std = np.sqrt(over(lambda part: ((part - mean) ** 2).sum(axis=0)).sum(axis=0) / n)
    low = over(lambda part: part.min(axis=0)).min(axis=0)
    high = over(lambda part: part.max(axis=0)).max(axis=0)
    return tuple(
        Feature(name, float(mean[i]), float(std[i]), float(low[i]), float(high[i]))
        for i, name in enumerate(data.state_columns)
    )
