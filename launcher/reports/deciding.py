"""What data would decide whether the pick among candidates is better than the policy in use.

A canary compares the mean discounted return of ``n`` episodes of the candidate with that of ``n`` of the policy in
place. For a gain ``d``, returns with standard deviation ``s`` on both sides, a one-sided level ``alpha`` and power
``1 - beta``, the normal approximation asks for ``n = 2 (z_(1-alpha) + z_(1-beta))^2 s^2 / d^2`` a side (e.g. Lachin
1981). The error of a paired difference on logged episodes falls with the root of their number in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from statistics import NormalDist
from typing import Any

from batchrl.contract.evidence import LEAST_INFORMATIVE

ALPHA = 0.05
POWER = 0.8
# Gains to plan a canary for where the log tells none, in standard deviations of the logged returns.
PART_OF_DEVIATION = 0.2


def episodes_needed(gain: float, deviation: float, alpha: float = ALPHA, power: float = POWER) -> int:
    """Episodes of each side with which a canary shows a gain with that power.

    Args:
        gain: true difference of the means, above 0.
        deviation: standard deviation of a return, on both sides.
        alpha: one-sided level of the look.
        power: chance that the look finds the gain.
    """
    normal = NormalDist()
    z = normal.inv_cdf(1 - alpha) + normal.inv_cdf(power)
    return max(LEAST_INFORMATIVE, math.ceil(2 * (z * deviation / gain) ** 2))


def would_decide(choice: Mapping[str, Any]) -> list[str]:
    """What data would decide whether the pick is better, in sentences; none where it was promoted.

    Args:
        choice: what ``choose.py`` wrote.
    """
    return [] if choice["promoted"] else list(_would_decide(choice))


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
                    f"If the gain is what it seems, {unseen:,} unseen episodes of the logging policy would "
                    f"show it ({POWER:.0%} power): {whole:,} in all at the same share of the test."
                )
    deviation = choice["logged"]["deviation"]
    if not deviation:
        return
    if gain is None or gain <= 0:
        gain = PART_OF_DEVIATION * deviation
    needed = episodes_needed(gain, deviation, alpha)
    yield (
        f"{begin}: {needed:,} episodes of the pick and as many of the logging policy show a gain of "
        f"{gain:.4g} with {POWER:.0%} power."
    )
