"""The list of jobs and endpoints, newest first, a page of it at a time: no more is read than is shown.

A page goes on after an entry, which its link names by time, kind and name: whatever was made or deleted meanwhile, no
entry comes twice. The API's lists are read page by page, from that second on, and merged by time.
"""

from __future__ import annotations

import heapq
import itertools
import re
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from batchrl.contract.errors import InputError
from launcher.api.constants import TRAINING
from launcher.jobs.handles import LISTINGS
from launcher.jobs.kinds import EVALUATION, api_kind, kind_in, looked_at, statuses_of
from launcher.jobs.listing import JobSummary
from launcher.jobs.training import Job
from launcher.reporting.lineage import channels
from launcher.session.session import Session

ROWS = 50
# Of training jobs, which the API does not tell apart by what they run, so many are looked at for one page.
LOOKED_AT = 500
# So many of the newest ones are asked for what they learnt from.
USERS_AMONG = 100
THREADS = 8
REMEMBERED = 20_000
_NAME = re.compile(r"[a-zA-Z0-9-]{1,63}")
_ORDER = {kind: number for number, kind in enumerate(LISTINGS)}


@dataclass(frozen=True)
class Place:
    """An entry of the list, after which it goes on."""

    at: datetime
    order: int
    name: str

    @classmethod
    def of(cls, entry: JobSummary) -> Place:
        """That of an entry."""
        return cls(entry.created_at, _ORDER[api_kind(entry.kind)], entry.name)

    @classmethod
    def read(cls, text: str | None) -> Place | None:
        """What ``str`` wrote; None for anything else."""
        try:
            seconds, order, name = (text or "").split("~")
            return cls(datetime.fromtimestamp(int(seconds) / 1e6, UTC), int(order), name)
        except (ValueError, OverflowError, OSError):
            return None

    def __str__(self) -> str:
        return f"{round(self.at.timestamp() * 1e6)}~{self.order}~{self.name}"

    def is_before(self, entry: JobSummary) -> bool:
        """Whether an entry comes after this one."""
        other = Place.of(entry)
        if (other.at, other.order) != (self.at, self.order):
            return (-other.at.timestamp(), other.order) > (-self.at.timestamp(), self.order)
        return other.name < self.name


@dataclass(frozen=True)
class Wanted:
    """What the list is asked for.

    Args:
        kind, status, name: filters; empty for none.
        after: where it goes on.
    """

    kind: str = ""
    status: str = ""
    name: str = ""
    after: Place | None = None


@dataclass(frozen=True)
class Listed:
    """A page of the list.

    Args:
        rows: its entries.
        older: where the next page goes on; None at the end.
        searched: whether it ends where it does because enough was looked at, and not because it is full.
    """

    rows: tuple[JobSummary, ...]
    older: Place | None
    searched: bool = False


@dataclass(frozen=True)
class Asked:
    """What a training job of the API was asked to do.

    Args:
        kind: ``training`` or ``evaluation``.
        data: S3 URLs of its channels but that of the code.
    """

    kind: str
    data: frozenset[str]


class Scripts:
    """What training jobs of the API were asked to do: each is looked at once, as it never changes."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, datetime], Asked] = {}
        self._lock = threading.Lock()

    def told(self, session: Session, entries: Iterable[JobSummary]) -> list[JobSummary]:
        """The entries with their kinds."""
        found = list(entries)
        missing = [one for one in found if one.kind == TRAINING and (one.name, one.created_at) not in self._known]
        if missing:
            with ThreadPoolExecutor(THREADS) as threads:
                answers = list(threads.map(lambda one: Job(one.name, session).find(), missing))
            with self._lock:
                if len(self._known) > REMEMBERED:
                    self._known.clear()
                for one, answer in zip(missing, answers, strict=True):
                    if answer is not None:
                        told = Asked(kind_in(answer), frozenset(channels(answer).values()))
                        self._known[(one.name, one.created_at)] = told
        return [one if (asked := self.asked(one)) is None else replace(one, kind=asked.kind) for one in found]

    def asked(self, entry: JobSummary) -> Asked | None:
        """What is known of an entry that was told; None where nothing is."""
        return self._known.get((entry.name, entry.created_at))


def users_of(session: Session, data: frozenset[str], scripts: Scripts) -> list[JobSummary]:
    """The training jobs with one of these data sets, among the newest ones.

    Args:
        session: the cloud.
        data: S3 URLs.
        scripts: what is known of jobs.

    Raises:
        Unreachable: the cloud does not answer.
    """
    entries = itertools.islice(LISTINGS[TRAINING].each(session, None, None), USERS_AMONG)
    told = scripts.told(session, entries)
    return [one for one in told if (asked := scripts.asked(one)) is not None and asked.data & data]


def read_list(session: Session, wanted: Wanted, scripts: Scripts) -> Listed:
    """One page of the list.

    Raises:
        InputError: a filter is none that the API takes.
        Unreachable: the cloud does not answer.
    """
    if wanted.name and not _NAME.fullmatch(wanted.name):
        raise InputError(
            "a name holds letters, digits and dashes, at most 63 of them.", "Give such a part of a name, or none."
        )
    by_script = wanted.kind in (TRAINING, EVALUATION)
    entries = _entries(session, wanted)
    if not by_script:
        rows = scripts.told(session, itertools.islice(entries, ROWS + 1))
        return Listed(tuple(rows[:ROWS]), Place.of(rows[ROWS - 1]) if len(rows) > ROWS else None)
    found: list[JobSummary] = []
    looked, last = 0, None
    while len(found) <= ROWS and looked < LOOKED_AT:
        several = scripts.told(session, itertools.islice(entries, ROWS))
        if not several:
            return Listed(tuple(found), None)
        found += [one for one in several if one.kind == wanted.kind]
        looked, last = looked + len(several), several[-1]
    if len(found) > ROWS:
        return Listed(tuple(found[:ROWS]), Place.of(found[ROWS - 1]))
    return Listed(tuple(found), Place.of(last) if last else None, searched=True)


def _entries(session: Session, wanted: Wanted) -> Iterator[JobSummary]:
    """All entries from a place on, by time; read as they are taken."""
    kinds = dict.fromkeys(map(api_kind, looked_at(wanted.kind or None, session.is_local)))
    after = wanted.after
    # The API's client sends whole seconds.
    before = None if after is None else after.at.replace(microsecond=0) + timedelta(seconds=1)
    streams = [
        LISTINGS[kind].each(session, wanted.status or None, wanted.name or None, before=before)
        for kind in kinds
        if wanted.status in ("", *statuses_of(kind))
    ]
    merged = heapq.merge(*streams, key=lambda one: (-one.created_at.timestamp(), _ORDER[one.kind]))
    return merged if after is None else (one for one in merged if after.is_before(one))
