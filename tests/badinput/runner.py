"""Runs cases, each watched, and judges them: a traceback, a hang, a write outside of its folder, a wrong success."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from badinput import kinds_data, kinds_settings, kinds_store, kinds_wire
from badinput.case import KINDS, Case

assert all((kinds_data, kinds_settings, kinds_store, kinds_wire))  # they enter their kinds
SECONDS = 20
OUTCOMES = ("refused", "taken", "traceback", "hang", "outside", "wrong success")
BAD = OUTCOMES[2:]
LONGEST_MESSAGE = 20_000
PRINTED: list[str] = []
sys.unraisablehook = lambda one: PRINTED.append(f"{one.exc_value!r:.100} in {one.object!r:.100}")


class Hang(BaseException):
    """A case takes too long."""


@dataclass
class Result:
    """What came of all cases.

    Args:
        outcomes: how many cases of a kind came to what, by kind.
        found: the faults, each with what it takes to repeat it.
    """

    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in KINDS})
    found: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """How many there were."""
        return sum(counted.total() for counted in self.outcomes.values())


def planned(seed: int, count: int, only: str | None = None) -> Iterator[tuple[str, int]]:
    """Kinds, each with the number that its case is made of; the same seed gives the same cases."""
    names = [name for name in KINDS if only is None or only in name]
    chance = random.Random(f"plan {seed}")
    # Each kind has its turn, however few the cases are.
    turns = (names * (count // len(names) + 1))[:count] if count <= 3 * len(names) else names
    yield from ((name, chance.randrange(2**32)) for name in turns)
    shares = [KINDS[name][0] for name in names]
    for name in chance.choices(names, shares, k=count - len(turns)):
        yield name, chance.randrange(2**32)


def run(seed: int, count: int, only: str | None = None) -> Result:
    """Run so many cases of a seed."""
    result = Result()
    for name, number in planned(seed, count, only):
        outcome, why = run_one(name, number)
        result.outcomes[name][outcome] += 1
        if outcome in BAD:
            result.found.append(f"{outcome}: {name}, number {number}: {why}")
    return result


def run_one(name: str, number: int) -> tuple[str, str]:
    """Make one case and judge it: the outcome, and what has to be said about it."""
    place = Path(tempfile.mkdtemp(prefix="batchrl-badinput-"))
    try:
        (place / "outside").mkdir()
        (place / "outside" / "decoy").write_text("untouched")
        (place / "work").mkdir()
        before, here = _state(place), Path.cwd()
        case = KINDS[name][1](random.Random(f"{name} {number}"), place / "work")
        outcome, why = _judged(case)
        os.chdir(here)
        if (after := _state(place)) != before:
            return "outside", f"{case.what}: {sorted(set(after.items()) ^ set(before.items()))}"
        return outcome, f"{case.what}: {why}"
    finally:
        _remove(place)


def _judged(case: Case) -> tuple[str, str]:
    """The outcome of a case; a traceback that Python prints by itself is one as well."""
    PRINTED.clear()
    outcome = _outcome(case)
    return ("traceback", "; ".join(PRINTED)) if PRINTED else outcome


def _outcome(case: Case) -> tuple[str, str]:
    try:
        with _watched():
            result = case.run()
    except case.refusals as refusal:
        said = str(refusal)
        if not said.strip() or len(said) > LONGEST_MESSAGE:
            return "traceback", f"its message has {len(said)} characters"
        return "refused", said
    except Hang:
        return "hang", f"not done after {SECONDS} s"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return "traceback", f"{type(error).__name__}: {ascii(str(error))[:200]} at {place.filename}:{place.lineno}"
    if case.invalid:
        return "wrong success", f"{ascii(result)[:120]}"
    wrong = case.judge(result)
    if wrong is not None:
        return ("traceback" if wrong.startswith("5") else "wrong success"), wrong
    return ("refused" if _is_refusal(result) else "taken"), ""


def _is_refusal(result: Any) -> bool:
    """Whether a result is an answer of the API server that refuses."""
    return isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], int) and 400 <= result[0] < 500


@contextmanager
def _watched() -> Iterator[None]:
    def late(number: int, frame: object) -> None:
        raise Hang

    earlier = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


def _state(place: Path) -> dict[str, str]:
    """All that lies beside a case's own folder, with its content."""
    state = {}
    for path in sorted(place.rglob("*")):
        if path.is_relative_to(place / "work"):
            continue
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "-"
        state[str(path.relative_to(place))] = f"{path.lstat().st_mode:o} {content}"
    return state


def _remove(place: Path) -> None:
    """Remove a case's folder, however deep and whatever its modes."""

    def retry(function: Any, path: str, _: Any) -> None:
        with suppress(OSError):
            Path(path).parent.chmod(0o700)
            Path(path).chmod(0o700)
            function(path)

    with suppress(OSError, RecursionError):
        shutil.rmtree(place, **{"onexc" if sys.version_info >= (3, 12) else "onerror": retry})
