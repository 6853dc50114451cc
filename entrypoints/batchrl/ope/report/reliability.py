"""In words: what speaks against relying on a figure."""

from __future__ import annotations

from batchrl.contract import estimators as names
from batchrl.contract.evidence import Evidence, doubt_of_carrying
from batchrl.contract.interval import with_interval
from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.information import differing, effective_number
from batchrl.ope.estimators.weights import WeightDiagnostics, scaled_weights
from batchrl.ope.report.words import OF_EPISODES, Words

# They rest on a value function alone.
UNCORRECTED = (names.DM_VALUE, names.FQE)


def evidence_of(
    weights: WeightDiagnostics, log_weights: Floats64, returns: Floats64, words: Words = OF_EPISODES
) -> Evidence:
    """What a policy's figures are judged by, whatever the estimator.

    Args:
        weights: of the trajectories.
        log_weights: ``[n]``, the same one by one.
        returns: ``[n]``, of the episodes.
        words: for what the log is made of.
    """
    informative = differing(returns)
    return Evidence(
        episodes=weights.n_episodes,
        effective=weights.effective_episodes,
        largest=weights.max_normalised_weight,
        tail=weights.tail_shape,
        informative=effective_number(scaled_weights(log_weights)[informative]),
        logged_informative=int(informative.sum()),
        unit=words.episode,
        outcome=words.outcome,
    )


def doubt_of_policy(
    weights: WeightDiagnostics, evidence: Evidence, clipped: bool = False, of_log: str | None = None
) -> str | None:
    """Why nothing that is weighted by trajectories should be relied on; None where nothing speaks against it.

    Args:
        weights: of the trajectories.
        evidence: of the policy, see ``evidence_of``.
        clipped: whether ratios were cut.
        of_log: what the log lacks or gets wrong for it: support, or a right model of the logging policy.
    """
    if of_log is not None:
        return of_log
    if evidence.doubt_of_weights is not None:
        return evidence.doubt_of_weights
    if not weights.averages_to_one:
        shown = with_interval(weights.mean_weight, weights.mean_weight_interval.interval, ".2f")
        cause = f"the log lacks {evidence.unit}s that matter to the policy, or its action probabilities are wrong"
        return f"the mean weight is {shown} and not 1: {'ratios were clipped' if clipped else cause}"
    return evidence.doubt_of_rewards


def doubt_of_figure(name: str, of_policy: str | None) -> str | None:
    """Why one figure should not be relied on as the value of its policy.

    Args:
        name: of the estimator (``batchrl.contract.estimators``).
        of_policy: what speaks against the policy's figures.
    """
    if name in names.ONE_STEP:
        return "the reward of one step: it says nothing about what follows from it"
    if name in UNCORRECTED:
        return "rests on a value function alone, which nothing in the log corrects"
    if name == names.MAGIC and of_policy is None:
        return "its interval takes its mixture of estimates as given, and leans to values that may be wrong"
    return of_policy


def doubt_of_interval(carrying: float, undefined: bool, words: Words = OF_EPISODES) -> str | None:
    """Why the interval of a figure may be wrong where nothing else speaks against it.

    Args:
        carrying: effective episodes that its error is known from (``information.carrying_episodes``).
        undefined: whether more resamples leave it undefined than should lie beyond an end of the interval.
        words: for what the log is made of.
    """
    if undefined:
        return "so many resamples leave it undefined that the ends of its interval are not known"
    return doubt_of_carrying(carrying, words.episode)
