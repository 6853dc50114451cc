"""Everything random comes from the preset's seed; the same inputs give the same bits (quirk 16)."""

from __future__ import annotations

import json
import os

import numpy as np
import torch

from batchrl.agents.fused import use_deterministic_algorithms
from batchrl.seeds import Stream, stream_seed


def make_deterministic() -> None:
    """Only deterministic operations; one thread unless ``OMP_NUM_THREADS`` says otherwise.

    The number of threads changes the order of sums, and so the last bits of the weights.
    """
    use_deterministic_algorithms()
    if not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(1)


def numpy_stream(seed: int, stream: Stream) -> np.random.Generator:
    """NumPy's generator of one stream."""
    return np.random.default_rng(stream_seed(seed, stream))


def torch_stream(seed: int, stream: Stream) -> torch.Generator:
    """PyTorch's generator of one stream."""
    return torch.Generator().manual_seed(stream_seed(seed, stream))


def state_of(rng: np.random.Generator) -> str:
    """The state of a generator as JSON."""
    return json.dumps(rng.bit_generator.state)


def with_state(text: str) -> np.random.Generator:
    """The generator whose state ``state_of`` gave."""
    rng = np.random.default_rng()
    rng.bit_generator.state = json.loads(text)
    return rng
