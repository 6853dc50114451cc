"""What is known about a job when somebody asks what became of it: values that the tables of this room decide on.

Times are seconds since 1970, durations seconds, sizes bytes. What nobody told is None or empty: on Amazon SageMaker
there are no events, a job of an older version has none either.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from launcher.local.events.processes import Process

_EXIT_CODE = re.compile(r"exit code:? (\d+)")
# What the exit code of a program that signal n ended is greater than.
SIGNAL_BASE = 128


class Source(Enum):
    """Where the facts come from."""

    EVENTS = "the job's event file"
    RECORD = "the job's record and the log of its shim: it has no event file"
    DESCRIBE = "what the API says of it: Amazon SageMaker keeps no events"


@dataclass(frozen=True)
class Phase:
    """A secondary status, from when to when; None while it lasts."""

    status: str
    began: float
    ended: float | None
    message: str = ""


@dataclass(frozen=True)
class Transfer:
    """An input that was downloaded, or a part of the results that was uploaded."""

    name: str
    files: int
    size: int
    seconds: float


@dataclass(frozen=True)
class Outage:
    """When requests to the store failed; ``ended`` is None where no answer came after that."""

    began: float
    ended: float | None
    error: str


@dataclass(frozen=True)
class Ending:
    """How a program ended, and by what memory it was accompanied."""

    at: float
    exit_code: int
    seconds: float
    highest_rss: int
    oom_kills: int


@dataclass(frozen=True)
class Measure:
    """A look at the processes of a program."""

    at: float
    rss: int
    cpu_seconds: float
    silent_seconds: float
    free_disk: int
    free_memory: int


@dataclass(frozen=True)
class Living:
    """The processes of a running job, looked at twice: what they are, and how busy they were between the looks.

    Args:
        processes: at the second look.
        cpu_share: processor seconds a second; 1 is one core.
        cpu_seconds: of all of them, so far.
        waits: kernel function by pid, of those that wait.
        commands: beginning of the command line by pid.
    """

    processes: Sequence[Process]
    cpu_share: float
    cpu_seconds: float
    waits: dict[int, str]
    commands: dict[int, str]


@dataclass(frozen=True)
class Facts:
    """Everything about one job.

    Args:
        kind, name: which job it is.
        status, secondary: as the API has them.
        ended: whether the status is final.
        reason: FailureReason.
        source: where the facts come from.
        now: when they were collected.
        created_at, ended_at: of the job.
        phases: its secondary statuses, the oldest first.
        executor: ``docker`` or ``process``.
        image: of the container, as the request names it.
        started: when a program was started, the oldest first; a model server may be started again.
        endings: how programs ended.
        first_output: seconds from the start to the first output.
        out_of_memory: whether the container's engine says so.
        memory: bytes that the program could have: its limit, or the computer's.
        measures: looks at the processes.
        disk_low, memory_low: when little was free, and how much.
        signals: what the platform sent, and when.
        cut: why the program was ended early (``stop``, ``limit``), and the time limit.
        stopped_by: when a stop was asked for, and how who asked named itself.
        inputs: what was downloaded.
        outages: when the store did not answer.
        upload_bytes, upload_seconds: to the store, and the time in which something was under way.
        checkpoint_at: when a checkpoint was last told to be stored.
        saved_after: seconds from the program's end until checkpoints and results were stored.
        save_error: why they could not be.
        published: model and output data, as far as they were stored.
        metrics_dropped: which definitions were given up, and why.
        events_dropped: how many events are missing.
        servers_began: when a new API server found the job.
        shim_lost: when it was found that its shim is gone.
        shim_lives: whether its shim runs; None where that is not known.
        shim_log: its path on this computer.
        log: last lines of its log.
        last_output_at: when it last wrote.
        installing: when its requirements began to be installed, and when they were; None while that goes on.
        living: its processes now.
        kept: folder with results that could not be stored.
    """

    kind: str
    name: str
    status: str
    secondary: str
    ended: bool
    reason: str | None
    source: Source
    now: float
    created_at: float | None = None
    ended_at: float | None = None
    phases: Sequence[Phase] = ()
    executor: str | None = None
    image: str = ""
    started: Sequence[float] = ()
    endings: Sequence[Ending] = ()
    first_output: float | None = None
    out_of_memory: bool = False
    memory: int = 0
    measures: Sequence[Measure] = ()
    disk_low: tuple[float, int] | None = None
    memory_low: tuple[float, int] | None = None
    signals: Sequence[tuple[float, str]] = ()
    cut: tuple[float, str, float] | None = None
    stopped_by: tuple[float, str] | None = None
    inputs: Sequence[Transfer] = ()
    outages: Sequence[Outage] = ()
    upload_bytes: int = 0
    upload_seconds: float = 0.0
    checkpoint_at: float | None = None
    saved_after: float = 0.0
    save_error: str | None = None
    published: Sequence[Transfer] = ()
    metrics_dropped: Sequence[str] = ()
    events_dropped: int = 0
    servers_began: Sequence[float] = ()
    shim_lost: float | None = None
    shim_lives: bool | None = None
    shim_log: str = ""
    log: Sequence[str] = ()
    last_output_at: float | None = None
    installing: tuple[float, float | None] | None = None
    living: Living | None = None
    kept: str = ""
    aws: bool = field(default=False)

    @property
    def total(self) -> float:
        """Seconds from its creation to its end, or to now."""
        if self.created_at is None:
            return 0.0
        return max(0.0, (self.ended_at if self.ended_at is not None else self.now) - self.created_at)

    @property
    def ending(self) -> Ending | None:
        """How its last program ended."""
        return self.endings[-1] if self.endings else None

    @property
    def exit_code(self) -> int | None:
        """Of its last program: as it was told, or as the reason has it."""
        if self.ending is not None:
            return self.ending.exit_code
        match = _EXIT_CODE.search(self.reason or "")
        return int(match[1]) if match else None

    @property
    def highest_rss(self) -> int:
        """The most memory that its processes were seen to have; 0 where nobody looked."""
        return max([*(one.highest_rss for one in self.endings), *(one.rss for one in self.measures)], default=0)

    def phase_seconds(self, *statuses: str) -> float:
        """How long it had one of some secondary statuses."""
        end = self.ended_at or self.now
        return sum((one.ended or end) - one.began for one in self.phases if one.status in statuses)
