"""Where `batchrl ope` lets a figure be relied on, do its intervals hold? Rewrites its part of docs/ope-coverage.md.

Fresh logs of many kinds (``verdict_logs``), each judged by the rules of the report.

    python bench/verdicts.py            # ten minutes of one core
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from verdict_logs import INTERVALS, Q_NOISE, RESAMPLES, Case, Measured, measure

from batchrl.data.dataset import Flags

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "ope-coverage.md"
MARK = "\n## Where a figure may be relied on\n"
WANTED = 0.92
# The rules' thresholds were chosen on logs of seed 0; what is told is of others.
SEED = 1
MOST_REPLICATES, FEWEST_REPLICATES = 200, 100
# Logs of a kind that a figure's own coverage is told of.
LEAST_RELIED = 50


def cases() -> Iterator[Case]:
    """The grid: one step, then longer horizons."""
    for actions in (2, 10, 34, 200):
        for n in (200, 1000, 10_000):
            yield from (Case(actions, 1, n, pays) for pays in (0.01, 0.04, 0.2, 0.5))
    yield from (Case(500, 1, n, pays) for n in (10_000, 100_000) for pays in (0.04, 0.5))
    yield from (Case(34, 1, n, 0.3) for n in (40_000,))
    for actions in (3, 20):
        for skew in (1.5, 3.0):
            yield from (
                Case(actions, 1, n, pays, mix=0.7, skew=skew) for n in (200, 1000, 10_000) for pays in (0.04, 0.2, 0.5)
            )
    for actions, amounts in ((2, 1.0), (2, 2.0), (34, 1.0)):
        yield from (Case(actions, 1, n, pays, amounts=amounts) for n in (200, 1000, 10_000) for pays in (0.04, 0.3))
    for steps, mixes in ((5, (0.15, 0.4)), (20, (0.08, 0.2)), (50, (0.04, 0.1))):
        for mix in mixes:
            sizes = (100, 500, 2000, 10_000) if steps == 5 else (100, 500, 2000)
            yield from (Case(4, steps, n, pays, mix, skew=0.7) for n in sizes for pays in (0.01, 0.04, 0.2))


def replicates_of(case: Case) -> int:
    """Logs of each case: fewer of those that take long."""
    return MOST_REPLICATES if case.n * case.steps <= 50_000 else FEWEST_REPLICATES


def small(case: Case) -> bool:
    """Whether all kinds of intervals are compared on it."""
    return case.n * case.steps <= 10_000


@dataclass
class Tally:
    """Logs that were counted together.

    Args:
        logs: all of them, each once for every figure.
        relied: those of them where nothing is doubted.
        held: those of the relied ones whose interval contains the exact value.
        fine: those of a case and figure whose interval holds in 92 % of all logs, whatever is doubted.
        refused: those of these that are doubted.
    """

    logs: int = 0
    relied: int = 0
    held: int = 0
    fine: int = 0
    refused: int = 0

    def add(self, relied: Flags, holds: Flags) -> None:
        """Count the logs of one case and figure."""
        self.logs += len(relied)
        self.relied += int(relied.sum())
        self.held += int((relied & holds).sum())
        if holds.mean() >= WANTED:
            self.fine += len(relied)
            self.refused += int((~relied).sum())

    @property
    def coverage(self) -> float:
        """Of the relied ones."""
        return self.held / self.relied if self.relied else math.nan

    @property
    def error(self) -> float:
        """Binomial, of the coverage."""
        return math.sqrt(self.coverage * (1 - self.coverage) / self.relied) if self.relied else math.nan

    def cells(self) -> tuple[str, ...]:
        """Share that is relied on, its coverage with its error, and how shy a no is."""
        share = f"{100 * self.relied / self.logs:.0f}"
        covered = f"{100 * self.coverage:.1f} ± {100 * self.error:.1f}" if self.relied else "-"
        return share, covered, f"{100 * self.refused / self.fine:.0f}" if self.fine else "-"


def axes(case: Case) -> Iterator[tuple[str, str]]:
    """The groups that a case belongs to."""
    yield "all", "all"
    if case.steps == 1:
        yield "actions", f"{case.actions}"
    yield "steps of an episode", f"{case.steps}"
    yield "episodes", f"{case.n:,}"
    yield "steps that pay, %", f"{100 * case.pays:g}"
    yield "logging", {0.0: "uniform", 0.7: "mild", 1.5: "skewed", 3.0: "very skewed"}[case.skew]
    yield "rewards", {0.0: "all alike", 1.0: "lognormal, 1", 2.0: "lognormal, 2"}[case.amounts]


def portion(relied: Flags) -> str:
    """Which part of the logs of a kind is relied on, in percent."""
    share, ends = relied.mean(), (0, 5, 20, 50, 100)
    return next(f"{low} to {high}" for low, high in pairwise(ends) if 100 * share < high or high == ends[-1])


def by_axis(measured: Sequence[Measured]) -> Iterator[str]:
    """Lines of the table over the grid's axes."""
    tallies: dict[tuple[str, str], Tally] = {}
    for found in measured:
        for figure, relied in found.relied.items():
            own = (("figure", figure.replace(" -", ", difference")), ("relied of its kind, %", portion(relied)))
            for key in (*axes(found.case), *own):
                tallies.setdefault(key, Tally()).add(relied, found.holds[figure, "wider"])
    order = list(dict.fromkeys(axis for axis, _ in tallies))
    for axis, value in sorted(tallies, key=lambda key: (order.index(key[0]), _numeric(key[1]))):
        yield f"| {axis} | {value} | {' | '.join(tallies[axis, value].cells())} |"


