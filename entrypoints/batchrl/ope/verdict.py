"""What may be said of a policy against the baseline, and in which words."""

from __future__ import annotations

import math

from batchrl.contract import estimators as names
from batchrl.ope.report import Figure, PolicyReport, Verdict

# The estimate that speaks for a policy is the first of these that can be compared with the baseline.
PREFERRED = (names.WDR, names.PDWIS, names.WIS, names.SDR, names.PDIS, names.IS)


def decide(report: PolicyReport, baseline: str) -> Verdict:
    """What the log says of a policy against the baseline, which is named in words."""
    name = headline(report)
    if name is None:
        return Verdict("unreliable", None, f"The log cannot tell: {report.doubt or 'no estimate is defined'}.")
    figure = report.figures[name]
    difference = figure.difference
    if figure.doubt is not None:
        return Verdict("unreliable", name, f"The log cannot tell: {figure.doubt}.")
    if difference is None or not math.isfinite(difference.lower):
        return Verdict("unresolved", name, f"Nothing is said against {baseline}: there is no interval.")
    shown = f"{difference.value:+.3g} [{difference.lower:.3g}, {difference.upper:.3g}]"
    if difference.lower > 0:
        return Verdict("better", name, f"Better than {baseline}: {shown}.")
    if difference.upper < 0:
        return Verdict("worse", name, f"Worse than {baseline}: {shown}.")
    return Verdict("unresolved", name, f"No evidence of a difference to {baseline}: {shown}.")


def rank(policy: PolicyReport) -> tuple[int, float]:
    """Sorts policies: those that may be relied on first, then by their difference to the baseline."""
    verdict = policy.verdict
    unreliable = int(verdict is None or verdict.outcome == "unreliable")
    figure = policy.figures.get(verdict.estimate or "") if verdict is not None else None
    above = figure.difference.value if figure is not None and figure.difference is not None else 0.0
    return unreliable, -above if math.isfinite(above) else 0.0


def headline(report: PolicyReport) -> str | None:
    """Name of the estimate that speaks for a policy."""
    return next((name for name in PREFERRED if _comparable(report.figures.get(name))), None)


def _comparable(figure: Figure | None) -> bool:
    return figure is not None and figure.difference is not None and math.isfinite(figure.value)
