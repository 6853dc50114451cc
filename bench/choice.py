"""Candidates of one log, ranked from the log alone and held against their exact values: mail campaigns.

Cheap trainings (one network, 300 updates an epoch) of six agents; the epochs 2, 4 and 6 of each, and the one that its
run chose, are the candidates. ``rho`` is Spearman's correlation of a score with the exact values, ``regret`` what its
pick loses of (best candidate - logging policy). The runs' own choices and the last epochs are no ranking: their regret
is the mean over the runs.

    python bench/choice.py                        # about 20 minutes of one core, most of it for trainings
    python bench/choice.py --keep FOLDER          # keeps logs and trainings there, or takes what it finds
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from problems import script

from batchrl.contract import columns
from batchrl.contract.layout import BEST_NAME
from batchrl.contract.paths import JobPaths
from batchrl.data.dataset import Dataset, Floats64
from batchrl.data.loader import load_dataset
from batchrl.ope.choice.members import Member, members_for
from batchrl.ope.choice.ranking import Candidate, mean_correlation, rank_candidates, ranks_of
from batchrl.ope.choice.steps import Conduct, Fit, drawn_episodes
from batchrl.ope.study.possible import PossibleValues
from batchrl.ope.study.sources import read_policy
from batchrl.policies import FixedPolicy
from batchrl.problems import MAIL_CAMPAIGN
from batchrl.problems.mail_model import optimal_value, value_of
from presets.dataschema import DataSettings

AGENTS = ("ddqn", "cql", "iql", "one-step", "bc", "dqn")
EPOCHS, UPDATES, USERS, DISCOUNT = 6, 300, 4000, 0.99
WINDOWS = (1, 4)
FIRST_LOG, LOGS = 8101, 3


@dataclass
class Found:
    """What the scores of one log came to, by the score's name.

    Args:
        rho: correlation with the exact values.
        regret: share of (best - logging) that the pick loses.
        worth: exact value of the pick.
        seconds: of CPU time that it took.
    """

    rho: dict[str, float] = field(default_factory=dict)
    regret: dict[str, float] = field(default_factory=dict)
    worth: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def make(folder: Path, seed: int) -> None:
    """Log and trainings, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.parquet"
    if not log.exists():
        options = ("--env", MAIL_CAMPAIGN, "--num-envs", str(USERS), "--episodes", "1", "--seed", str(seed))
        script("collect.py", *options, "--output", str(log), "--json")
    for agent in AGENTS:
        if (JobPaths(folder / agent).checkpoints / BEST_NAME).exists():
            continue
        settings = {
            "preset": f"mail-{agent}",
            "training": log,
            "output": folder / agent,
            "save_model": 0,
            "epochs": EPOCHS,
            "keep_checkpoints": EPOCHS,
            "agent.updates_per_epoch": UPDATES,
            "agent.ensemble": 1,
        }
        script("train.py", *(word for name, value in settings.items() for word in (f"--{name}", str(value))))


def recording(data: Dataset) -> tuple[list[Member], dict[str, tuple[Floats64, float]]]:
    """The members for a log, and what each finds once it is asked: values, and seconds of CPU time."""
    seen: dict[str, tuple[Floats64, float]] = {}

    def recorded(member: Member) -> Member:
        def fit(dataset: Dataset, policies: Sequence[Conduct], discount: float, seed: int) -> Fit:
            began = time.process_time()
            found = member.fit(dataset, policies, discount, seed)
            seen[member.name] = found.values, time.process_time() - began
            return found

        return replace(member, fit=fit)

    return [recorded(member) for member in members_for(data)], seen


