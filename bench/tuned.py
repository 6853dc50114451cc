"""What the choice of ``batchrl tune`` is worth: the pick against all candidates, by a simulator that tune never sees.

Two problems, 12 candidates each (presets x learning rates x seeds), trained two at a time on a local cloud of the
bench's own: 500 random episodes of CartPole, and a mail campaign of 4,000 users. Worth is the mean return of 100 fresh
episodes (CartPole) or exact by dynamic programming (mail); regret is what the pick loses of (best candidate - logging
policy). Wall time stands against the sum of the trainings' times, which two at a time could halve.

    python bench/tuned.py                         # both problems, a log each
    python bench/tuned.py cartpole --logs 3
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from problems import ONE_THREAD, played, script

from batchrl.checkpoints.policy import load_policy
from batchrl.collect import EnvId
from batchrl.policies import FixedPolicy, Policy
from batchrl.problems import MAIL_CAMPAIGN
from batchrl.problems.mail_model import value_of
from launcher.jobs.training import Job
from launcher.local import cloud
from launcher.reports.policies import fetch_policy
from launcher.session.session import LocalSession

FIRST_LOG = 9101
PARALLEL = 2


@dataclass(frozen=True)
class Problem:
    """A log and its candidates.

    Args:
        collect: options of ``collect.py`` beside seed and output.
        tune: options of ``batchrl tune``.
        worth: of a policy, by the simulator.
        logging: the policy that logged.
    """

    collect: tuple[str, ...]
    tune: tuple[str, ...]
    worth: Callable[[Policy], float]
    logging: Policy


PROBLEMS = {
    "cartpole": Problem(
        ("--env", "CartPole-v0", "--num-envs", "100", "--episodes", "5", "--with-ends"),
        (
            *("--preset", "generic-discrete", "--preset", "cartpole-cql", "--preset", "cartpole-iql"),
            *("--set", "agent.learning_rate=1e-3,3e-4", "--set", "epochs=4", "--seeds", "2"),
        ),
        played(EnvId("CartPole-v0")),
        FixedPolicy(np.full(2, 0.5)),
    ),
    "mail": Problem(
        ("--env", MAIL_CAMPAIGN, "--num-envs", "4000", "--episodes", "1"),
        (
            *("--preset", "mail-ddqn", "--preset", "mail-cql", "--preset", "mail-iql"),
            *("--set", "agent.learning_rate=1e-3,3e-4", "--seeds", "2", "--set", "epochs=4"),
            *("--set", "agent.updates_per_epoch=300", "--set", "agent.ensemble=1"),
        ),
        value_of,
        FixedPolicy(np.full(4, 0.25)),
    ),
}


def tuned(problem: Problem, log: Path, home: Path, name: str) -> tuple[dict[str, Any], float]:
    """The result of the command, and its wall time in seconds."""
    output = home / f"{name}.json"
    words = ("tune", str(log), *problem.tune, "--instance-type", "local_process", "--parallel", str(PARALLEL))
    command = [sys.executable, "-m", "launcher.cli", *words, "--job-name", name, "--output", str(output), "--quiet"]
    environment = {**os.environ, **ONE_THREAD, "BATCHRL_HOME": str(home)}
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise SystemExit(f"batchrl {' '.join(words)} ended with exit code {done.returncode}:\n{done.stderr}")
    return json.loads(output.read_text()), seconds


def measure(name: str, problem: Problem, seed: int, folder: Path, home: Path) -> float:
    """One log: what the pick is worth beside all others, told; the regret of it, as a share."""
    log = folder / f"{name}-{seed}.parquet"
    script("collect.py", *problem.collect, "--seed", str(seed), "--output", str(log), "--json")
    result, wall = tuned(problem, log, home, f"{name}-{seed}")
    session = LocalSession(home)
    worth = {}
    for one in result["candidates"]:
        found = fetch_policy(Job(one["name"], session), folder / one["name"])
        worth[one["name"]] = problem.worth(load_policy(found.path))
    choice = result["choice"]
    logging, best = problem.worth(problem.logging), max(worth.values())
    picked = worth[choice["pick"]] if choice["pick"] is not None else logging
    regret = (best - picked) / (best - logging)
    valued = [one for one in result["candidates"] if one["value"] is not None]
    by_score = max(valued, key=lambda one: one["value"])["name"] if valued else None
    trainings = sum(one["seconds"] for one in result["candidates"])
    print(
        f"{name} {seed}: {len(worth)} candidates worth {min(worth.values()):.2f} to {best:.2f}, mean "
        f"{statistics.fmean(worth.values()):.2f}, logging {logging:.2f}; pick {picked:.2f}, regret {regret:.1%}; "
        f"best score {'none' if by_score is None else format(worth[by_score], '.2f')}; "
        f"promoted {choice['promoted'] is not None}"
    )
    print(
        f"  wall {wall:.1f} s, trainings {trainings:.1f} s in all: {wall / trainings:.2f}; fetching "
        f"{result['seconds']['fetching']:.1f} s, choosing {result['seconds']['choosing']:.1f} s"
    )
    for doubt in (choice["ranking"] or {"doubts": ()})["doubts"]:
        print(f"  doubt: {doubt}")
    for member in (choice["ranking"] or {"members": ()})["members"]:
        if member["discarded"]:
            print(f"  {member['name']} discarded: {member['discarded']}")
    print(f"  {choice['reason']}", flush=True)
    return regret


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problems", nargs="*", metavar="PROBLEM", help=f"{', '.join(PROBLEMS)} (default: all)")
    parser.add_argument("--logs", type=int, default=1, metavar="N", help="of each (default: 1)")
    arguments = parser.parse_args()
    if unknown := set(arguments.problems) - set(PROBLEMS):
        parser.error(f"there is no problem {', '.join(sorted(unknown))}")
    if arguments.logs < 1:
        parser.error("--logs: give at least 1")
    with tempfile.TemporaryDirectory(prefix="batchrl-tuned-") as scratch:
        home = Path(scratch) / "home"
        home.mkdir()
        try:
            for name in arguments.problems or PROBLEMS:
                seeds = range(FIRST_LOG, FIRST_LOG + arguments.logs)
                regrets = [measure(name, PROBLEMS[name], seed, Path(scratch), home) for seed in seeds]
                print(f"{name}: mean regret {statistics.fmean(regrets):.1%} of {len(regrets)} logs\n", flush=True)
        finally:
            cloud.down(home, stop_jobs=True)


if __name__ == "__main__":
    main()
