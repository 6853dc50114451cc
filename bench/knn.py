"""The exact nearest neighbour mask at size: 200,000 queries against 200,000 keys of width 512.

The points are what the mask compares: embeddings of random states, from a network with layers of 256 and 512 units. The
bound is the time of the same matrix products alone, in float32 and the same blocks; it is measured between the parts of
the search, on a quarter of its products. Memory is the peak of the whole process with all queries and keys in it. The
quick run searches for a tenth of the queries, and counts a tenth of the time that the keys' preparation takes. Some
distances are compared with brute force in float64.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch
from figures import Figure, show
from torch import Tensor

from batchrl.agents.neighbours import KEYS_AT_ONCE, QUERIES_AT_ONCE, Neighbours
from batchrl.agents.networks import Network, NetworkShape

POINTS = 200_000
WIDTH = 512
QUICK_QUERIES = 20_480
# Queries between two measurements of the bound.
PART = 4 * QUERIES_AT_ONCE
CHECKED = 20


def points(network: Network, seed: int) -> Tensor:
    """Embeddings of random states, ``[POINTS, WIDTH]``, without a second copy of them in memory."""
    generator = torch.Generator().manual_seed(seed)
    result = torch.empty(POINTS, WIDTH)
    for block in torch.split(result, 10_000):
        block.copy_(network.embed(torch.randn(len(block), network.shape.n_features, generator=generator)))
    return result


def products_alone(queries: Tensor, keys: Tensor) -> float:
    """Seconds of the products of one block of queries with all keys."""
    block = queries[:QUERIES_AT_ONCE].T
    out = torch.empty(KEYS_AT_ONCE, QUERIES_AT_ONCE)
    began = time.perf_counter()
    for of_keys in torch.split(keys, KEYS_AT_ONCE):
        torch.mm(of_keys, block, out=out[: len(of_keys)])
    return time.perf_counter() - began


def check(queries: Tensor, keys: Tensor, found: Tensor) -> None:
    """Compare with brute force.

    Raises:
        SystemExit: a distance differs in any bit.
    """
    for query, distance in zip(queries, found, strict=True):
        by_block = [
            torch.linalg.vector_norm(query.double() - block.double(), dim=1) for block in torch.split(keys, 10_000)
        ]
        if torch.cat(by_block).min() != distance:
            raise SystemExit("a distance is not that of brute force")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="search for all queries (7 minutes a thread)")
    parser.add_argument("--threads", type=int, default=1, help="of both sides (default: 1, as in jobs)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    network = Network(NetworkShape(6, 3, (256, WIDTH)), torch.Generator().manual_seed(0))
    keys, queries = points(network, 1), points(network, 2)
    searched = POINTS if options.full else QUICK_QUERIES
    found = torch.empty(searched, dtype=torch.float64)
    products_alone(queries, keys[:KEYS_AT_ONCE])

    began = time.perf_counter()
    neighbours = Neighbours.of(keys)
    preparing = time.perf_counter() - began
    seconds = bound = 0.0
    for start in range(0, searched, PART):
        part = queries[start : min(start + PART, searched)]
        began = time.perf_counter()
        found[start : start + PART] = neighbours.distances(part)
        seconds += time.perf_counter() - began
        bound += products_alone(queries, keys) * len(part) / QUERIES_AT_ONCE
    whole, alone = (preparing * searched / POINTS + seconds), bound
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    check(queries[:CHECKED], keys, found[:CHECKED])

    threads = "1 thread" if options.threads == 1 else f"{options.threads} threads"
    what = f"{searched:,} queries, {POINTS:,} keys of width {WIDTH}, {threads}"
    rate = 2 * searched * POINTS * WIDTH / 1e9
    print(f"  {what}: {whole:.0f} s, the products alone {alone:.0f} s ({rate / alone:.0f} GFlop/s)")
    show(
        Figure("share of the bound that the matrix products set", alone / whole, "x", 0.5, at_least=True),
        Figure(f"peak memory of the process with {POINTS:,} queries and keys", peak, "GB", 2.0),
    )


if __name__ == "__main__":
    main()
