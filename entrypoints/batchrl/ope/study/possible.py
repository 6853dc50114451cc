"""Which values a log allows, whatever was learnt from it: what lies beyond cannot be true, or nothing logged says so.

The greatest value of a policy is the least of these limits, the least one likewise, with the rewards' signs turned:

=============================================================  ========================================================
the greatest reward r in every step, for ever                  ``r / (1 - discount)``
the same, but no logged return comes near it                   values that press against it are no evidence, either
steps pay at most m, the steps that end an episode at most e   the greater of ``e`` and ``m / (1 - discount)``
all episodes that got there ended after H steps                ``m + discount m + ... + discount^(H-1) e``, or ``e``
the best logged episode returned g                             ``3 g``
=============================================================  ========================================================

An episode that was cut short goes on for ever with the greatest reward, as far as the log knows. Networks err: the
first limit may be passed by a hundredth of the range of values, the others by a tenth of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from batchrl.data.dataset import Dataset, Flags, Floats64, Integers

# A mean over start states may pass a bound that every reward is needed for by this share of the range of values.
BOUND_TOLERANCE = 0.01
# And the narrower limits by this share of theirs.
LIMIT_TOLERANCE = 0.1
# Values beyond so many times the best logged return say nothing that the log could have taught.
TIMES_THE_BEST = 3
# A logged return that comes so near the bound of all values shows that it can be reached.
NEAR = 0.9
# All episodes that reached the longest length ended there: if ends came by chance at the rate of the steps before,
# that would have to be less likely than this, and they are at least this share of all episodes and this many.
CHANCE_OF_LENGTH = 0.001
LEAST_SHARE_OF_LENGTH = 0.05
LEAST_OF_LENGTH = 5


@dataclass(frozen=True)
class Limit:
    """One end of the possible values.

    Args:
        value: tolerance included; infinite where nothing limits values.
        words: what sets it.
    """

    value: float
    words: str


@dataclass(frozen=True)
class PossibleValues:
    """The least and the greatest value of a policy that a log allows."""

    least: Limit
    greatest: Limit

    @classmethod
    def of(cls, datasets: Sequence[Dataset], discount: float) -> PossibleValues:
        """The limits that episodes set together.

        Args:
            datasets: parts of one log; at least one episode.
            discount: of one step.
        """
        lengths = np.concatenate([data.lengths for data in datasets])
        ended = np.concatenate([data.terminal[data.offsets[1:] - 1] for data in datasets])
        returns = np.concatenate([data.discounted_returns(discount) for data in datasets])
        horizon = _evident_length(lengths, ended)
        up, down = (_Side.of(datasets, returns, lengths, ended, discount, horizon, sign) for sign in (1.0, -1.0))
        spans = (up.bound + down.bound, up.inner + down.inner, up.best + down.best)
        _, inner, logged = spans
        if not any(map(math.isfinite, spans)):
            return cls(Limit(-math.inf, ""), Limit(math.inf, ""))
        narrow = LIMIT_TOLERANCE * (inner if math.isfinite(inner) else logged)
        wide = BOUND_TOLERANCE * spans[0] if math.isfinite(spans[0]) else narrow
        tolerances = (wide or BOUND_TOLERANCE, narrow or BOUND_TOLERANCE)
        greatest, least = (min(side.limits(*tolerances), key=lambda limit: limit.value) for side in (up, down))
        return cls(Limit(-least.value, least.words), greatest)

    def __contains__(self, value: float) -> bool:
        return math.isfinite(value) and self.least.value <= value <= self.greatest.value

    def doubt(self, value: float) -> str | None:
        """Why a value cannot be relied on, in words; None where it is possible."""
        if value in self or math.isnan(value):
            return None
        above = value > self.greatest.value
        limit, side = (self.greatest, "above") if above else (self.least, "below")
        return f"{value:.4g} lies {side} {limit.value:.4g}, beyond what the log allows: {limit.words}"


@dataclass(frozen=True)
class _Side:
    """The greatest values, or the least ones with their signs turned.

    Args:
        bound: of all values, from the rewards of a step alone.
        best: logged return, going on at the bound where its episode was cut short.
        inner: the narrower bound that ends and horizon set.
        inner_words: what sets it.
        sign: 1, or -1 where signs are turned.
    """

    bound: float
    best: float
    inner: float
    inner_words: str
    sign: float

    @classmethod
    def of(
        cls,
        datasets: Sequence[Dataset],
        returns: Floats64,
        lengths: Integers,
        ended: Flags,
        discount: float,
        horizon: int | None,
        sign: float,
    ) -> _Side:
        """From rewards times ``sign``; an episode may always be worth nothing."""
        within, at_end = (
            max(_greatest(data.rewards, data.terminal == ends, sign) for data in datasets) for ends in (False, True)
        )
        bound = _for_ever(max(within, at_end, 0.0), discount)
        beyond = np.where(ended, 0.0, np.power(discount, lengths) * bound) if bound else 0.0
        best = float(np.nanmax(np.maximum(sign * returns + beyond, 0.0)))
        words = f"a step pays {_shown(sign, within)}" if math.isfinite(within) else "every episode has one step"
        if math.isfinite(at_end):
            words += f", one that ends an episode {_shown(sign, at_end)}"
        inner = max(0.0, at_end, _for_ever(max(within, 0.0), discount))
        if horizon is not None:
            steps = sum(discount**step for step in range(horizon - 1))
            last = max(at_end, 0.0) * discount ** (horizon - 1)
            inner = min(inner, max(0.0, at_end, max(within, 0.0) * steps + last))
            words += f", and all of the longest episodes end after {horizon} {'step' if horizon == 1 else 'steps'}"
        return cls(bound, best, inner, words, sign)

    def limits(self, wide: float, narrow: float) -> Iterator[Limit]:
        """All limits with their tolerances.

        Args:
            wide: tolerance of the bound of all values.
            narrow: tolerance of the others.
        """
        extreme = "best" if self.sign > 0 else "worst"
        words = f"the {extreme} reward in every step for ever comes to {self.sign * self.bound + 0.0:.4g}"
        if self.bound > 0 and self.best < NEAR * self.bound:
            yield Limit(max(self.best, self.bound - wide), f"{words}, and no logged return is near that")
        else:
            yield Limit(self.bound + wide, words)
        yield Limit(self.inner + narrow, self.inner_words)
        times = f"{TIMES_THE_BEST} times the {extreme} logged return, {self.sign * self.best + 0.0:.4g}"
        yield Limit(TIMES_THE_BEST * self.best + narrow, times)


def _evident_length(lengths: Integers, ended: Flags) -> int | None:
    """The steps after which episodes end whatever is done; None where the log does not show that they do."""
    longest = int(lengths.max())
    there = lengths == longest
    n = int(there.sum())
    if not ended[there].all() or n < max(LEAST_OF_LENGTH, LEAST_SHARE_OF_LENGTH * len(lengths)):
        return None
    steps_before = int(np.minimum(lengths, longest - 1).sum())
    rate = (len(lengths) - n + 1) / (steps_before + 2)
    return longest if rate**n < CHANCE_OF_LENGTH else None


def _greatest(rewards: Floats64, chosen: Flags, sign: float) -> float:
    """The greatest of some rewards times the sign; -inf of none."""
    if sign > 0:
        return float(rewards.max(where=chosen, initial=-math.inf))
    return -float(rewards.min(where=chosen, initial=math.inf))


def _for_ever(reward: float, discount: float) -> float:
    """A reward that is not negative in every step, without an end."""
    if reward == 0:
        return 0.0
    return reward / (1 - discount) if discount < 1 else math.inf


def _shown(sign: float, value: float) -> str:
    return f"{'at most' if sign > 0 else 'at least'} {sign * value + 0.0:.4g}"
