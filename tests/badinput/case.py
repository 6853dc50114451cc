"""What a case is, and the kinds of cases by their names."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """One bad input, given to the code that reads it.

    Args:
        what: a line about it, for a report.
        run: gives it; returns what came of it.
        refusals: errors that say in words what is wrong with an input of the kind.
        invalid: whether it is certain that nobody may take it, so that returning is a fault.
        judge: what is wrong with a result that was returned; None for nothing.
    """

    what: str
    run: Callable[[], Any]
    refusals: tuple[type[BaseException], ...]
    invalid: bool = False
    judge: Callable[[Any], str | None] = field(default=lambda result: None)


# Makes a case in a folder that is its own.
Make = Callable[[random.Random, Path], Case]
KINDS: dict[str, tuple[int, Make]] = {}


def kind(name: str, share: int) -> Callable[[Make], Make]:
    """Enter a kind of cases.

    Args:
        name: boundary and input, as ``wire: bodies``.
        share: how many of 100 cases are of it, about.
    """

    def enter(make: Make) -> Make:
        KINDS[name] = (share, make)
        return make

    return enter
