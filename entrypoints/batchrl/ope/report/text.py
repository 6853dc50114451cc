"""A report as people read it, 80 characters wide."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping

from batchrl.contract import columns
from batchrl.contract import estimators as names
from batchrl.contract.interval import UNDEFINED, in_digits, with_interval
from batchrl.ope.estimators.bootstrap import Estimate
from batchrl.ope.report import words
from batchrl.ope.report.report import Figure, OpeReport, PolicyReport
from batchrl.ope.report.verdict import is_rounding

WIDTH = 80
VALUE_WIDTH = 10
DIGITS = 4
# The names that tables and command lines use, in the order in which figures are shown.
SHORT_NAMES = {
    names.WDR: "WDR",
    names.SDR: "SDR",
    names.MAGIC: "MAGIC",
    names.PDWIS: "PDWIS",
    names.WIS: "WIS",
    names.PDIS: "PDIS",
    names.IS: "IS",
    names.FQE: "FQE",
    names.DM_VALUE: "DM",
    columns.IPS: "IPS-1",
    columns.DM: "DM-1",
    columns.DR: "DR-1",
}
# The same for a log of single decisions.
OF_DECISIONS = {
    names.SNDR: "SNDR",
    columns.DR: "DR",
    names.SWITCH_DR: "SWITCH",
    names.SHRUNK_DR: "DROS",
    names.SNIPS: "SNIPS",
    columns.IPS: "IPS",
    columns.DM: "DM",
    names.DM_VALUE: "OWN",
}
FIGURE = "  {name:<6}{value:>10}  {interval:<20}{bound:>9} {difference:<25} {rely:<3}"
BRIEF = "  {verdict:<11}{name:<6}{value:>10}  {interval:<20} {difference:<25}"
INTERVAL_WIDTH = 19  # of a column of 20, so that a space follows
DIFFERENCE_WIDTH = 25


def full_report(report: OpeReport) -> Iterator[str]:
    """Lines: the log, the logging policy, then each policy with all figures."""
    yield from _head(report)
    for policy in report.policies:
        yield ""
        yield from _wrapped(f"{policy.source}: {policy.policy}")
        yield from _wrapped(_weights(policy, report.words), "  ")
        yield FIGURE.format(
            name="",
            value="VALUE",
            interval=f"{report.settings['confidence']:.0%} INTERVAL",
            bound="AT LEAST",
            difference=_heading_of_difference(report),
            rely="RELY",
        ).rstrip()
        shorts = short_names(report)
        for name in sorted(policy.figures, key=list(shorts).index):
            yield _figure(shorts[name], policy.figures[name])
        yield from _wrapped(_tuned(policy, shorts), "  ")
        yield from _wrapped(_greatest(policy, shorts), "  ")
        yield from _words(policy)
    yield from _ranking(report)
    yield from _tail(report)


def brief_report(report: OpeReport) -> Iterator[str]:
    """Lines: the log, the logging policy, then each policy with the figure that speaks for it."""
    yield from _head(report)
    yield ""
    yield BRIEF.format(
        verdict="",
        name="",
        value="VALUE",
        interval=f"{report.settings['confidence']:.0%} INTERVAL",
        difference=_heading_of_difference(report),
    ).rstrip()
    for policy in report.policies:
        yield from _wrapped(f"{policy.source}: {policy.policy}")
        verdict = policy.verdict
        name = verdict.estimate if verdict is not None else None
        figure = policy.figures[name] if name is not None else None
        yield BRIEF.format(
            verdict=verdict.outcome if verdict is not None else UNDEFINED,
            name=UNDEFINED if name is None else short_names(report)[name],
            value=UNDEFINED if figure is None else value(figure.interval),
            interval=UNDEFINED if figure is None else interval(figure.interval),
            difference=UNDEFINED if figure is None else signed(figure.difference, figure.value),
        ).rstrip()
        yield from _wrapped(_weights(policy, report.words), "    ")
        yield from _words(policy, "    ")
    yield from _ranking(report)
    yield from _tail(report)


def short_names(report: OpeReport) -> dict[str, str]:
    """By estimator, in the order in which figures are shown."""
    return OF_DECISIONS if report.words is words.OF_DECISIONS else SHORT_NAMES


def number(figure: float, digits: int = DIGITS) -> str:
    """So many significant digits, or a dash for what is undefined."""
    return f"{figure:.{digits}g}" if math.isfinite(figure) else UNDEFINED


def value(estimate: Estimate) -> str:
    """``36``, with the digits that its interval leaves, or a dash."""
    decimals = _decimals(estimate)
    return number(estimate.value) if decimals is None else f"{estimate.value:z.{decimals}f}"


def interval(estimate: Estimate) -> str:
    """``[28, 46]``, with two digits of its width, fewer where that would be too long, or a dash."""
    if (decimals := _decimals(estimate)) is not None:
        return f"{estimate.interval:z.{decimals}f}"
    return _narrow(lambda digits: f"{estimate.interval:.{digits}g}", DIGITS, INTERVAL_WIDTH)


def _decimals(estimate: Estimate) -> int | None:
    """Digits after the point of a figure and its interval: as many as say something and fit; None where none do."""
    if not math.isfinite(estimate.value) or estimate.interval.ends is None:
        return None
    for decimals in range(estimate.interval.decimals(), -1, -1):
        shown = f"{estimate.value:z.{decimals}f}", f"{estimate.interval:z.{decimals}f}"
        if len(shown[0]) <= VALUE_WIDTH and len(shown[1]) <= INTERVAL_WIDTH:
            return decimals
    return None


def signed(difference: Estimate | None, beside: float = 0.0) -> str:
    """``+18 [8, 27]``, or a dash; 0 where it is but rounding of the value that it stands ``beside``."""
    if difference is None or not math.isfinite(difference.value):
        return UNDEFINED
    if is_rounding(difference, beside):
        return "0"
    if difference.interval.ends is not None:
        shown = in_digits(difference.value, difference.interval, sign="+")
        if len(shown) <= DIFFERENCE_WIDTH:
            return shown
    return _narrow(
        lambda digits: with_interval(difference.value, difference.interval, f"+.{digits}g", f".{digits}g"),
        DIGITS - 1,
        DIFFERENCE_WIDTH,
    )


def _narrow(text: Callable[[int], str], digits: int, width: int) -> str:
    """The text with as many digits as the width allows."""
    return next((shown for count in range(digits, 1, -1) if len(shown := text(count)) <= width), text(1))


def _head(report: OpeReport) -> Iterator[str]:
    data, scored, single = report.data, report.scored, report.words is words.OF_DECISIONS
    transitions = "" if single else f" {data['transitions']} transitions,"
    yield from _wrapped(
        f"{data['source']}: {data['episodes']} {report.words.episodes},{transitions} {data['actions']} actions"
    )
    yield from _wrapped(f"Scored on {scored['which']}: {scored['episodes']} of {data['episodes']}.")
    yield ""
    yield f"Logging policy   {value(report.logged)} {interval(report.logged)}"
    undiscounted = "" if single else f"; mean undiscounted return {number(report.mean_return)}"
    yield from _wrapped(f"{report.logged_estimand}{undiscounted}", "  ")


def _heading_of_difference(report: OpeReport) -> str:
    return "ABOVE LOGGED" if report.baseline == report.logged_estimand.policy else "ABOVE THE FIRST"


def _figure(name: str, figure: Figure) -> str:
    return FIGURE.format(
        name=name,
        value=value(figure.interval),
        interval=interval(figure.interval),
        bound=number(figure.bounds.lower) if figure.bounds.lower is not None else "",
        difference=signed(figure.difference, figure.value) if figure.difference is not None else "",
        rely="yes" if figure.doubt is None and math.isfinite(figure.value) else "no",
    ).rstrip()


def _greatest(policy: PolicyReport, shorts: Mapping[str, str]) -> str:
    """The upper bounds, which have no column."""
    bounds = [
        f"{number(figure.bounds.upper)} ({shorts[name]})"
        for name, figure in policy.figures.items()
        if figure.bounds.upper is not None
    ]
    return f"at most {' or '.join(bounds)}" if bounds else ""


def _tuned(policy: PolicyReport, shorts: Mapping[str, str]) -> str:
    """The parameters that were chosen from the data."""
    parts = []
    for name, figure in policy.figures.items():
        if (tuned := figure.tuned) is not None:
            what = f"{shorts[name]}: {tuned.parameter} {number(tuned.value)}"
            if math.isinf(tuned.value):
                parts.append(f"{shorts[name]}: weights as they are")
            elif tuned.value == 0:
                parts.append(f"{what}, the reward model alone")
            else:
                parts.append(f"{what}, {tuned.changed:.1%} of the weight taken away")
    return "; ".join(parts)


def _weights(policy: PolicyReport, called: words.Words) -> str:
    weights = policy.weights
    return (
        f"effective {weights.effective_episodes:.1f} of {weights.n_episodes} {called.episodes}, largest weight "
        f"{number(weights.max_normalised_weight)}, mean weight {number(weights.mean_weight)} "
        f"{interval(weights.mean_weight_interval)}".removesuffix(f" {UNDEFINED}")
    )


def _words(policy: PolicyReport, indent: str = "  ") -> Iterator[str]:
    if policy.verdict is not None:
        yield from _wrapped(policy.verdict.words, indent)
    if policy.window is not None and policy.doubt is not None:
        yield from _wrapped(
            f"{policy.window.estimand.policy}: {signed(policy.window.difference)} above the logging policy all along "
            f"(no value of the policy itself; {policy.window.effective_windows:.0f} effective windows).",
            indent,
        )


def _ranking(report: OpeReport) -> Iterator[str]:
    """The policies by fitted values: ranks of each method and of all together, and what is to be doubted."""
    ranking = report.ranking
    if ranking is None:
        return
    counted = [member for member in ranking.members if member.discarded is None]
    agreement = f", mean rank correlation {ranking.agreement:.2f}" if math.isfinite(ranking.agreement) else ""
    yield ""
    yield from _wrapped(
        f"Ranked by fitted values: {len(counted)} of {len(ranking.members)} methods count{agreement}"
        f"{'; doubtful, see below' if ranking.doubts else ''}."
    )
    if ranking.places:
        names = [member.name for member in counted]
        yield "  RANK" + "".join(f"{name.upper():>9}" for name in names) + "  POLICY"
        for place in ranking.places:
            ranks = "".join(f"{place.ranks[name]:>9g}" for name in names)
            yield from _wrapped(f"{place.rank:>4}{ranks}  {place.source}: {place.policy}", "  ")
    for doubt in ranking.doubts:
        yield from _wrapped(f"Doubtful: {doubt}", "  ")
    for member in ranking.members:
        if member.discarded is not None:
            yield from _wrapped(f"{member.name} ({member.words}) does not count: {member.discarded}.", "  ")
    for remark in ranking.remarks:
        yield from _wrapped(remark, "  ")


def _tail(report: OpeReport) -> Iterator[str]:
    yield ""
    shorts = short_names(report)
    horizons = {
        (figure.estimand.discount, figure.estimand.horizon): shorts[name]
        for policy in report.policies
        for name, figure in policy.figures.items()
        if figure.estimand.discount is not None
    }
    groups: dict[tuple[float | None, str], list[str]] = {}
    for policy in report.policies:
        for name in sorted(policy.figures, key=list(shorts).index):
            estimand = policy.figures[name].estimand
            group = groups.setdefault((estimand.discount, estimand.horizon), [])
            group += [] if shorts[name] in group else [shorts[name]]
    for (discount, horizon), members in groups.items():
        what = "expected reward of" if discount is None else f"expected return, discount {discount:g},"
        yield from _wrapped(f"{', '.join(members)}: {what} {horizon}.")
    if len(horizons) > 1:
        yield from _wrapped("Figures of different horizons are not comparable with each other.")
    undefined = max((figure.undefined for policy in report.policies for figure in policy.figures.values()), default=0)
    if undefined:
        yield from _wrapped(
            f"Up to {undefined} of {report.settings['resamples']} resamples leave a figure undefined: its interval is "
            "that of the others."
        )
    for remark in report.remarks:
        yield from _wrapped(remark)


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
