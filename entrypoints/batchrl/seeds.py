"""Independent streams of one seed; numpy alone, so that data can be checked where PyTorch is not loaded."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """Independent streams of one seed."""

    SPLIT = 0
    MODELS = 1
    AGENT = 2
    BOOTSTRAP = 3


def stream_seed(seed: int, stream: Stream) -> int:
    """Seed of one stream (32 bits)."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1)[0])
