"""How often intervals hold where the propensities of a log are estimated; docs/estimates.md tells it.

Fresh logs of 2,000 episodes (``estimated_logs``) are scored as `batchrl ope` scores them: with their true
propensities, and with these hidden and estimated. A line of a Markdown table for each kind of log and model: percent of
intervals that held, percentile / Student / the wider, which is shown; of the logs whose figure may be relied on; bias
over the deviation of the figure, and Student's standard error over it.

    python bench/estimated_propensities.py --worlds "1 step" "5 steps" "5 steps, heavy weights"   # half an hour
    python bench/estimated_propensities.py --worlds "1 step, bent" --models true logistic network --replicates 200
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from estimated_logs import DISCOUNT, World

from batchrl.contract import columns
from batchrl.contract import estimators as names
from batchrl.data.behaviour import Wanted, with_estimated_behavior
from batchrl.data.dataset import Dataset
from batchrl.ope.report.report import PolicyReport
from batchrl.ope.study.decisions import DecisionScorer
from batchrl.ope.study.logged import EpisodeLog
from batchrl.ope.study.scoring import Scorer, ScoreSettings

EPISODES, RESAMPLES = 2000, 400
VALUE_EPISODES = 1_000_000
TOLD_EVERY = 250
MODELS = ("true", "logistic", "network", "auto")
# By steps: the figures without values and with them.
FIGURES = {1: {names.SNIPS: "SNIPS", columns.DR: "DR"}, 5: {names.WIS: "WIS", names.WDR: "WDR"}}
WORLDS = {
    "1 step": World(1, 0.8),
    "5 steps": World(5, 0.5),
    "5 steps, heavy weights": World(5, 1.0),
    "1 step, bent": World(1, 0.8, bend=1.0),
    "5 steps, bent": World(5, 0.5, bend=0.6),
}


@dataclass
class Tally:
    """Of one figure of one model: intervals that held, by kind, and where the figure was to be relied on."""

    logs: int = 0
    held: dict[str, int] = field(default_factory=lambda: {"percentile": 0, "Student": 0, "shown": 0})
    relied: int = 0
    relied_held: int = 0
    errors: list[float] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    effective: list[float] = field(default_factory=list)


def scored(data: Dataset, world: World) -> PolicyReport:
    """The report of the scored policy."""
    log = EpisodeLog(data, DISCOUNT)
    settings = ScoreSettings(resamples=RESAMPLES, estimators=set(FIGURES[world.steps]))
    scorer = DecisionScorer(log, settings) if world.steps == 1 else Scorer(log, settings)
    policy = world.policy(data)
    return scorer.score(policy if world.steps > 1 else replace(policy, own_values=None)).report


def estimated(data: Dataset, model: Wanted, chosen: Mapping[str, dict[str, int]]) -> Dataset:
    """The log with probabilities of a model; what was chosen is counted."""
    known, _ = with_estimated_behavior(data, wanted=model)
    assert known.behavior_fit is not None
    (fit,) = known.behavior_fit.loggers
    chosen[model]["tempered"] += fit.temperature != 1
    chosen[model]["networks"] += fit.model == "network"
    return known


def count(tallies: Mapping[str, Tally], report: PolicyReport, world: World, truth: float) -> None:
    """Add one log."""
    for name, short in FIGURES[world.steps].items():
        figure, tally = report.figures[name], tallies[short]
        ends = {"percentile": figure.bootstrap, "Student": figure.student_t, "shown": figure.interval}
        held = {kind: each.lower <= truth <= each.upper for kind, each in ends.items()}
        tally.logs += 1
        for kind in held:
            tally.held[kind] += held[kind]
        if figure.doubt is None:
            tally.relied += 1
            tally.relied_held += held["shown"]
        tally.errors.append(figure.value - truth)
        tally.told.append(figure.student_t.standard_error)
        tally.effective.append(report.weights.effective_episodes)


def line(what: str, model: str, tallies: Mapping[str, Tally]) -> str:
    """Of the table."""
    effective = float(np.mean([each for tally in tallies.values() for each in tally.effective]))
    cells = [what, model, f"{effective:.0f}"]
    for tally in tallies.values():
        percentile, student, shown = (100 * tally.held[kind] / tally.logs for kind in tally.held)
        spread = float(np.std(tally.errors))
        relied = "-" if not tally.relied else f"{100 * tally.relied_held / tally.relied:.1f} of {tally.relied}"
        bias, ratio = float(np.mean(tally.errors)) / spread, float(np.mean(tally.told)) / spread
        cells.append(f"{percentile:.1f} / {student:.1f} / {shown:.1f}; {relied}; {bias:+.2f}, {ratio:.2f}")
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Measure, and print a line for each kind of log and model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=2000, metavar="N", help="fresh logs of each kind")
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS), help="kinds of logs")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["true", "logistic"], help="where from")
    parser.add_argument("--seed", type=int, default=1)
    settings = parser.parse_args()
    torch.set_num_threads(1)
    print("| logs | propensities | effective episodes | without values | with values |\n|---|---|---|---|---|")
    for what in settings.worlds:
        world = WORLDS[what]
        truth, error = world.value(VALUE_EPISODES, np.random.default_rng([settings.seed, 0, world.steps]))
        tallies = {m: {s: Tally() for s in FIGURES[world.steps].values()} for m in settings.models}
        chosen = {m: {"tempered": 0, "networks": 0} for m in settings.models if m != "true"}
        for number in range(1, settings.replicates + 1):
            data, hidden = world.log(EPISODES, np.random.default_rng([settings.seed, 1, number]))
            for model in settings.models:
                known = replace(data, behavior_policy=hidden) if model == "true" else estimated(data, model, chosen)
                count(tallies[model], scored(known, world), world, truth)
            if number % TOLD_EVERY == 0:
                for model in settings.models:
                    print(number, line(what, model, tallies[model]), file=sys.stderr, flush=True)
        for model in settings.models:
            print(line(what, model, tallies[model]), flush=True)
        least = min(float(np.std(t.errors)) for each in tallies.values() for t in each.values())
        print(
            f"{what}: value {truth:.4f}, its error {100 * error / least:.1f} % of the least deviation; "
            f"{chosen}; standard error of a coverage near 95 %: "
            f"{100 * math.sqrt(0.05 * 0.95 / settings.replicates):.1f}",
            file=sys.stderr,
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
