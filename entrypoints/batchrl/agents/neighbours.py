"""Exact distances to the nearest of many points.

The nearest key is found by blocked matrix products in float64, its distance is then computed by subtraction.
"""

from __future__ import annotations

import torch
from torch import Tensor

QUERIES_AT_ONCE = 2_048


def nearest_distances(
    queries: Tensor, keys: Tensor, query_groups: Tensor | None = None, key_groups: Tensor | None = None
) -> Tensor:
    """Euclidean distance of each query to its nearest key.

    Args:
        queries: ``[B, e]``, float32.
        keys: ``[K, e]``, float32.
        query_groups: ``[B]``; with ``key_groups``, keys of a query's own group are left out.
        key_groups: ``[K]``.

    Returns:
        ``[B]`` in float64; infinite where there is no key, exactly 0 for a query that is a key.
    """
    if not len(keys) or not len(queries):
        return torch.full((len(queries),), torch.inf, dtype=torch.float64)
    wide_keys = keys.double()
    lengths = wide_keys.square().sum(dim=1)[None, :]
    blocks = []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        block = queries[start : start + QUERIES_AT_ONCE].double()
        scores = torch.addmm(lengths, block, wide_keys.T, alpha=-2.0)
        if query_groups is not None and key_groups is not None:
            scores.masked_fill_(query_groups[start : start + QUERIES_AT_ONCE, None] == key_groups, torch.inf)
        least, nearest = scores.min(dim=1)
        distances = torch.linalg.vector_norm(block - wide_keys[nearest], dim=1)
        blocks.append(distances.masked_fill_(least.isinf(), torch.inf))
    return torch.cat(blocks)
