"""What a tuning job's choice comes to, in words: which candidate is promoted, or why none, and what would decide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from statistics import NormalDist
from typing import Any

from batchrl.contract.interval import Interval, in_digits
from launcher.base.units import LEAST_DECIMALS
from launcher.reporting.canary import POWER, episodes_needed
from launcher.reporting.words import plain

KEEP = "Keep what you have"
# Gains to plan a canary for where the log tells none, in standard deviations of the logged returns.
PART_OF_DEVIATION = 0.2


def would_decide(choice: Mapping[str, Any]) -> list[str]:
    """What data would decide whether the pick is better, in sentences; none where it was promoted.

    Args:
        choice: what ``choose.py`` wrote.
    """
    return [] if choice["promoted"] else list(_would_decide(choice))


def verdict(choice: Mapping[str, Any]) -> list[str]:
    """The pick beside the logging policy, and what is to be done, in sentences.

    Args:
        choice: what ``choose.py`` wrote.
    """
    lines = []
    look = choice["look"]
    if choice["pick"] is not None:
        lines.append(f"Pick: {choice['pick']}")
    if look is not None:
        gain, logged = look["difference"], plain(look["logged_return"]["value"])
        where = f"on {look['episodes']} episodes that no training and no ranking saw"
        if gain["value"] is None:
            lines.append(f"What it gains over the logging policy's {logged} cannot be estimated {where}.")
        else:
            shown = in_digits(gain["value"], Interval.of(gain), LEAST_DECIMALS, "+")
            sure = f"each end with {look['confidence']:.4g} confidence"
            lines.append(f"It gains {shown} over the logging policy's {logged}, {where}; {sure}.")
        if choice["betting_bound"] is not None:
            lines.append(f"By bets, which no heavy weight misleads, it gains at least {choice['betting_bound']:+.3g}.")
    lines.append(f"Promote {choice['promoted']}." if choice["promoted"] else f"{KEEP}.")
    return [*lines, choice["reason"]]


def _would_decide(choice: Mapping[str, Any]) -> Iterator[str]:
    look, episodes, alpha = choice["look"], choice["episodes"], choice["alpha"]
    if choice["pick"] is None:
        yield "A ranking needs methods that fit this log: more episodes, or states that say what matters."
        return
    gain, begin = None, "A canary would decide"
    if look is not None and not look["doubt"]:
        gain, error = look["difference"]["value"], look["difference"]["standard_error"]
        if gain is not None and error and gain > 0:
            normal = NormalDist()
            z = normal.inv_cdf(1 - look["alpha"]) + normal.inv_cdf(POWER)
            unseen = math.ceil(look["episodes"] * (z * error / gain) ** 2)
            whole = math.ceil(unseen * episodes["all"] / episodes["unseen"])
            if unseen > look["episodes"]:
                begin = "Or a canary"
                yield (
                    f"If the gain is what it seems, {plain(unseen)} unseen episodes of the logging policy would "
                    f"show it ({POWER:.0%} power): {plain(whole)} in all at the same share of the test."
                )
    deviation = choice["logged"]["deviation"]
    if not deviation:
        return
    if gain is None or gain <= 0:
        gain = PART_OF_DEVIATION * deviation
    needed = episodes_needed(gain, deviation, alpha)
    yield (
        f"{begin}: {plain(needed)} episodes of the pick and as many of the logging policy show a gain of "
        f"{plain(gain)} with {POWER:.0%} power."
    )
