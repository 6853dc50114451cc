"""Importance weights of trajectories, in log space, and how far they can be trusted.

Notation of all estimators: episodes i < n, steps t < T in a ``Grid``; ``log_ratios[i, t]`` is the log of
``rho_it = pi(a_it | s_it) / pi_b(a_it | s_it)``, 0 in the padding, so that an episode that has ended keeps its last
cumulative weight ``rho_i,0:t = prod_u<=t rho_iu`` in every later denominator. Without it, logs of episodes of different
lengths would bias every estimate that normalises step by step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from batchrl.contract.evidence import averages_to_one
from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.bootstrap import Estimate
from batchrl.ope.estimators.information import effective_number, tail_shape
from batchrl.ope.estimators.quotients import Quotients
from batchrl.ope.estimators.student import student_interval


def clipped(log_ratios: Floats64, most: float) -> Floats64:
    """Log ratios with ``rho_it`` at most ``most``: less variance for a bias of unknown size; never the default."""
    return np.minimum(log_ratios, math.log(most))


def trajectory_log_weights(log_ratios: Floats64) -> Floats64:
    """``[n]``, ``log w_i = sum_t log rho_it``; -inf where the policy never takes a logged action."""
    log_weights: Floats64 = log_ratios.sum(axis=1)
    return log_weights


@dataclass(frozen=True)
class CumulativeWeights:
    """``rho_i,0:t = scaled[i, t] * exp(log_peaks[t])``; the peaks cancel in every quotient.

    Args:
        scaled: ``[n, T]``, from 0 to 1; 1 at the heaviest episode of the step, unless all weights are 0.
        log_peaks: ``[T]``, logs of the heaviest weights; 0 where all weights are 0.
    """

    scaled: Floats64
    log_peaks: Floats64

    @classmethod
    def of(cls, log_ratios: Floats64) -> CumulativeWeights:
        """Cumulated importance weights of log ratios [episodes, steps]."""
        logs = np.cumsum(log_ratios, axis=1)
        peaks = logs.max(axis=0)
        peaks[np.isneginf(peaks)] = 0.0
        logs -= peaks
        return cls(np.exp(logs, out=logs), peaks)


@dataclass(frozen=True)
class WeightDiagnostics:
    """How far trajectory weights can be trusted.

    Args:
        n_episodes: n.
        effective_episodes: ``(sum w)^2 / sum w^2``, from 0 to n (Kish's effective sample size, ESS).
        max_normalised_weight: ``max w / sum w``; near 1, one episode decides.
        mean_weight: ``(1/n) sum w``; its expectation is 1, and a heavy weight that was never seen leaves it below.
        mean_weight_interval: the same with Student's interval.
        tail_shape: Pareto shape of the heaviest weights (``information.tail_shape``); ``nan`` where no tail is seen.
    """

    n_episodes: int
    effective_episodes: float
    max_normalised_weight: float
    mean_weight: float
    mean_weight_interval: Estimate
    tail_shape: float = float("nan")

    @classmethod
    def of(cls, log_weights: Floats64, confidence: float = 0.95) -> WeightDiagnostics:
        """Diagnostics of ``[n]`` log weights."""
        n = len(log_weights)
        scaled = scaled_weights(log_weights)
        total = scaled.sum()
        if total == 0:
            return cls(n, 0.0, float("nan"), 0.0, Estimate(0.0))
        with np.errstate(over="ignore"):
            mean = student_interval(Quotients.mean(np.exp(log_weights)), confidence)
            log_mean = np.log(total / n) + log_weights.max()
            return cls(
                n_episodes=n,
                effective_episodes=effective_number(scaled),
                max_normalised_weight=float(scaled.max() / total),
                mean_weight=float(np.exp(log_mean)),
                mean_weight_interval=mean,
                tail_shape=tail_shape(scaled),
            )

    @property
    def averages_to_one(self) -> bool:
        """See the function of that name."""
        return averages_to_one(self.mean_weight, self.mean_weight_interval.interval)


def scaled_weights(log_weights: Floats64) -> Floats64:
    """Weights divided by the largest one, which cancels in every quotient and cannot overflow."""
    largest = log_weights.max()
    return np.zeros_like(log_weights) if np.isneginf(largest) else np.exp(log_weights - largest)
