"""Policies by their preferences, for tests of estimated propensities."""

from __future__ import annotations

import numpy as np

from batchrl.data.dataset import Floats64


def softmax(logits: Floats64) -> Floats64:
    """``[n, A]``, probabilities of logits."""
    chances: Floats64 = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    return chances
