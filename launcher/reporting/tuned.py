"""What a tuning job's choice comes to, in words: the pick beside the logging policy, and what is to be done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchrl.contract.interval import Interval, in_digits
from launcher.base.units import LEAST_DECIMALS
from launcher.reporting.words import plain

KEEP = "Keep what you have"


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
