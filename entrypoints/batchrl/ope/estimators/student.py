"""Student's t interval of an estimator, and the quantile of t that it needs."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.bootstrap import Estimate
from batchrl.ope.estimators.quotients import Quotients


def student_interval(quotients: Quotients, confidence: float, least_error: float = 0.0) -> Estimate:
    """``value +- t_{n-1} s / sqrt(n)`` with s the deviation of the influence of one episode.

    For a mean, the influence is the summand itself: the plain interval. For a quotient, it is that of the delta method,
    ``(numerator_i - quotient * denominator_i) / mean denominator``: an approximation for many effective episodes.

    Args:
        quotients: the estimator, of n episodes; no interval where n is 1 or the estimate is undefined.
        confidence: nominal coverage, e.g. 0.95.
        least_error: the standard error is never taken to be below it.
    """
    value = quotients.value
    if quotients.n_episodes < 2 or not math.isfinite(value):
        return Estimate(value)
    return interval_of_influence(value, influence(quotients), confidence, least_error)


def interval_of_influence(value: float, deviations: Floats64, confidence: float, least_error: float = 0.0) -> Estimate:
    """The same where the influence is known already, as that of a difference is: the difference of the influences.

    Args:
        value: the estimate.
        deviations: ``[n]``, see ``influence``.
        confidence, least_error: as in ``student_interval``.
    """
    n = len(deviations)
    if n < 2 or not math.isfinite(value):
        return Estimate(value)
    error = max(math.sqrt(float(deviations @ deviations) / (n - 1) / n), least_error)
    half = student_quantile((1 + confidence) / 2, n - 1) * error
    return Estimate(value, value - half, value + half, error)


def wider(first: Estimate, second: Estimate) -> Estimate:
    """The lower of two lower bounds, the upper of two upper ones; one that is undefined leaves the other undefined."""
    lower, upper = np.minimum(first.lower, second.lower), np.maximum(first.upper, second.upper)
    return Estimate(first.value, float(lower), float(upper), second.standard_error)


def influence(quotients: Quotients) -> Floats64:
    """``[n]``, how much one more episode like each would move the estimate, times n; the mean is 0."""
    result = np.zeros(quotients.n_episodes)
    for block in quotients.blocks:
        numerators, factors = block.numerators[:, used := block.factors != 0], block.factors[used]
        means = numerators.mean(axis=0)
        if block.denominators is None:
            result += (numerators - means) @ factors
        else:
            denominators = block.denominators[:, used]
            below = denominators.mean(axis=0)
            result += numerators @ (factors / below) - denominators @ (factors * means / below**2)
    return result


@lru_cache(maxsize=1024)
def student_quantile(probability: float, freedom: float) -> float:
    """The quantile of Student's t with ``freedom`` degrees of freedom, by bisection of its distribution function."""
    if probability < 0.5:
        return -student_quantile(1 - probability, freedom)
    low, high = 0.0, 1.0
    while _student_cdf(high, freedom) < probability:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _student_cdf(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def _student_cdf(quantile: float, freedom: float) -> float:
    """``P(t <= quantile)`` for a quantile that is not negative."""
    square = quantile * quantile
    return 1 - _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + square)) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function ``I_x(a, b)``."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1) / (a + b + 2):
        return math.exp(log_front) * _beta_fraction(a, b, x) / a
    return 1 - math.exp(log_front) * _beta_fraction(b, a, 1 - x) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function (Abramowitz & Stegun 26.5.8), by Lentz's method."""
    tiny = 1e-300
    upper, lower = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1), tiny)
    result = lower
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for coefficient in (even, odd):
            lower = 1 / _away_from_zero(1 + coefficient * lower, tiny)
            upper = _away_from_zero(1 + coefficient / upper, tiny)
            change = upper * lower
            result *= change
        if abs(change - 1) < 1e-15:
            break
    return result


def _away_from_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
