"""In words: what speaks against relying on a figure."""

from __future__ import annotations

from batchrl.contract import estimators as names
from batchrl.contract.interval import with_interval
from batchrl.ope.estimators.weights import WeightDiagnostics, reliability

# They rest on a value function alone.
UNCORRECTED = (names.DM_VALUE, names.FQE)


def doubt_of_weights(weights: WeightDiagnostics, clipped: bool = False) -> str | None:
    """Why nothing that is weighted by trajectories should be relied on; None where nothing speaks against it.

    Args:
        weights: of the trajectories.
        clipped: whether ratios were cut.
    """
    few = reliability(weights, names.effective_floor(weights.n_episodes))
    if few is not None:
        return few
    if not weights.averages_to_one:
        shown = with_interval(weights.mean_weight, weights.mean_weight_interval.interval, ".2f")
        cause = "the log lacks episodes that matter to the policy, or its action probabilities are wrong"
        return f"the mean weight is {shown} and not 1: {'ratios were clipped' if clipped else cause}"
    return None


def doubt_of_figure(name: str, of_weights: str | None) -> str | None:
    """Why one figure should not be relied on as the value of its policy.

    Args:
        name: of the estimator (``batchrl.contract.estimators``).
        of_weights: what speaks against the policy's trajectory weights.
    """
    if name in names.ONE_STEP:
        return "the reward of one step: it says nothing about what follows from it"
    if name in UNCORRECTED:
        return "rests on a value function alone, which nothing in the log corrects"
    if name == names.MAGIC and of_weights is None:
        return "its interval takes its mixture of estimates as given, and leans to values that may be wrong"
    return of_weights