def measure(folder: Path) -> Found:
    """All scores of one log."""
    loaded = load_dataset(folder / "log.parquet", DataSettings())
    data = loaded.dataset.select(drawn_episodes(loaded.dataset, 0))
    candidates: list[Candidate] = []
    truth: list[float] = []
    windows: dict[int, list[float]] = {steps: [] for steps in WINDOWS}
    chosen: list[int] = []
    last: list[int] = []
    for agent in AGENTS:
        checkpoints = JobPaths(folder / agent).checkpoints
        with (checkpoints / columns.INTERMEDIATE_CSV).open() as stream:
            rows = {int(row[columns.EPOCH]): row for row in csv.DictReader(stream)}
        best = json.loads((checkpoints / BEST_NAME).read_text())["epoch"]
        for epoch in sorted({*range(2, EPOCHS + 1, 2), best}):
            model = read_policy(agent, checkpoints / f"epoch_{epoch:04d}.pt").model
            chosen += [len(truth)] if epoch == best else []
            last += [len(truth)] if epoch == EPOCHS else []
            truth.append(value_of(model))
            starts = model.action_probabilities(data.states[data.offsets[:-1]])
            conduct = Conduct(starts, model.action_probabilities(data.next_states))
            candidates.append(Candidate(f"{agent} {epoch}", str(model.target), conduct))
            for steps, scores in windows.items():
                text = rows[epoch].get(columns.window(steps)) or "-inf"
                scores.append(float(text))
    exact = np.array(truth)
    logging = value_of(FixedPolicy(np.full(4, 0.25)))
    found = Found()

    def add(name: str, picked: Sequence[int], rho: float = math.nan, seconds: float = math.nan) -> None:
        found.rho[name], found.seconds[name] = rho, seconds
        found.worth[name] = float(exact[picked].mean())
        found.regret[name] = (exact.max() - found.worth[name]) / (exact.max() - logging)

    def add_scores(name: str, scores: Floats64, seconds: float = math.nan) -> None:
        rho = mean_correlation([ranks_of(scores), ranks_of(exact)])
        add(name, np.flatnonzero(scores == scores.max()).tolist(), rho, seconds)

    for steps, scores in windows.items():
        add_scores(f"window of {steps}", np.array(scores))
    add("the run's own choice", chosen)
    add("last epoch", last)
    members, seen = recording(data)
    ranking = rank_candidates(
        data, candidates, DISCOUNT, 0, PossibleValues.of([data], DISCOUNT), "values", "all", members
    )
    for name, (values, seconds) in seen.items():
        add_scores(name, values[: len(exact)], seconds)
    means = {place.source: place.mean_rank for place in ranking.places}
    by_rank = -np.array([means[candidate.source] for candidate in candidates])
    add_scores("mean rank", by_rank, sum(seconds for _, seconds in seen.values()))
    print(
        f"  {folder.name}: {len(truth)} candidates worth {exact.min():.2f} to {exact.max():.2f}, "
        f"logged {logging:.2f}, optimum {optimal_value():.2f}; agreement {ranking.agreement:.2f}"
    )
    for one in ranking.members:
        if one.discarded is not None:
            print(f"    {one.name} discarded: {one.discarded}")
    for doubt in ranking.doubts:
        print(f"    {doubt}")
    return found


def table(found: Sequence[Found]) -> str:
    """Means over the logs, and the worst of them, as Markdown."""
    lines = ["| score | rho (least) | regret % (worst) | worth of the pick (least) | CPU s |", "|---|---|---|---|---|"]
    for name in found[0].rho:
        rho, regret, worth, seconds = (
            [getattr(one, what)[name] for one in found] for what in ("rho", "regret", "worth", "seconds")
        )
        lines.append(
            f"| {name} | {statistics.fmean(rho):.2f} ({min(rho):.2f}) | {100 * statistics.fmean(regret):.1f} "
            f"({100 * max(regret):.0f}) | {statistics.fmean(worth):.2f} ({min(worth):.2f}) | "
            f"{statistics.fmean(seconds):.1f} |"
        )
    return "\n".join(lines).replace("nan (nan)", "-").replace("| nan |", "| - |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for logs and trainings")
    parser.add_argument("--logs", type=int, default=LOGS, metavar="N", help=f"how many (default: {LOGS})")
    parser.add_argument("--first", type=int, default=FIRST_LOG, metavar="SEED", help="of the first log")
    arguments = parser.parse_args()
    if arguments.logs < 1:
        parser.error("--logs: give at least 1")
    with tempfile.TemporaryDirectory(prefix="batchrl-choice-") as scratch:
        found = []
        for seed in range(arguments.first, arguments.first + arguments.logs):
            folder = (arguments.keep or Path(scratch)) / str(seed)
            make(folder, seed)
            found.append(measure(folder))
        print(f"\n{table(found)}")


if __name__ == "__main__":
    main()
