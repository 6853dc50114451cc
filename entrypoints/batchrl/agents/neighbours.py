"""Exact distances to the nearest of many points, at nearly the cost of the matrix products alone.

For a query q and keys k, ``|q - k|^2 = |q|^2 + (|k|^2 - 2 q k)``, and the first term is the same for all keys. So a
matrix product in float32 scores all keys. Its rounding error has a bound that holds for any order of summation (Higham
2002, "Accuracy and Stability of Numerical Algorithms", 3.1): with n terms and unit roundoff u, ``gamma_n |q| |k|``,
``gamma_n = n u / (1 - n u)``. Keys whose score lies within the bound of the best may be the nearest; for these alone
the distance is computed by subtraction, in float64. The smallest is the one that brute force in float64 finds.

Where the bound leaves too many keys (points that lie much closer together than they are long), the scores are computed
again in float64, whose bound is half a billion times smaller.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# Scores of one block, 4 MiB in float32, are reduced while they are in a cache.
QUERIES_AT_ONCE = 512
KEYS_AT_ONCE = 2_048
# Only the best score of so many keys is kept; all of them are candidates where it is.
GROUP = 16
# Queries with more candidate groups than this are scored again in float64.
MOST_GROUPS = 16
# Differences that are computed at once, in numbers; 32 MiB in float64.
DIFFERENCES_AT_ONCE = 4_194_304
# Queries that are so much longer than all keys could overflow.
LONGEST = 2.0**50
SHARED = -1


@dataclass(frozen=True)
class Neighbours:
    """Points whose nearest is asked for. Make one with ``of``.

    Args:
        keys: ``[K, e]``, float32, as given.
        rows: ``[P]``, positions of the distinct keys, by ascending owner, else by length, so that a group's keys are
            about equally long; the last is repeated to fill a group.
        owners: ``[P]``, the only group in which the key occurs, ``SHARED`` for a key of several; None without groups.
        centre: ``[e]``, float64, the mean key: near points are short when it is subtracted.
        scale: a power of 2, so that no key is longer in any direction than 1.
        scored: ``[P, e]``, the distinct keys, shifted and scaled.
        squares: ``[P]``, their squared lengths.
        radii: ``[P / GROUP]``, float64, the greatest length in each group.
    """

    keys: Tensor
    rows: Tensor
    owners: Tensor | None
    centre: Tensor
    scale: float
    scored: Tensor
    squares: Tensor
    radii: Tensor

    @classmethod
    def of(cls, keys: Tensor, groups: Tensor | None = None) -> Neighbours:
        """Prepare keys; this takes as much memory as they do once more.

        Args:
            keys: ``[K, e]``, float32; K may be 0.
            groups: ``[K]``, numbers from 0 on, for queries that must not be compared with keys of their own group.
        """
        rows, owners = _distinct(keys, groups)
        centre = torch.zeros(keys.shape[1], dtype=torch.float64)
        for block in _blocks(keys):
            centre += block.sum(dim=0, dtype=torch.float64) / len(keys)
        lengths, largest = [torch.zeros(0, dtype=torch.float64)], 0.0
        for of_block in _blocks(rows):
            shifted = _shifted(keys[of_block], centre)
            largest = max(largest, shifted.abs().max().item())
            lengths.append(_squares(shifted))
        if owners is None:
            rows = rows[torch.cat(lengths).argsort(stable=True)]
        filling = -len(rows) % GROUP
        if filling:
            rows = torch.cat([rows, rows[-1:].expand(filling)])
            owners = None if owners is None else torch.cat([owners, owners[-1:].expand(filling)])
        scale = math.ldexp(1.0, -math.frexp(largest)[1])
        scored = torch.empty(len(rows), keys.shape[1])
        squares = torch.empty(len(rows), dtype=torch.float64)
        for of_block, block, of_squares in zip(_blocks(rows), _blocks(scored), _blocks(squares), strict=True):
            block.copy_(_shifted(keys[of_block], centre).mul_(scale))
            of_squares.copy_(_squares(block))
        radii = squares.view(len(rows) // GROUP, GROUP).amax(dim=1).sqrt_()
        return cls(keys, rows, owners, centre, scale, scored, squares.float(), radii)

    def distances(self, queries: Tensor, groups: Tensor | None = None) -> Tensor:
        """Euclidean distance of each query to its nearest key.

        Args:
            queries: ``[B, e]``, float32.
            groups: ``[B]``, keys of this group are left out for the query; None leaves none out. Fast where queries of
                one group follow each other.

        Returns:
            ``[B]`` in float64; infinite where there is no key, exactly 0 for a query that is a key.
        """
        result = torch.full((len(queries),), torch.inf, dtype=torch.float64)
        if not len(self.keys):
            return result
        crowded = [torch.zeros(0, dtype=torch.int64)]
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            block = slice(start, start + QUERIES_AT_ONCE)
            own = None if groups is None else groups[block]
            result[block], again = self._nearest(queries[block], own, torch.float32)
            crowded.append(again + start)
        for rows in _blocks(torch.cat(crowded), QUERIES_AT_ONCE // 4):
            own = None if groups is None else groups[rows]
            result[rows], _ = self._nearest(queries[rows], own, torch.float64)
        return result

    def _nearest(self, queries: Tensor, groups: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Distances ``[B]``, and positions of the queries for which float32 does not tell enough keys apart."""
        scored = _shifted(queries, self.centre).mul_(self.scale).to(dtype)
        minima = self._group_minima(scored, groups)
        lengths = _squares(scored).sqrt_()
        wrong = self._error(lengths, dtype)
        limit = (minima + wrong).amin(dim=0)
        # Without a key outside its own group, a query has no candidate; an overflow leaves the search to float64.
        overflow = ~(lengths < LONGEST) if dtype == torch.float32 else torch.zeros_like(lengths, dtype=torch.bool)
        limit.masked_fill_(limit.isposinf() | overflow, -torch.inf)
        near = minima.sub_(wrong) <= limit
        again = overflow
        if dtype == torch.float32:
            again = overflow | (near.sum(dim=0) > MOST_GROUPS)
            near &= ~again
        return self._verified(queries, groups, near), again.nonzero().squeeze(1)

    def _group_minima(self, queries: Tensor, groups: Tensor | None) -> Tensor:
        """Least ``|k|^2 - 2 q k`` over each group of keys, ``[P / GROUP, B]``; infinite for keys that are left out."""
        n_keys, n_queries = len(self.rows), len(queries)
        minima = torch.empty(n_keys // GROUP, n_queries, dtype=queries.dtype)
        buffer = torch.empty(min(KEYS_AT_ONCE, n_keys), n_queries, dtype=queries.dtype)
        left_out = _left_out(self.owners, groups)
        for start in range(0, n_keys, KEYS_AT_ONCE):
            end = min(start + KEYS_AT_ONCE, n_keys)
            keys, squares = self.scored[start:end], self.squares[start:end]
            if queries.dtype == torch.float64:
                keys = _shifted(self.keys[self.rows[start:end]], self.centre).mul_(self.scale)
                squares = _squares(keys)
            scores = torch.addmm(squares[:, None], keys, queries.T, alpha=-2, out=buffer[: end - start])
            for first, last, of_queries in left_out:
                if first < end and last > start:
                    scores[max(first - start, 0) : last - start, of_queries] = torch.inf
            shaped = scores.view(-1, GROUP, n_queries)
            torch.amin(shaped, dim=1, out=minima[start // GROUP : end // GROUP])
        return minima

    def _error(self, lengths: Tensor, dtype: torch.dtype) -> Tensor:
        """By how much a score may be wrong, for each group of keys and queries of some lengths, ``[P / GROUP, B]``.

        Gamma is counted for the sum, the rounded squares, and shifting and scaling; float64's is added because two
        distances may swap places when they are rounded themselves. The last term is for numbers that vanish when they
        are scaled.
        """
        terms = self.keys.shape[1] + 12
        gamma = sum(terms * unit / (1 - terms * unit) for unit in (torch.finfo(dtype).eps / 2, 2.0**-53))
        root = math.sqrt(gamma)
        sums = (root * self.radii[:, None]).to(dtype) + (root * lengths).to(dtype)
        return sums.square_().add_(terms * 2.0**-100)

    def _verified(self, queries: Tensor, groups: Tensor | None, near: Tensor) -> Tensor:
        """Least distance ``[B]`` to the keys of the candidate groups ``near`` ``[P / GROUP, B]``, by subtraction."""
        nearest = torch.full((len(queries),), torch.inf, dtype=torch.float64)
        pairs = near.nonzero()
        at_once = max(1, DIFFERENCES_AT_ONCE // (GROUP * self.keys.shape[1]))
        for of_groups, of_queries in (chunk.unbind(1) for chunk in torch.split(pairs, at_once)):
            positions = of_groups[:, None] * GROUP + torch.arange(GROUP)
            differences = self.keys[self.rows[positions]].double()
            differences.sub_(queries[of_queries, None])
            distances = torch.linalg.vector_norm(differences, dim=2)
            if groups is not None and self.owners is not None:
                distances.masked_fill_(self.owners[positions] == groups[of_queries, None], torch.inf)
            nearest.scatter_reduce_(0, of_queries, distances.amin(dim=1), "amin")
        return nearest


def nearest_distances(
    queries: Tensor, keys: Tensor, query_groups: Tensor | None = None, key_groups: Tensor | None = None
) -> Tensor:
    """``Neighbours.of(keys, key_groups).distances(queries, query_groups)``, for keys that are asked for only once."""
    return Neighbours.of(keys, key_groups).distances(queries, query_groups)


def expected_seconds(n_queries: int, n_keys: int, width: int) -> float:
    """About how long ``distances`` takes on this machine, from the time of one block."""
    keys, queries = torch.ones(KEYS_AT_ONCE, width), torch.ones(QUERIES_AT_ONCE, width)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        torch.mm(keys, queries.T).view(-1, GROUP, QUERIES_AT_ONCE).amin(dim=1)
        seconds.append(time.perf_counter() - began)
    return min(seconds) * n_queries / QUERIES_AT_ONCE * n_keys / KEYS_AT_ONCE


def _blocks(rows: Tensor, size: int = KEYS_AT_ONCE) -> tuple[Tensor, ...]:
    """Views of so many rows at most; none of no rows."""
    return torch.split(rows, size) if len(rows) else ()


def _shifted(rows: Tensor, centre: Tensor) -> Tensor:
    """A copy in float64."""
    return rows.double() - centre


def _squares(rows: Tensor) -> Tensor:
    """Squared lengths in float64."""
    return rows.double().square().sum(dim=1)


def _left_out(owners: Tensor | None, groups: Tensor | None) -> list[tuple[int, int, slice]]:
    """Ranges of keys, first and last + 1, that runs of queries must not be compared with."""
    if owners is None or groups is None:
        return []
    runs, counts = torch.unique_consecutive(groups, return_counts=True)
    first, last = torch.searchsorted(owners, runs), torch.searchsorted(owners, runs, right=True)
    ends = counts.cumsum(0)
    spans = zip(first.tolist(), last.tolist(), (ends - counts).tolist(), ends.tolist(), strict=True)
    return [(low, high, slice(begin, end)) for low, high, begin, end in spans if low < high]


def _distinct(keys: Tensor, groups: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Positions of distinct keys, and the only group of each, by which they are sorted."""
    array = np.ascontiguousarray(keys.numpy())
    hashes = _hashes(array)
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    same = first[inverse]
    repeated = np.flatnonzero(same != np.arange(len(array)))
    for rows in np.split(repeated, range(KEYS_AT_ONCE, len(repeated), KEYS_AT_ONCE)):
        # Two keys of one hash may still differ.
        differing = rows[(array[rows] != array[same[rows]]).any(axis=1)]
        same[differing] = differing
    distinct = np.unique(same)
    if groups is None:
        return torch.from_numpy(distinct), None
    low, high = np.full(len(array), np.iinfo(np.int64).max), np.full(len(array), SHARED)
    np.minimum.at(low, same, groups.numpy())
    np.maximum.at(high, same, groups.numpy())
    owners = np.where(low == high, low, SHARED)[distinct]
    order = np.argsort(owners, kind="stable")
    return torch.from_numpy(distinct[order]), torch.from_numpy(owners[order])


def _hashes(array: np.ndarray) -> np.ndarray:
    """Of the bits of each row of float32, ``[K]``."""
    weights = np.random.default_rng(0).integers(0, 2**64, array.shape[1], dtype=np.uint64) | np.uint64(1)
    hashes = np.empty(len(array), dtype=np.uint64)
    for start in range(0, len(array), KEYS_AT_ONCE):
        block = array[start : start + KEYS_AT_ONCE].view(np.uint32)
        hashes[start : start + KEYS_AT_ONCE] = (block * weights).sum(axis=1, dtype=np.uint64)
    return hashes
