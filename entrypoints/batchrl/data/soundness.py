"""Whether data may be used: what is wrong is refused all at once, what may be meant is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchrl.data.checks import check_steps
from batchrl.data.doubts import doubts_of
from batchrl.data.findings import Finding, refuse_all, said_of
from batchrl.data.layout import Layout
from batchrl.data.rows import Rows


@dataclass(frozen=True)
class Warned:
    """A doubt that does not keep the data from being used.

    Args:
        kind: its name, as ``data.accept`` has it.
        message: what is odd, with counts and first rows.
        advice: what it may be, and what settles it.
        rows: how many are odd; 0 where it is the data as a whole.
    """

    kind: str
    message: str
    advice: str
    rows: int


def sound(
    rows: Rows, layout: Layout, *, closes: bool, flags_matter: bool, accepted: Sequence[str]
) -> tuple[Warned, ...]:
    """Look for everything that is wrong or odd.

    Args:
        rows: all rows.
        layout: which of them are steps.
        closes: whether each episode's last row is no step but the state after it (schema A).
        flags_matter: whether ``terminal`` and ``truncated`` decide where episodes end.
        accepted: doubts that are said to be meant.

    Returns:
        What may be meant, and errors that are accepted.

    Raises:
        InputError: names everything with which a figure would be wrong.
    """
    findings = check_steps(rows, layout, flags_matter)
    doubts = list(doubts_of(rows, layout, closes))
    odd = [
        Finding(doubt.problem, doubt.advice, doubt.rows)
        for doubt in doubts
        if doubt.wrong and doubt.kind not in accepted
    ]
    refuse_all([*findings, *odd], rows.places)
    told = [doubt for doubt in doubts if doubt.wrong or doubt.kind not in accepted]
    said = said_of([Finding(doubt.problem, doubt.advice, doubt.rows) for doubt in told], rows.places)
    return tuple(
        Warned(doubt.kind, message, advice if doubt.kind not in accepted else "It is accepted.", len(doubt.rows))
        for doubt, (message, advice) in zip(told, said, strict=True)
    )
