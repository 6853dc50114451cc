"""Returns of policies that were chosen without a simulator, on 20 logs, with d3rlpy's beside them.

Each log is 500 uniformly random episodes. Every policy plays the same 100 fresh episodes in the same simulator,
greedily. Nothing of the simulator enters training or choice. The seeds of the 20 logs are for this table alone:
whoever tunes a preset draws others (``--first``). What was measured is kept in .bench and not measured again, so a run
that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from figures import Figure, cannot, show
from methods import PEER_UPDATES, PEERS, Log, Method, Outcome, kept, method_of
from peers.environment import CACHE, PeerMissing, peer_python

from batchrl.checkpoints.files import publish_json
from presets.errors import PresetError

FIRST_LOG = 2000
LOGS = 20
PRESETS = ("cartpole-ddqn-bcq", "generic-discrete")
SOLVED = 195.0
WANTED_SHARE = 19 / 20


class Column(NamedTuple):
    """A method and its outcomes, by the log's seed."""

    method: Method
    outcomes: dict[int, Outcome]

    @property
    def solved(self) -> int:
        return sum(outcome.mean_return >= SOLVED for outcome in self.outcomes.values())

    @property
    def mean(self) -> float:
        return statistics.fmean(outcome.mean_return for outcome in self.outcomes.values())


def columns_of(names: Sequence[str], peer_updates: int) -> list[Column]:
    """A column for each method that can be had here; of the others, why not."""
    columns = []
    for name in names:
        try:
            method = method_of(name, peer_updates)
            if name in PEERS:
                peer_python()
            columns.append(Column(method, {}))
        except (PeerMissing, PresetError) as error:
            cannot(f"returns on logs, {name}", str(error))
    return columns


def measure(columns: Sequence[Column], logs: Sequence[Log], run: bool) -> None:
    """Fill in the outcomes, log by log; only those that were kept, where nothing is to be run."""
    for log in logs:
        for method, outcomes in columns:
            outcome = kept(method, log, run)
            if outcome is None:
                continue
            outcomes[log.seed] = outcome
            if run:
                said = f"{outcome.mean_return:7.2f} +- {outcome.standard_error:.2f} ({outcome.seconds:.0f} s to train)"
                print(f"  log {log.seed}, {method.name}: {said}", flush=True)


def table(logs: Sequence[Log], columns: Sequence[Column]) -> str:
    """The outcomes as Markdown: a row for each log, then the mean, and how many logs reached 195."""
    rows = [["log", "random play", *(column.method.name for column in columns)], ["---:"] * (len(columns) + 2)]
    for log in logs:
        cells = [column.outcomes.get(log.seed) for column in columns]
        shown = ["" if cell is None else f"{cell.mean_return:.2f}" for cell in cells]
        rows.append([str(log.seed), f"{log.rollouts.returns.mean():.1f}", *shown])
    rows.append(["mean", "", *(f"{column.mean:.2f}" if column.outcomes else "" for column in columns)])
    rows.append(
        [
            f">= {SOLVED:g}",
            "",
            *(f"{column.solved} of {len(column.outcomes)}" if column.outcomes else "" for column in columns),
        ]
    )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def marks_table(columns: Sequence[Column]) -> str:
    """d3rlpy's returns on the way, as Markdown: mean over the logs, and how many reached 195."""
    rows = []
    for column in columns:
        outcomes = list(column.outcomes.values())
        for mark in sorted(outcomes[0].marks if outcomes else (), key=int):
            returns = [outcome.marks[mark] for outcome in outcomes]
            solved = f"{sum(value >= SOLVED for value in returns)} of {len(returns)}"
            rows.append(f"| {column.method.name} | {int(mark):,} | {statistics.fmean(returns):.2f} | {solved} |")
    return (
        "\n".join(["| method | updates | mean return | logs >= 195 |", "|---|---:|---:|---:|", *rows]) if rows else ""
    )


def as_json(env: str, columns: Sequence[Column]) -> Mapping[str, object]:
    return {
        "env": env,
        "methods": {
            column.method.name: {
                "settings": column.method.settings,
                "mean_return": column.mean if column.outcomes else None,
                "logs": {str(seed): asdict(outcome) for seed, outcome in column.outcomes.items()},
            }
            for column in columns
        },
    }


def say_what_is_old(columns: Sequence[Column]) -> None:
    """Outcomes of other code are shown, but not as this code's."""
    for method, outcomes in columns:
        old = sum(outcome.code != method.code for outcome in outcomes.values())
        if old:
            print(f"  {method.name}: {old} of {len(outcomes)} were measured with other code than this", flush=True)


def figures(columns: Sequence[Column], env: str) -> None:
    """How many logs each preset solved; what is wanted, of the preset that has to."""
    for column in columns:
        what, n = f"logs with a mean return of 195, {column.method.name}", len(column.outcomes)
        if n and column.method.name == PRESETS[-1]:
            show(Figure(f"{what}, of {n}", column.solved, "", math.ceil(WANTED_SHARE * n), at_least=True))
        elif n and env.startswith("CartPole"):
            print(f"  {what}, of {n}: {column.solved}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logs", type=int, default=LOGS, help=f"number of logs ({LOGS})")
    parser.add_argument("--first", type=int, default=FIRST_LOG, help=f"seed of the first log ({FIRST_LOG})")
    names = ",".join([*PEERS, *PRESETS])
    parser.add_argument("--methods", default=names, help=f"d3rlpy's and presets, with commas between ({names})")
    said = f"d3rlpy's updates ({PEER_UPDATES})"
    parser.add_argument("--peer-updates", type=int, default=PEER_UPDATES, help=said)
    parser.add_argument("--env", default="CartPole-v0", help="environment of logs and evaluation (CartPole-v0)")
    parser.add_argument("--kept", action="store_true", help="show what was measured before; run nothing")
    parser.add_argument(
        "--output", type=Path, default=CACHE / "logs.json", help="the outcomes as JSON (.bench/logs.json)"
    )
    options = parser.parse_args()
    logs = [Log(options.env, options.first + number) for number in range(options.logs)]
    columns = columns_of(options.methods.split(","), options.peer_updates)
    measure(columns, logs, run=not options.kept)
    for shown in (table(logs, columns), marks_table(columns)):
        print(f"\n{shown}" if shown else "", flush=True)
    say_what_is_old(columns)
    publish_json(options.output, as_json(options.env, columns))
    figures(columns, options.env)


if __name__ == "__main__":
    main()
