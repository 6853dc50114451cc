"""Returns by agent where a constraint decides, and where one step of improvement is not enough.

Every agent learns from the same logs, by its preset of the problem; the policy is the one that its run chose from the
log alone. The figures are what that policy is really worth, greedily: on CartPole and Acrobot the mean return of the
same 100 fresh episodes, on the mail campaign its exact value by dynamic programming. The presets were fixed before the
logs were drawn, and the seeds of the logs are for these tables alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchrl.checkpoints.policy import load_policy
from batchrl.collect import EnvId
from batchrl.collect.evaluation import evaluate
from batchrl.contract.paths import JobPaths
from batchrl.policies import GreedyPolicy, Policy
from batchrl.problems import MAIL_CAMPAIGN
from batchrl.problems.mail_model import optimal_value, value_of

ENTRYPOINTS = Path(__file__).resolve().parent.parent / "entrypoints"
FIRST_LOG = 7001
LOGS = 3
EVALUATION_SEED = 9_000_000
EVALUATION_EPISODES = 100
CONSTRAINED = ("bcq", "bcq-nn", "bcq-knn", "cql", "iql", "bc")
ITERATED = ("ddqn", "bcq", "cql", "iql")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Case:
    """Logs of one kind, and who learns from them.

    Args:
        what: title of the table.
        problem: first word of the presets.
        collect: options of ``collect.py`` beside seed and output.
        agents: last words of the presets.
        worth: what a greedy policy is worth in the simulator.
        best: what the best policy is worth, where that is known.
    """

    what: str
    problem: str
    collect: tuple[str, ...]
    agents: tuple[str, ...]
    worth: Callable[[Policy], float]
    best: float | None = None


def played(env: EnvId) -> Callable[[Policy], float]:
    """The mean return of fresh episodes, the same for every policy."""

    def worth(policy: Policy) -> float:
        n = EVALUATION_EPISODES
        return evaluate(policy, env, evaluate_steps=1, min_episodes=n, num_envs=n, seed=EVALUATION_SEED).mean_return

    return worth


CARTPOLE = ("--env", "CartPole-v0", "--num-envs", "100", "--with-ends")
CASES = {
    "narrow": Case(
        "CartPole, 100 episodes of a narrow controller (cap 200)",
        "cartpole",
        (*CARTPOLE, "--episodes", "1", "--policy", "batchrl.problems.logging:CartPoleController"),
        ("dqn", "ddqn", "one-step", *CONSTRAINED),
        played(EnvId("CartPole-v0")),
    ),
    "uniform": Case(
        "CartPole, 500 uniformly random episodes (cap 200)",
        "cartpole",
        (*CARTPOLE, "--episodes", "5"),
        ("dqn", "ddqn", "one-step", *CONSTRAINED),
        played(EnvId("CartPole-v0")),
    ),
    "acrobot": Case(
        "Acrobot, 200 episodes of an idler (cap 500)",
        "acrobot",
        (
            *("--env", "Acrobot-v1", "--num-envs", "100", "--episodes", "2", "--with-ends"),
            *("--policy", "batchrl.problems.logging:AcrobotIdler"),
        ),
        (*ITERATED, "one-step", "bc"),
        played(EnvId("Acrobot-v1")),
    ),
    "mail": Case(
        "mail campaign, 4,000 users with uniformly random mails",
        "mail",
        ("--env", MAIL_CAMPAIGN, "--num-envs", "4000", "--episodes", "1"),
        (*ITERATED, "one-step", "bc"),
        lambda policy: value_of(GreedyPolicy(policy)),
        optimal_value(),
    ),
}


@dataclass(frozen=True)
class Result:
    """What an agent made of a log.

    Args:
        worth: of the chosen policy, in the simulator.
        epoch: that was chosen.
        seconds: wall time of the training job.
    """

    worth: float
    epoch: int
    seconds: float


def script(name: str, *options: str) -> str:
    """Run a script of the product on one thread; what it printed."""
    command = [sys.executable, str(ENTRYPOINTS / name), *options]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **ONE_THREAD})
    if done.returncode != 0:
        raise SystemExit(f"{shlex.join(command)} ended with exit code {done.returncode}:\n{done.stderr}")
    return done.stdout


def learn(case: Case, agent: str, log: Path, folder: Path) -> Result:
    """Train by the preset, take the checkpoint that the run called best, and see what it is worth."""
    began = time.perf_counter()
    options = {"preset": f"{case.problem}-{agent}", "training": log, "output": folder, "save_model": 0}
    script("train.py", *(word for name, value in options.items() for word in (f"--{name}", str(value))))
    seconds = time.perf_counter() - began
    policy = load_policy(JobPaths(folder).checkpoints)
    return Result(case.worth(policy), int(policy.describe()["epoch"]), seconds)


def run(case: Case, seeds: Sequence[int]) -> str:
    """All agents on all logs; the table as Markdown."""
    print(f"\n{case.what}\n  logs: collect.py {shlex.join(case.collect)} --seed ...", flush=True)
    logged: list[float] = []
    results: dict[str, list[Result]] = {agent: [] for agent in case.agents}
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="batchrl-problems-") as name:
            log = Path(name) / "log.parquet"
            summary = script("collect.py", *case.collect, "--seed", str(seed), "--output", str(log), "--json")
            logged.append(float(json.loads(summary)["mean_return"]))
            for agent in case.agents:
                result = learn(case, agent, log, Path(name) / agent)
                results[agent].append(result)
                said = f"{result.worth:8.2f} (epoch {result.epoch}, {result.seconds:.0f} s)"
                print(f"  log {seed}, {case.problem}-{agent}: {said}", flush=True)
    rows = [["agent", *(f"log {seed}" for seed in seeds), "mean"], ["---", *["---:"] * (len(seeds) + 1)]]
    figures = {"(the logging policy)": logged} | {
        f"{case.problem}-{agent}": [result.worth for result in found] for agent, found in results.items()
    }
    for who, values in figures.items():
        rows.append([who, *(f"{value:.2f}" for value in values), f"{statistics.fmean(values):.2f}"])
    if case.best is not None:
        rows.append(["(the best policy)", *[""] * len(seeds), f"{case.best:.2f}"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="case", help=f"some of {', '.join(CASES)}; all when none is named")
    parser.add_argument("--logs", type=int, default=LOGS, metavar="N", help=f"logs of each kind (default: {LOGS})")
    parser.add_argument("--first", type=int, default=FIRST_LOG, metavar="SEED", help="seed of the first log")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.cases if name not in CASES]
    if unknown:
        parser.error(f"there is no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    if arguments.logs < 1:
        parser.error("--logs: give at least 1")
    seeds = range(arguments.first, arguments.first + arguments.logs)
    for name in arguments.cases or CASES:
        print(f"\n{run(CASES[name], seeds)}", flush=True)


if __name__ == "__main__":
    main()
