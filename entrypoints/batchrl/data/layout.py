"""Where the steps of each episode lie among the rows of the files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from batchrl.data.dataset import Flags, Floats64, Integers
from batchrl.data.findings import NOWHERE, Finding, refuse_all
from batchrl.data.rows import Rows
from batchrl.data.storage import chunks


@dataclass(frozen=True)
class Episodes:
    """The rows of every episode.

    Args:
        counts: ``[e]``, rows of each episode.
        starts: ``[e]``, positions of their first rows in the order of the episodes.
        order: ``[M]``, the row at each such position, less those left out; None where the files already have that
            order.
    """

    counts: Integers
    starts: Integers
    order: Integers | None

    @classmethod
    def of(cls, episode: Integers, times: Floats64 | None = None) -> Episodes:
        """The rows of each episode, sorted by time where there is one; rows of one time stay in their order.

        Args:
            episode: ``[M]``, the episode of each row, numbered by first appearance.
            times: ``[M]``; ``nan`` comes last.
        """
        counts = np.bincount(episode).astype(np.int64)
        if times is not None:
            by_time = np.lexsort((times, episode)).astype(np.int64)
            in_place = np.array_equal(by_time, np.arange(len(by_time)))
            return cls(counts, np.cumsum(counts) - counts, None if in_place else by_time)
        sorted_already = all(
            np.all(np.diff(episode[max(start - 1, 0) : stop]) >= 0) for start, stop in chunks(len(episode))
        )
        order = None if sorted_already else np.argsort(episode, kind="stable").astype(np.int64)
        return cls(counts, np.cumsum(counts) - counts, order)

    def without(self, rows: Integers) -> Episodes:
        """Less some rows."""
        order = np.arange(self.n_rows) if self.order is None else self.order
        stay = ~np.isin(order, rows)
        episode = np.repeat(np.arange(len(self.counts)), self.counts)[stay]
        counts = np.bincount(episode, minlength=len(self.counts)).astype(np.int64)
        return Episodes(counts, np.cumsum(counts) - counts, order[stay])

    def rows(self, positions: Integers) -> Integers:
        """The rows at some positions."""
        return positions if self.order is None else self.order[positions]

    @property
    def n_rows(self) -> int:
        """Rows of all episodes."""
        return int(self.counts.sum())

    @property
    def lasts(self) -> Integers:
        """``[e]``, the last row of each episode."""
        return self.rows(self.starts + self.counts - 1)


@dataclass(frozen=True)
class Layout:
    """Where the N steps of the n kept episodes lie.

    Args:
        episodes: all of them.
        kept: ``[n]``, which are kept.
        drop_last: whether the last row of each is no step.
        offsets: ``[n + 1]``, the first step of each kept episode, and N.
    """

    episodes: Episodes
    kept: Integers
    drop_last: bool
    offsets: Integers

    @classmethod
    def of(cls, rows: Rows, episodes: Episodes, drop_last: bool, max_transitions: int | None) -> Layout:
        """Keep the episodes that have a step, and the first ones of at most ``max_transitions`` steps.

        Raises:
            InputError: none is left; names what is wrong with the rows as well.
        """
        lengths = episodes.counts - 1 if drop_last else episodes.counts
        keep = lengths > 0
        if max_transitions is not None:
            keep &= np.cumsum(lengths) <= max_transitions
        kept = np.flatnonzero(keep)
        if not len(kept):
            none = (
                "no episode has a step" if max_transitions is None else f"no episode fits into {max_transitions} steps"
            )
            advice = "Log more data, or raise data.max_transitions."
            refuse_all([*rows.findings, Finding(none, advice, NOWHERE)], rows.places)
        offsets = np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64)
        return cls(episodes, kept, drop_last, offsets)

    def only(self, which: Flags) -> Layout:
        """That of some of the kept episodes ``[n]``."""
        lengths = np.diff(self.offsets)[which]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return replace(self, kept=self.kept[which], offsets=offsets)

    @property
    def n_steps(self) -> int:
        """Number of decisions."""
        return int(self.offsets[-1])

    @property
    def as_in_files(self) -> bool:
        """Whether step i is row i."""
        in_place = np.array_equal(self.episodes.starts[self.kept], self.offsets[:-1])
        return self.episodes.order is None and in_place

    @property
    def first_steps(self) -> Integers:
        """``[n]``, the row of the first step of each episode."""
        return self.episodes.rows(self.episodes.starts[self.kept])

    @property
    def last_steps(self) -> Integers:
        """``[n]``, the row of the last step of each episode."""
        return self.episodes.rows(self.episodes.starts[self.kept] + np.diff(self.offsets) - 1)

    @property
    def closing(self) -> Integers:
        """``[n]``, the last row of each episode: the terminal observation, or the last step."""
        return self.episodes.lasts[self.kept]

    def positions(self, start: int, stop: int) -> Integers:
        """``[stop - start]``, positions of steps in the order of the episodes."""
        first = int(np.searchsorted(self.offsets, start, side="right")) - 1
        last = int(np.searchsorted(self.offsets, stop, side="left"))
        bounds = np.clip(self.offsets[first : last + 1], start, stop)
        shift = self.episodes.starts[self.kept[first:last]] - self.offsets[first:last]
        return np.arange(start, stop) + np.repeat(shift, np.diff(bounds))

    def chunks(self) -> Iterator[Chunk]:
        """All steps, in pieces."""
        as_in_files = self.as_in_files
        for start, stop in chunks(self.n_steps):
            positions = self.positions(start, stop)
            rows = slice(start, stop) if as_in_files else self.episodes.rows(positions)
            first, last = np.searchsorted(self.offsets, (start + 1, stop + 1)) - 1
            is_end = np.zeros(stop - start, np.bool_)
            is_end[self.offsets[first + 1 : last + 1] - 1 - start] = True
            yield Chunk(start, stop, rows, positions, is_end)


@dataclass(frozen=True)
class Chunk:
    """Some consecutive steps.

    Args:
        start: the first.
        stop: the first that is not among them.
        rows: where they lie in the files.
        positions: ``[m]``, where they lie in the order of the episodes.
        is_end: ``[m]``, whether a step is its episode's last.
    """

    start: int
    stop: int
    rows: Integers | slice
    positions: Integers
    is_end: Flags

    @property
    def numbers(self) -> Integers:
        """``[m]``, the rows of the files by number."""
        return np.arange(self.start, self.stop) if isinstance(self.rows, slice) else self.rows
