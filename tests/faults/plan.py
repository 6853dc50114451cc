"""What a seed means: the kinds of its faults, one deck of all kinds after another, each deck shuffled.

A fault's own random choices come from seed, number and kind alone, so that one fault can be made again without the
others, whatever the machine has or lacks.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Planned:
    """One fault to be made.

    Args:
        seed: of the plan.
        number: its place in the plan, from 1.
        kind: name of its kind.
    """

    seed: int
    number: int
    kind: str

    def random(self) -> random.Random:
        """The source of the fault's own choices."""
        return random.Random(f"{self.seed}/{self.number}/{self.kind}")

    def command(self) -> str:
        """What makes this fault again, and no other."""
        return f'make faults ARGS="--seed {self.seed} --only {self.kind} --number {self.number}"'


def plan(seed: int, kinds: Iterable[str]) -> Iterator[Planned]:
    """The faults of a seed, without end."""
    names, shuffler, number = sorted(kinds), random.Random(seed), 0
    while True:
        deck = list(names)
        shuffler.shuffle(deck)
        for name in deck:
            number += 1
            yield Planned(seed, number, name)
