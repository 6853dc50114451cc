"""In words: what speaks against relying on a figure of a log of single decisions."""

from __future__ import annotations

from batchrl.contract import columns
from batchrl.contract import estimators as names
from batchrl.ope.report.report import Tuned


def doubt_of_decision_figure(name: str, of_weights: str | None, tuned: Tuned | None) -> str | None:
    """Why one figure should not be relied on as the expected reward of its policy.

    Args:
        name: of the estimator (``batchrl.contract.estimators.OF_DECISIONS``).
        of_weights: what speaks against the policy's weights.
        tuned: the figure's parameter, where it has one.
    """
    if name == columns.DM:
        return "rests on a reward model alone, which nothing in the log corrects"
    if name == names.DM_VALUE:
        return "rests on the policy's own values alone, which nothing in the log corrects"
    if of_weights is None and tuned is not None and tuned.changed > 0:
        return (
            f"smaller weights trade a bias for less variance ({tuned.changed:.1%} of the weight is taken away), "
            "and its interval does not contain that bias"
        )
    return of_weights
