"""What is odd about the order and the identity of rows, told before a figure rests on it.

===================  =======  =====================================================================  ===========
doubt                is       when                                                                   repair
===================  =======  =====================================================================  ===========
next_states          error    the next state of a row is not the state of its episode's next row
id_spellings         error    ids differ by spaces or by .0 alone: " u1" and "u1", "1" and "1.0"     one id
duplicates           error    rows are exact copies of one before in their episode, where states do  dropped
                              not repeat otherwise
closing_rewards      error    rows that close an episode without an action carry a reward            added
reused_ids           warning  runs of rows of an id come back after those of other ids, and no time
                              sorts them
missing_ids          warning  an id is a word for a missing value: "NA", "null"
no_rewards           warning  every reward is 0
equal_returns        warning  all episodes return the same
huge_rewards         warning  a reward is beyond HUGE_REWARD
unlike_loggers       warning  loggers that are balanced met other states (``balancing``)
===================  =======  =====================================================================  ===========

``data.repair`` names those that are to be repaired (``repairs``); ``data.accept`` those that are meant: an error that
is accepted is a warning, a warning that is accepted is not shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from batchrl.contract import columns
from batchrl.contract.errors import shortened
from batchrl.contract.text import NULLS
from batchrl.data.copies import copies_of
from batchrl.data.dataset import Integers
from batchrl.data.findings import NOWHERE, Known
from batchrl.data.layout import Layout
from batchrl.data.rows import Rows
from batchrl.data.storage import CHUNK_ROWS, taken

# Next states that are off by more of a feature's standard deviation contradict; less may be rounding.
SAME_STATE = 1e-3
HUGE_REWARD = 1e6
LEAST_EPISODES = 2
NAMED = 3
_WHOLE = re.compile(r"([+-]?\d+)\.0*")


@dataclass(frozen=True)
class Doubt:
    """One kind of oddity.

    Args:
        kind: its name, as ``data.accept`` and ``data.repair`` have it.
        wrong: whether figures would be wrong; otherwise it may be meant.
        problem: what is odd, with counts.
        advice: what it may be, and what settles it.
        rows: ``[m]``, the rows that are odd, in the order of the files; none where all are alike.
    """

    kind: str
    wrong: bool
    problem: str
    advice: str
    rows: Integers


def doubts_of(rows: Rows, layout: Layout, closes: bool) -> Iterator[Doubt]:
    """Everything that is odd.

    Rows of which a cell cannot be read are left out where they could be odd for that alone; where there are any, what
    may be meant is not looked for.

    Args:
        rows: all rows.
        layout: which of them are steps.
        closes: whether each episode's last row is no step but the state after it (schema A).
    """
    yield from _next_states(rows, layout)
    yield from _id_spellings(rows)
    yield from _duplicates(rows, layout)
    if closes and not Known(rows.findings).everywhere(columns.ACTION):
        yield from _closing_rewards(rows, layout)
    if not rows.findings:
        yield from _reused_ids(rows)
        yield from _missing_ids(rows)
        yield from _rewards(rows, layout)


def _settled(kind: str, repaired: str | None = None) -> str:
    """What is to be set."""
    repair = f"; data.repair=[{kind}] {repaired}" if repaired else ""
    return f"If it is meant, set data.accept=[{kind}]{repair}."


def _next_states(rows: Rows, layout: Layout) -> Iterator[Doubt]:
    if rows.next_states is None:
        return
    wrong, compared = [], 0
    first = rows.states[:CHUNK_ROWS]
    first = first[np.isfinite(first).all(axis=1)]
    spread = first.std(axis=0, dtype=np.float64) if len(first) else 0.0
    for chunk in layout.chunks():
        inner = np.flatnonzero(~chunk.is_end)
        here, after = chunk.numbers[inner], layout.episodes.rows(chunk.positions[inner] + 1)
        given, following = taken(rows.next_states, here), taken(rows.states, after)
        both = np.isfinite(given).all(axis=1) & np.isfinite(following).all(axis=1)
        with np.errstate(invalid="ignore"):
            off = (np.abs(given.astype(np.float64) - following) > SAME_STATE * spread + 1e-6 * np.abs(following)).any(1)
        wrong.append(here[both & off])
        compared += int(both.sum())
    found = np.concatenate(wrong) if wrong else NOWHERE
    found = np.setdiff1d(found, Known(rows.findings).rows(*rows.state_columns, *rows.next_state_columns))
    if rows.unsettled is not None:
        found = found[~rows.unsettled[found]]
    if len(found):
        yield Doubt(
            "next_states",
            True,
            f"the next state of {len(found):,} of {compared:,} rows is not the state of their episode's next row",
            "The rows of an episode stand in another order than they happened, or rows are missing between them: sort "
            f"them by time. {_settled('next_states')}",
            found,
        )


def spelled_alike(ids: Sequence[str]) -> dict[str, str]:
    """The ids that differ by spaces or by ``.0`` from another one, each with how they would all be spelled."""
    plain = {text: _plain(text) for text in ids if text != text.strip() or _WHOLE.fullmatch(text)}
    if not plain:
        return {}
    counts: dict[str, int] = {}
    for text in ids:
        spelled = plain.get(text, text)
        counts[spelled] = counts.get(spelled, 0) + 1
    return {text: spelled for text, spelled in plain.items() if counts[spelled] > 1}


def _plain(text: str) -> str:
    found = _WHOLE.fullmatch(text.strip())
    return found[1] if found else text.strip()


def _id_spellings(rows: Rows) -> Iterator[Doubt]:
    alike = spelled_alike(rows.episode_ids)
    if not alike:
        return
    odd = np.array([text in alike for text in rows.episode_ids])
    pairs = [f"'{shortened(text, 40)}' and '{shortened(spelled, 40)}'" for text, spelled in list(alike.items())[:NAMED]]
    found = np.flatnonzero(odd[rows.episode])
    yield Doubt(
        "id_spellings",
        True,
        f"{len(alike):,} ids differ from others by spaces or by '.0' alone, in {len(found):,} rows: {', '.join(pairs)}",
        f"Each is an episode of its own. {_settled('id_spellings', 'makes them one')}",
        found,
    )


def _duplicates(rows: Rows, layout: Layout) -> Iterator[Doubt]:
    copies = copies_of(rows, layout)
    # Cells that cannot be read are all alike to a program.
    found = np.setdiff1d(copies.rows, Known(rows.findings).all_rows)
    if len(found) and not copies.natural:
        yield Doubt(
            "duplicates",
            True,
            f"{len(found):,} of {layout.n_steps:,} rows are exact copies of one before in their episode",
            "They were probably logged twice, and their rewards would count twice. "
            + _settled("duplicates", "drops the copies"),
            found,
        )


def _closing_rewards(rows: Rows, layout: Layout) -> Iterator[Doubt]:
    rewards = taken(rows.rewards, layout.closing)
    paid = np.isfinite(rewards) & (rewards != 0)
    paid &= ~np.isin(layout.closing, Known(rows.findings).all_rows)
    if rows.unsettled is not None:
        paid &= ~rows.unsettled[layout.closing]
    if paid.any():
        yield Doubt(
            "closing_rewards",
            True,
            f"{int(paid.sum()):,} rows without an action, which close their episodes, carry rewards of "
            f"{float(rewards[paid].sum()):.6g} in all",
            "Only rewards of rows with an action are counted. If every reward stands one row late, move the column up "
            f"by a row. {_settled('closing_rewards', 'adds each to the last step of its episode')}",
            np.sort(layout.closing[paid]),
        )


def _reused_ids(rows: Rows) -> Iterator[Doubt]:
    begins = np.flatnonzero(np.concatenate([[True], np.diff(rows.episode) != 0]))
    if rows.times is not None or len(begins) == len(rows.episode_ids):
        return
    episodes = taken(rows.episode, begins)
    again = np.ones(len(begins), np.bool_)
    again[np.unique(episodes, return_index=True)[1]] = False
    count = len(np.unique(episodes[again]))
    yield Doubt(
        "reused_ids",
        False,
        f"{count:,} of {len(rows.episode_ids):,} ids come back after other ids, {int(again.sum()):,} times in all",
        "Rows of one id are taken as one episode, in the order in which they stand. That is right where episodes were "
        "logged side by side, and wrong where ids were used again, as by another day's log: data.episode_ids=per_run "
        f"makes each run of rows an episode of its own. {_settled('reused_ids')}",
        begins[again],
    )


def _missing_ids(rows: Rows) -> Iterator[Doubt]:
    words = [text for text in rows.episode_ids if text.strip() in NULLS]
    if words:
        found = np.flatnonzero(np.isin(rows.episode, [rows.episode_ids.index(word) for word in words]))
        yield Doubt(
            "missing_ids",
            False,
            f"{len(found):,} rows have the id '{words[0]}'",
            f"It is taken as the name of one episode, though programs write it where an id is missing. "
            f"{_settled('missing_ids')}",
            found,
        )


def _rewards(rows: Rows, layout: Layout) -> Iterator[Doubt]:
    lowest, highest, n = np.inf, -np.inf, len(layout.kept)
    returns = np.zeros(len(layout.episodes.counts))
    huge = []
    for chunk in layout.chunks():
        rewards = taken(rows.rewards, chunk.rows)
        lowest, highest = min(lowest, float(rewards.min())), max(highest, float(rewards.max()))
        returns += np.bincount(taken(rows.episode, chunk.rows), weights=rewards, minlength=len(returns))
        huge.append(chunk.numbers[np.abs(rewards) >= HUGE_REWARD])
    kept = returns[layout.kept]
    if lowest == highest == 0:
        advice = f"Nothing can be learnt from it: see that the right column is the reward. {_settled('no_rewards')}"
        yield Doubt("no_rewards", False, f"every reward of {layout.n_steps:,} rows is 0", advice, NOWHERE)
    elif n >= LEAST_EPISODES and kept.max() - kept.min() <= 1e-12 * np.abs(kept).max():
        yield Doubt(
            "equal_returns",
            False,
            f"all {n:,} episodes return {float(kept[0]):.6g}",
            "Nothing tells a good episode from a bad one, and intervals of the logged return have no width. "
            + _settled("equal_returns"),
            NOWHERE,
        )
    found = np.sort(np.concatenate(huge)) if huge else NOWHERE
    if len(found):
        yield Doubt(
            "huge_rewards",
            False,
            f"{len(found):,} rewards are {HUGE_REWARD:,.0f} or more, up to {max(abs(lowest), abs(highest)):.3g}",
            "Networks learn them badly: take a larger unit, or set agent.value_scale to about their size. "
            + _settled("huge_rewards"),
            found,
        )
