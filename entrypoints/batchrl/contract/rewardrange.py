"""What a step can pay, as it is written: ``LOW:HIGH``."""

from __future__ import annotations

import math

from batchrl.contract.errors import InputError


def reward_range(text: str | None) -> tuple[float, float] | None:
    """The ends of ``--reward-range``; None where it was not given.

    Raises:
        InputError: it is no range.
    """
    if text is None:
        return None
    try:
        low, high = map(float, text.split(":"))
    except ValueError:
        low, high = math.nan, math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise InputError(f"--reward-range got '{text}'.", "Write the least and the greatest reward, as 0:1.")
    return low, high
