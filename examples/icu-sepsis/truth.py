"""What trained policies really earn on ICU-Sepsis: exactly, by the tables, and on average in the simulator.

    python truth.py JOB ... [--episodes 20]

The value of a policy solves linear equations (713 states), the optimum is found by value iteration over eligible
actions; both leave out that the simulator cuts an episode after 500 steps, which no patient here lives to see.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from sepsis import ACTIONS, FIRST_END, STATES, SURVIVAL, clinicians, tables

from batchrl.checkpoints.finding import find_policy
from batchrl.checkpoints.policy import load_policy
from batchrl.collect import EnvId, collect, make_simulator
from batchrl.contract.errors import BatchRLError
from batchrl.policies import among_eligible
from launcher import Job

PRECISION = 1e-12


def value(policy: np.ndarray) -> float:
    """Probability of survival under a policy ``[S, A]``."""
    known = tables()
    among = np.einsum("sa,sat->st", policy[:FIRST_END], known.transitions[:FIRST_END])
    values = np.linalg.solve(np.eye(FIRST_END) - among[:, :FIRST_END], among[:, SURVIVAL])
    return float(known.start[:FIRST_END] @ values)


def optimum() -> np.ndarray:
    """The best policy of eligible actions, ``[S, A]``: each state's best action of the values that it leads to."""
    known = tables()
    values = np.zeros(STATES)
    values[SURVIVAL] = 1.0
    while True:
        of_actions = np.where(known.eligible, known.transitions @ values, -1.0)
        found = of_actions[:FIRST_END].max(axis=1)
        if np.abs(found - values[:FIRST_END]).max() < PRECISION:
            return np.eye(ACTIONS)[of_actions.argmax(axis=1)]
        values[:FIRST_END] = found


def trained(name: str) -> np.ndarray:
    """The target policy of a training job in every state, among eligible actions, ``[S, A]``."""
    with tempfile.TemporaryDirectory() as scratch:
        Job.attach(name).pull(scratch, what="model")
        model = load_policy(find_policy(Path(scratch), Path(scratch) / "policy")).model
    return model.action_probabilities(np.eye(STATES, dtype=np.float32), tables().eligible)


class ByTable:
    """A policy ``[S, A]`` that acts on states ``[B, S]`` as the log has them."""

    def __init__(self, table: np.ndarray) -> None:
        self._table = table

    def action_probabilities(self, states: np.ndarray) -> np.ndarray:
        """Probabilities ``[B, A]``."""
        return self._table[states.argmax(axis=1)]


def main() -> None:
    """Print a line a policy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", metavar="JOB", help="training jobs")
    parser.add_argument("--episodes", type=int, default=20, help="that each of 100 simulators plays (default: 20)")
    given = parser.parse_args()
    uniform = among_eligible(np.ones((STATES, ACTIONS)), tables().eligible)
    policies = {"optimum": optimum(), "uniform": uniform, "clinicians of the log": clinicians()}
    policies |= {name: trained(name) for name in given.jobs}
    simulator = make_simulator(EnvId("sepsis:ICUSepsis-v0"), 100)
    print(f"{'POLICY':24} {'EXACT':>6}  SIMULATOR")
    for name, policy in policies.items():
        returns = collect(simulator, ByTable(policy), episodes=given.episodes, seed=1000).returns
        error = returns.std(ddof=1) / len(returns) ** 0.5
        print(f"{name:24} {value(policy):6.3f}  {returns.mean():.3f} +- {error:.3f} (s.e.)", flush=True)


if __name__ == "__main__":
    try:
        main()
    except BatchRLError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
