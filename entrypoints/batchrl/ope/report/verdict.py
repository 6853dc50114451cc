"""What may be said of a policy against the baseline, and in which words."""

from __future__ import annotations

import math

from batchrl.contract import columns
from batchrl.contract import estimators as names
from batchrl.contract.interval import ROUNDING, with_interval
from batchrl.ope.estimators.bootstrap import Estimate
from batchrl.ope.report.estimand import ONE_STEP
from batchrl.ope.report.report import PolicyReport, Verdict

# The estimate that speaks for a policy is the first of these; rewards of one step of many do not speak for it.
PREFERRED = (
    *(names.WDR, names.SNDR, names.PDWIS, names.WIS, names.SNIPS),
    *(names.SDR, columns.DR, names.PDIS, names.IS, columns.IPS),
)


def decide(report: PolicyReport, baseline: str, doubt_of_baseline: str | None = None) -> Verdict:
    """What the log says of a policy against the baseline.

    Args:
        report: of the policy.
        baseline: in words.
        doubt_of_baseline: why the baseline's own figures are not to be relied on.
    """
    name = speaking(report)
    if name is None:
        return Verdict("unreliable", None, f"The log cannot tell: {report.doubt or 'no estimate is defined'}.")
    figure = report.figures[name]
    difference = figure.difference
    if (doubt := figure.doubt or figure.difference_doubt) is not None:
        return Verdict("unreliable", name, f"The log cannot tell: {doubt}.")
    if doubt_of_baseline is not None:
        return Verdict("unreliable", name, f"The log cannot tell of {baseline}: {doubt_of_baseline}.")
    if difference is None or not math.isfinite(difference.lower):
        return Verdict("unresolved", name, f"Nothing is said against {baseline}: there is no interval.")
    if is_rounding(difference, figure.value):
        return Verdict("unresolved", name, f"No difference to {baseline}.")
    shown = with_interval(difference.value, difference.interval, "+.3g", ".3g")
    if difference.lower > 0:
        return Verdict("better", name, f"Better than {baseline}: {shown}.")
    if difference.upper < 0:
        return Verdict("worse", name, f"Worse than {baseline}: {shown}.")
    return Verdict("unresolved", name, f"No evidence of a difference to {baseline}: {shown}.")


def is_rounding(difference: Estimate, beside: float) -> bool:
    """Whether a difference with its interval is but the rounding of the value that it stands ``beside``."""
    return max(map(abs, (difference.value, difference.lower, difference.upper))) < ROUNDING * abs(beside)


def reference(report: PolicyReport) -> Verdict:
    """That of a policy which is the baseline of others."""
    doubt = f" They cannot be told apart from it: {report.doubt}." if report.doubt is not None else ""
    return Verdict("reference", speaking(report), f"The others are compared with this one.{doubt}")


def rank(report: PolicyReport) -> tuple[bool, float]:
    """Sorts policies: those that may be relied on first, then by their difference to the baseline."""
    figure = report.figures.get(speaking(report) or "")
    difference = figure.difference.value if figure is not None and figure.difference is not None else 0.0
    unreliable = figure is None or (figure.doubt or figure.difference_doubt) is not None
    return unreliable, -difference if math.isfinite(difference) else 0.0


def speaking(report: PolicyReport) -> str | None:
    """Name of the estimate that speaks for a policy: one with a difference to the baseline, where there is any."""
    figures = {name: one for name, one in report.figures.items() if one.estimand.horizon != ONE_STEP}
    defined = [name for name in PREFERRED if name in figures and math.isfinite(figures[name].value)]
    compared = [name for name in defined if report.figures[name].difference is not None]
    return next(iter(compared or defined), None)
