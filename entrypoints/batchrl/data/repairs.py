"""Repairs of rows, where the section ``data`` asks for them (``data.repair``): see ``doubts`` for what they repair."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from batchrl.data.doubts import spelled_alike
from batchrl.data.layout import Layout
from batchrl.data.rows import Rows
from batchrl.data.storage import taken


def with_one_spelling(rows: Rows) -> Rows:
    """Ids that differ by spaces or by ``.0`` alone are one."""
    alike = spelled_alike(rows.episode_ids)
    if not alike:
        return rows
    numbers: dict[str, int] = {}
    codes = [numbers.setdefault(alike.get(text, text), len(numbers)) for text in rows.episode_ids]
    return replace(rows, episode=np.array(codes, np.int64)[rows.episode], episode_ids=tuple(numbers))


def with_closing_rewards(rows: Rows, layout: Layout) -> Rows:
    """What a closing row pays is added to its episode's last step."""
    paid = np.nan_to_num(taken(rows.rewards, layout.closing))
    rewards = rows.storage.empty(rows.rewards.shape, rows.rewards.dtype)
    rewards[:] = rows.rewards
    rewards[layout.last_steps] += paid
    return replace(rows, rewards=rewards)
