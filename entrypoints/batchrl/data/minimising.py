"""L-BFGS (Nocedal 1980): the minimum of a smooth convex function, from its values and gradients."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from batchrl.data.dataset import Floats64

MEMORY = 10
# Armijo's condition: a step is taken where the function falls by this share of what its slope promises.
SUFFICIENT = 1e-4
MOST_HALVINGS = 40


def minimum(
    function: Callable[[Floats64], tuple[float, Floats64]], start: Floats64, tolerance: float, most_steps: int = 500
) -> Floats64:
    """Where a function is least.

    Args:
        function: its value and its gradient ``[p]`` at a place ``[p]``.
        start: ``[p]``, the place to begin at.
        tolerance: of the greatest entry of the gradient.
        most_steps: of the descent; what was reached by then is returned.
    """
    place = start.copy()
    value, gradient = function(place)
    steps: deque[tuple[Floats64, Floats64]] = deque(maxlen=MEMORY)
    for _ in range(most_steps):
        if np.abs(gradient).max() <= tolerance:
            break
        direction = -_curved(gradient, steps)
        slope = float(gradient @ direction)
        length = 1.0 if steps else min(1.0, 1.0 / float(np.abs(gradient).sum()))
        for _ in range(MOST_HALVINGS):
            there = place + length * direction
            new_value, new_gradient = function(there)
            if new_value <= value + SUFFICIENT * length * slope:
                break
            length /= 2
        else:
            # Not even the shortest step leads down: rounding is all that is left.
            break
        moved, turned = there - place, new_gradient - gradient
        if moved @ turned > 0:
            steps.append((moved, turned))
        place, value, gradient = there, new_value, new_gradient
    return place


def _curved(gradient: Floats64, steps: deque[tuple[Floats64, Floats64]]) -> Floats64:
    """The gradient times the inverse of the curvature that the last steps showed: the two-loop recursion."""
    result = gradient.copy()
    shares = []
    for moved, turned in reversed(steps):
        share = float(moved @ result) / float(moved @ turned)
        result -= share * turned
        shares.append(share)
    if steps:
        moved, turned = steps[-1]
        result *= float(moved @ turned) / float(turned @ turned)
    for (moved, turned), share in zip(steps, reversed(shares), strict=True):
        result += moved * (share - float(turned @ result) / float(moved @ turned))
    return result
