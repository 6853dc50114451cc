"""The lower bound that most of the field quotes (Thomas et al. 2015), to be measured beside ours."""

from __future__ import annotations

import math

import numpy as np

from batchrl.data.dataset import Floats64

# Of the episodes, the share that chooses where to truncate; the bound is that of the others.
SHARE_THAT_CHOOSES = 1 / 20
CANDIDATES = 400


def high_confidence_lower_bound(summands: Floats64, confidence: float, seed: int) -> float:
    """A lower bound of ``E[X]`` from independent ``X_i >= 0`` (Thomas, Theocharous & Ghavamzadeh 2015, theorem 1).

    With ``Y_i = min(X_i, c)``, the same c for all, ``delta = 1 - confidence`` and s the deviation of the Y::

        mean Y - 7 c ln(2 / delta) / (3 (n - 1)) - s sqrt(2 ln(2 / delta) / n)

    Truncation only lowers the expectation, so the bound holds whatever the tail of X. It is for sums that are unbiased
    (importance sampling): the empirical Bernstein inequality behind it does *not* hold for quotients such as weighted
    importance sampling. A share of the episodes, drawn by the seed, chooses the c that promises most for the others,
    which alone enter the bound.

    Args:
        summands: ``[n]``, not negative, infinite ones allowed.
        confidence: probability that ``E[X]`` is above the bound.
        seed: of the episodes that choose c.

    Returns:
        At least 0, which is always true; ``nan`` for fewer than 4 episodes.
    """
    n = len(summands)
    n_choosing = max(2, round(n * SHARE_THAT_CHOOSES))
    if n - n_choosing < 2:
        return float("nan")
    shuffled = summands[np.random.default_rng(seed).permutation(n)]
    choosing, counted = shuffled[:n_choosing], shuffled[n_choosing:]
    largest = choosing[np.isfinite(choosing)].max(initial=0.0)
    if largest == 0:
        return 0.0
    candidates = largest * np.geomspace(1e-6, 1, CANDIDATES)
    promised = _bound(np.minimum(choosing, candidates[:, None]), candidates, len(counted), confidence)
    chosen = candidates[promised.argmax()]
    return max(0.0, float(_bound(np.minimum(counted, chosen), chosen, len(counted), confidence)))


def _bound(truncated: Floats64, most: Floats64, n: int, confidence: float) -> Floats64:
    """The bounds for n episodes ``[...]``, with means and deviations of truncated summands ``[..., m]``."""
    logarithm = math.log(2 / (1 - confidence))
    spread = truncated.std(axis=-1, ddof=1) * math.sqrt(2 * logarithm / n)
    bound: Floats64 = truncated.mean(axis=-1) - 7 * most * logarithm / (3 * (n - 1)) - spread
    return bound
