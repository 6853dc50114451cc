"""The section about a canary: how many episodes of its own the policy would have to play to prove a gain.

``launcher.reports.deciding`` has the formula. The spread of the returns is the logging policy's, from the log; the
candidate's own is not known before it has played.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from batchrl.contract.evidence import LEAST_INFORMATIVE
from launcher.documents.model import Block, Column, Fact, Facts, Paragraph, Section, Table
from launcher.reporting.estimate import is_gain_in_return
from launcher.reporting.files import Json, TrainingFiles
from launcher.reporting.words import plain, with_error
from launcher.reports.deciding import ALPHA, POWER, episodes_needed

# Gains to plan for, in parts of the logged mean.
PARTS = (0.05, 0.1, 0.2, 0.5)
# Share of the traffic that a canary is given where its days are told.
TRAFFIC = 0.1
SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True)
class Spread:
    """Discounted returns of the log: mean, standard error of the mean, standard deviation, and of how many."""

    mean: float
    error: float
    deviation: float
    episodes: int


def spread_of(files: TrainingFiles) -> Spread | None:
    """The spread of the logged returns, as the estimates discount them; None where it is not known or there is none."""
    if (data := files.data) is not None and data["discounted_returns"] is not None:
        found, episodes = data["discounted_returns"], data["episodes"]
        mean, error = found["mean"], found["standard_error"]
    elif files.summary is not None:
        found, episodes = files.summary["estimates"]["logged_return"], files.summary["estimates"]["episodes"]
        mean, error = found["value"], found["standard_error"]
    else:
        return None
    if not error or mean is None:
        return None
    return Spread(mean, error, error * math.sqrt(episodes), episodes)


def canary_section(files: TrainingFiles) -> Section:
    """How many episodes, for which gain, and what that rests on."""
    return Section("canary", "What a canary would need", tuple(_canary(files)))


def _canary(files: TrainingFiles) -> Iterator[Block]:
    unit = files.unit
    yield Paragraph(
        f"A canary lets the policy decide in a few {unit} of its own, at random, and compares their mean "
        f"{files.outcome} with that of {unit} of the policy in place. It needs no assumption about the log; it "
        f"needs {unit}."
    )
    if (spread := spread_of(files)) is None:
        yield Paragraph(
            "How many cannot be told from this job: the spread of the logged returns is not known, or they do not vary."
        )
        return
    gains = list(_gains(files, spread))
    yield Facts(
        (
            Fact(
                f"Spread of a {'reward' if files.of_decisions else 'return'}",
                plain(spread.deviation),
                f"standard deviation of {spread.episodes:,} logged {unit}, whose mean is "
                f"{with_error(spread.mean, spread.error)}, as the estimates discount them",
            ),
        )
    )
    rate = _rate(files)
    rows = []
    for label, gain in gains:
        needed = episodes_needed(gain, spread.deviation)
        days = "" if rate is None else f"{needed / (TRAFFIC * rate):,.1f}"
        rows.append((label, f"+{plain(gain)}", f"{needed:,}", *((days,) if rate is not None else ())))
    heads = [
        Column("If the true gain is"),
        Column("Gain", right=True),
        Column(f"{unit.capitalize()} a side", right=True),
    ]
    if rate is not None:
        heads.append(Column(f"Days at {TRAFFIC:.0%} of the traffic", right=True))
    yield Table(
        f"{unit.capitalize()} for {POWER:.0%} power at a one-sided level of {ALPHA:.0%}",
        tuple(heads),
        tuple(rows),
        "Normal approximation, as many of either side, returns of the candidate spread as the logged ones: if its own "
        "spread is twice that, so many times two and a half are needed. These are orders of size, not promises."
        + (
            f" Days: at the log's own rate of {rate:,.1f} {unit} a day, if the world goes on at it."
            if rate is not None
            else ""
        ),
    )
    yield Paragraph(
        "What decides is the gate of 'batchrl iterate', with 'gate.undecided: canary': it promotes only where the "
        "lower bound of the difference is above 0, by the wider of two intervals, at a level divided by the number of "
        f"looks; and it doubts a canary in which fewer than {LEAST_INFORMATIVE} returns of a side differ from the "
        "most common one. It asks for somewhat more than the figures above."
    )


def _gains(files: TrainingFiles, spread: Spread) -> Iterator[tuple[str, float]]:
    score: Json | None = files.score
    if score is not None and is_gain_in_return(files):
        for label, gain in (("the estimate", score["value"]), ("the lower end of its interval", score["lower"])):
            if gain is not None and gain > 0:
                yield label, gain
    if abs(spread.mean) > spread.error:
        yield from ((f"{part:.0%} of the logged mean", part * abs(spread.mean)) for part in PARTS)
    else:  # the mean may be 0: parts of it say nothing
        yield from ((f"{part:g} standard deviations", part * spread.deviation) for part in PARTS)


def _rate(files: TrainingFiles) -> float | None:
    """Logged episodes a day; None where the log does not say, or spans less than a day."""
    recorded = None if files.data is None else files.data["recorded"]
    if recorded is None or files.data is None:
        return None
    first, last = (datetime.fromisoformat(recorded[end]) for end in ("first", "last"))
    days = (last - first).total_seconds() / SECONDS_A_DAY
    return float(files.data["episodes"]) / days if days >= 1 else None
