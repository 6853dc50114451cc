"""Features of states for linear values: polynomials, and random rectified units where those are too many."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations_with_replacement

import numpy as np

from batchrl.data.dataset import Floats32

# Standardised features are kept within so many deviations: powers of outliers would outweigh everything else.
WIDEST = 5.0
ROWS_AT_ONCE = 16_384

Features = Callable[[Floats32], Floats32]


def standardised(reference: Floats32) -> Features:
    """The shift and scale that give states ``[N, d]`` the mean 0 and the deviation 1; constant features are left out.

    Args:
        reference: ``[N, d]``.

    Returns:
        of states ``[B, d]``, ``[B, d']``, within ``WIDEST`` deviations.
    """
    mean, deviation = reference.mean(axis=0, dtype=np.float64), reference.std(axis=0, dtype=np.float64)
    varying = deviation > 1e-6 * np.maximum(1.0, np.abs(mean))

    def of(states: Floats32) -> Floats32:
        scaled: Floats32 = ((states[:, varying] - mean[varying]) / deviation[varying]).astype(np.float32)
        return np.clip(scaled, -WIDEST, WIDEST)

    return of


def count_of_monomials(n_features: int, degree: int) -> int:
    """Monomials of at most this degree in so many variables, the constant among them."""
    return math.comb(n_features + degree, degree)


def polynomial(scaled: Floats32, degree: int) -> Floats32:
    """All monomials of at most a degree, ``[B, D]`` of standardised states ``[B, d']``; the constant comes first."""
    width = scaled.shape[1]
    result = np.empty((len(scaled), count_of_monomials(width, degree)), np.float32)
    result[:, 0] = 1
    places: dict[tuple[int, ...], int] = {(): 0}
    for power in range(1, degree + 1):
        for factors in combinations_with_replacement(range(width), power):
            place = places[factors] = len(places)
            np.multiply(result[:, places[factors[:-1]]], scaled[:, factors[-1]], out=result[:, place])
    return result


def rectified(scaled: Floats32, units: int, seed: int) -> Floats32:
    """A constant and random rectified linear units, ``[B, units]`` of standardised states ``[B, d']``.

    Directions are uniform and kinks lie at standard normal distances from the mean (Rahimi and Recht 2008, with ReLU).

    Args:
        scaled: ``[B, d']``.
        units: how many features, the constant among them.
        seed: of directions and kinks.
    """
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((scaled.shape[1], units - 1))
    directions /= np.maximum(np.linalg.norm(directions, axis=0), 1e-12)
    kinks = rng.standard_normal(units - 1)
    result = np.empty((len(scaled), units), np.float32)
    result[:, 0] = 1
    for start in range(0, len(scaled), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        result[rows, 1:] = np.maximum(scaled[rows] @ directions - kinks, 0)
    return result