def _numeric(text: str) -> float:
    """The number in a value of an axis, to sort by; 0 where there is none."""
    return float("".join(letter for letter in text if letter.isdigit() or letter == ".") or 0)


def by_cell(measured: Sequence[Measured]) -> list[tuple[float, float, int, str]]:
    """Coverage, error and number of relied logs of every case and figure with so many of them; the lowest first."""
    found = []
    for each in measured:
        for figure, relied in each.relied.items():
            tally = Tally()
            tally.add(relied, each.holds[figure, "wider"])
            if tally.relied >= LEAST_RELIED:
                found.append((tally.coverage, tally.error, tally.relied, f"{each.case}, {figure}"))
    return sorted(found)


def by_interval(measured: Sequence[Measured]) -> Iterator[str]:
    """Lines of the table of intervals: coverage where relied on, and where not, over the small cases."""
    chosen = [found for found in measured if any(kind == INTERVALS[-1] for _, kind in found.holds)]
    for kind in INTERVALS:
        parts = []
        for wanted in (True, False):
            holds = [
                found.holds[figure, kind][relied == wanted]
                for found in chosen
                for figure, relied in found.relied.items()
            ]
            parts.append(f"{100 * np.concatenate(holds).mean():.1f}")
        yield f"| {kind} | {' | '.join(parts)} |"


def row(found: Measured) -> str:
    """A line of the table of all cases, of the difference that speaks for a policy with values, and without."""
    case, parts = found.case, []
    for figure in ("WDR, noisy Q -", "PDWIS -"):
        tally = Tally()
        tally.add(found.relied[figure], holds := found.holds[figure, "wider"])
        parts += [*tally.cells()[:2], f"{100 * holds.mean():.1f}"]
    kind = (case.actions, case.steps, case.n, f"{100 * case.pays:g}", case.mix, case.skew, case.amounts)
    return f"| {' | '.join(map(str, (*kind, f'{found.effective:.0f}', *parts)))} |"


def section(measured: Sequence[Measured]) -> str:
    """The part of the document."""
    cells = by_cell(measured)
    below = sum(coverage + 2 * error < WANTED for coverage, error, _, _ in cells)
    under = sum(coverage < WANTED for coverage, _, _, _ in cells)
    lowest, error, relied, where = cells[0]
    return f"""{MARK}
{len(measured)} kinds of logs of small decision processes with known values, {MOST_REPLICATES} fresh logs each
({FEWEST_REPLICATES} of the largest), judged by the rules of the report ([estimates.md](estimates.md)): of every log the
values of eight figures, WDR with exact and with noisy values (off by exp({Q_NOISE:g} z) by state and action),
PDWIS and IS, each with its difference to the logging policy. Intervals are those that the report shows, the wider of
percentiles ({RESAMPLES} resamples here) and Student's t, at 95 %. The thresholds of the rules were chosen on
logs of seed 0; these are of seed {SEED}, on which nothing was chosen. This part is rewritten by

    .venv/bin/python bench/verdicts.py

*relied*: percent of the logs where nothing is doubted. *holds*: percent of those whose interval contains the exact
value, with its binomial error. *shy*: of the logs of a kind and figure whose interval holds in at least 92 % of all
logs, doubted or not, the percent that is doubted all the same: a no that was not needed.

| axis | | relied | holds | shy |
|---|---|---|---|---|
{chr(10).join(by_axis(measured))}

The last rows are by the share of its kind that is relied on. Where that is next to nothing, it is the lucky logs that
pass, those that happen to lack the heavy weights or the rare, large rewards of their kind: no rule that sees one log
alone can tell them from logs of another kind.

By cell, a kind of log and a figure: {len(cells)} of {sum(len(each.relied) for each in measured)} have at least
{LEAST_RELIED} relied logs. The lowest of them holds in {100 * lowest:.1f} ± {100 * error:.1f} % of {relied}
({where}); {under} lie below 92 %, {below} of them by more than twice their error.

Of intervals, over the kinds of at most 10,000 steps, in percent that hold:

| interval | where relied on | where not |
|---|---|---|
{chr(10).join(by_interval(measured))}

All kinds, with the difference that speaks for a policy with values (WDR, noisy) and without (PDWIS): relied, holds
where relied on, holds in all. *pays*: percent of steps with a reward, under the logging policy; *mix*: share of a
deterministic policy in the scored one, the rest being the logging policy; *skew*: deviation of the logarithm of the
logging policy's weights; *amounts*: the same of rewards.

| actions | T | n | pays | mix | skew | amounts | ESS | WDR: relied | holds | all | PDWIS: relied | holds | all |
|{"---|" * 14}
{chr(10).join(map(row, measured))}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, help="logs of each kind; then the document stays as it is")
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), metavar=("I", "OF"), help="every OFth kind only")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the logs (default: {SEED})")
    arguments = parser.parse_args()
    first, of = arguments.part
    measured = []
    for case in list(cases())[first::of]:
        measured.append(measure(case, arguments.replicates or replicates_of(case), arguments.seed, small(case)))
        print(row(measured[-1]), flush=True)
    found = section(measured)
    if arguments.replicates or of > 1 or arguments.seed != SEED:
        print(found)
    else:
        DOCUMENT.write_text(DOCUMENT.read_text().split(MARK)[0] + found)


if __name__ == "__main__":
    main()
