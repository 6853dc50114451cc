"""Several logging policies taken as one that mixes them: the balance heuristic of multiple importance sampling.

Of n episodes, policy k logged ``n_k``. Where the loggers met the same kind of episodes, those n are, on average, a
sample of one policy that draws k with probability ``n_k / n`` and follows it to the end. With probabilities ``p_k`` of
a trajectory's actions, an episode is then weighed by

    prod_t pi(a_t | s_t) / sum_k (n_k / n) prod_t p_k(a_t | s_t),

whoever logged it: unbiased where any logger could have acted so, and never of a much larger variance than the best
weighting of the loggers (Veach & Guibas 1995; for logged decisions Agarwal et al. 2017, He et al. 2019). Step by step
this is the propensity of the mixing policy given the episode so far, ``M_t / M_t-1`` with
``M_t = sum_k (n_k / n) prod_u<=t p_k(a_u | s_u)``: every estimator with weights takes it as it takes any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchrl.data.storage import CHUNK_ROWS, Array, Storage, chunks

Floats64 = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Mixture:
    """What every logger would have done in N transitions.

    Args:
        log_chances: ``[N, K]``, logs of each logger's probability of the taken action; -inf where it never takes it.
        policies: ``[K, A]``, the loggers' probabilities of all actions where those are alike in all states; else None.
    """

    log_chances: Floats64
    policies: Floats64 | None = None

    @classmethod
    def of_policies(cls, policies: Floats64, actions: Integers, like: Array) -> Mixture:
        """Of loggers that heed no state.

        Args:
            policies: ``[K, A]``.
            actions: ``[N]``, those taken.
            like: an array beside which the new one is to lie.
        """
        with np.errstate(divide="ignore"):
            logs = np.log(policies).T
        log_chances = Storage.like(like).empty((len(actions), len(policies)), np.float64)
        for start, stop in chunks(len(actions)):
            log_chances[start:stop] = logs[actions[start:stop]]
        return cls(log_chances, policies)

    def shares(self, loggers: Integers) -> Floats64:
        """``[K]``, ``n_k / n`` of the loggers ``[n]`` of some episodes."""
        result: Floats64 = np.bincount(loggers, minlength=self.log_chances.shape[1]) / len(loggers)
        return result

    def propensities(self, loggers: Integers, offsets: Integers) -> Floats64:
        """``[N]``, ``M_t / M_t-1`` of every step.

        Args:
            loggers: ``[n]``, who logged each episode.
            offsets: ``[n + 1]``, its first step, and N.
        """
        with np.errstate(divide="ignore"):
            log_shares = np.log(self.shares(loggers))
        result = np.empty(len(self.log_chances))
        for first, last in _blocks(offsets):
            start, stop = offsets[first], offsets[last]
            begins = offsets[first:last] - start
            reached = _log_sums(_cumulated(self.log_chances[start:stop], begins) + log_shares)
            before = np.concatenate([[0.0], reached[:-1]])
            before[begins] = 0.0
            result[start:stop] = np.minimum(np.exp(reached - before), 1.0)
        return result

    def possible_before(self, offsets: Integers) -> Flags:
        """``[N, K]``, whether each logger could have taken all earlier actions of the episode.

        Args:
            offsets: ``[n + 1]``, the first step of each episode, and N.
        """
        result = np.empty(self.log_chances.shape, np.bool_)
        for first, last in _blocks(offsets):
            start, stop = offsets[first], offsets[last]
            begins = offsets[first:last] - start
            impossible = np.isneginf(_cumulated(self.log_chances[start:stop], begins))
            result[start + 1 : stop] = ~impossible[:-1]
            result[offsets[first:last]] = True
        return result


def _blocks(offsets: Integers) -> Iterator[tuple[int, int]]:
    """``(first, last)`` of the pieces in which whole episodes are worked through."""
    first, n = 0, len(offsets) - 1
    while first < n:
        reached = int(np.searchsorted(offsets, offsets[first] + CHUNK_ROWS, side="right")) - 1
        last = max(first + 1, reached)
        yield first, last
        first = last


def _cumulated(logs: Floats64, begins: Integers) -> Floats64:
    """``[m, K]``, sums over each episode's steps so far; -inf stays -inf to the episode's end."""
    never = np.isneginf(logs)
    lengths = np.diff(begins, append=len(logs))
    known = np.where(never, 0.0, logs)
    sums, zeros = known.cumsum(axis=0), never.cumsum(axis=0)
    sums -= np.repeat(sums[begins] - known[begins], lengths, axis=0)
    zeros -= np.repeat(zeros[begins] - never[begins], lengths, axis=0)
    sums[zeros > 0] = -np.inf
    return sums


def _log_sums(logs: Floats64) -> Floats64:
    """``[m]``, ``log sum_k exp(logs[:, k])``; one of each row is finite, that of who acted."""
    highest = logs.max(axis=1)
    result: Floats64 = highest + np.log(np.exp(logs - highest[:, None]).sum(axis=1))
    return result
