"""Thompson sampling as it was on average in the week of the log, as a policy for ``batchrl ope``.

It looked at nothing but the place on the page and what had been clicked before, and changed as clicks came in; at which
time it would have shown what to others is not published. Its average over the week is: the share of each item at each
place of its own log.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

LOG = Path(__file__).parent / "obd" / "bts.csv"
N_ITEMS = 34


class AverageThompson:
    """Shows each item as often as the log did at that place of the page, whoever looks."""

    def __init__(self) -> None:
        log = pd.read_csv(LOG, usecols=["position", "item_id"])
        counts = pd.crosstab(log.position, log.item_id).reindex(columns=range(N_ITEMS), fill_value=0)
        self._shares = counts.div(counts.sum(axis=1), axis=0)

    def action_probabilities(self, states: np.ndarray) -> np.ndarray:
        """Probabilities ``[B, 34]`` of states ``[B, 1]``, which are the places 1 to 3."""
        return self._shares.loc[states[:, 0].astype(int)].to_numpy()
