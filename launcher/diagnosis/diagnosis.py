"""What a table of this room finds: a cause with its evidence, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from launcher.api.constants import TRAINING
from launcher.diagnosis.facts import Facts

SHOWN_LINES = 8


@dataclass(frozen=True)
class Diagnosis:
    """One thing that explains what became of a job.

    Args:
        code: names it for programs.
        said: a sentence for people.
        evidence: what it follows from, each with its time or figure.
        remedy: what to do; empty where nothing is to be done.
    """

    code: str
    said: str
    evidence: tuple[str, ...] = ()
    remedy: str = ""


Rule = Callable[[Facts], Diagnosis | None]


def clock(at: float) -> str:
    """A moment as people read it on this computer."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def share(part: float, whole: float) -> str:
    """A part of a whole in percent."""
    return f"{100 * part / whole:.0f} %" if whole > 0 else "0 %"


def logs_command(facts: Facts) -> str:
    """How the whole log is read."""
    return f"batchrl logs {facts.name}{' --aws' if facts.aws else ''}"


def signals_sent(facts: Facts) -> list[str]:
    """The signals that the platform sent."""
    return [f"{clock(at)}: {name} was sent to it" for at, name in facts.signals]


def save_first(facts: Facts) -> str:
    """How results that are on disk alone come to the store; empty where there are none."""
    return (
        f"`batchrl recover {facts.name}` publishes what is left on disk. "
        if facts.kept and facts.kind == TRAINING
        else ""
    )


def start_again(facts: Facts) -> str:
    """How it is started again, from its checkpoints where it may have some; no full stop, so that more can follow."""
    goes_on = f" (`batchrl train ... --checkpoint-from {facts.name}` goes on from its checkpoints)"
    return f"Start it again{goes_on if facts.kind == TRAINING else ''}"


def kept_files(facts: Facts) -> tuple[str, ...]:
    """Where results are that could not be stored."""
    return (f"its files are kept in {facts.kept}",) if facts.kept else ()


def last_lines(facts: Facts) -> tuple[str, ...]:
    """The end of the log."""
    return tuple(f"log: {line}" for line in facts.log[-SHOWN_LINES:])
