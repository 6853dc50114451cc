"""The table of a run, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from badinput.runner import OUTCOMES, Result


def table(result: Result, seed: int) -> Iterator[str]:
    """Lines: what was sent where, how often, and what came of it."""
    yield f"Seed {seed}: {result.cases:,} cases."
    yield ""
    yield f"| boundary and input | cases | {' | '.join(OUTCOMES)} |"
    yield f"|---|--:|{'--:|' * len(OUTCOMES)}"
    for name, counted in result.outcomes.items():
        if counted.total():
            yield f"| {name} | {counted.total()} | {' | '.join(str(counted[one]) for one in OUTCOMES)} |"
    sums = [sum(counted[one] for counted in result.outcomes.values()) for one in OUTCOMES]
    yield f"| all | {result.cases} | {' | '.join(map(str, sums))} |"
