"""How often a loop's gate promotes a policy that is no better, and how often one that is: ``batchrl.ope.gate`` alone.

Loops of some rounds in a small decision process with rare, large rewards. Every round a candidate of its own stands
against the policy in place, on fresh episodes of that one; what is promoted takes its place. In the process ``equal``
all policies are worth the same, so that every promotion is an error, and a loop must contain one with a probability of
at most alpha. In ``better`` every candidate pays more than what is in place.

    python bench/gate_errors.py            # some minutes
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import Literal

import numpy as np

from batchrl.data.dataset import Dataset, Floats64
from batchrl.ope.gate import judge_by_canary, judge_by_log
from batchrl.ope.level import Level
from batchrl.ope.logged import EpisodeLog, ScoredPolicy, Values

STATES, ACTIONS, STEPS = 2, 2, 5
DISCOUNT = 0.95
STAYS = np.array([[0.7, 0.7], [0.6, 0.6]])
ENDS = 0.08
# A reward comes seldom and is large, as an order does.
CHANCE, REWARD = 0.1, 10.0
GAIN = 3.0
# The logging policy of round 1; candidates leave the policy in place by as much as a tilt.
FIRST = np.array([[0.5, 0.5], [0.5, 0.5]])
LEAST_PROBABILITY = 0.1
# A rough guess of the values, so that doubly robust estimates have something to correct.
GUESS = np.array([[2.0, 2.5], [1.5, 3.0]])
HELD_OUT, CANARY = 150, 100

Process = Literal["equal", "better"]


@dataclass(frozen=True)
class Errors:
    """Of loops of one kind.

    Args:
        loops: how many.
        promoted: share of loops with at least one promotion.
        by_log: share of all rounds that the log promoted.
        by_canary: share of all rounds that a canary promoted.
        undecided: share of all rounds that stayed undecided.
    """

    loops: int
    promoted: float
    by_log: float
    by_canary: float
    undecided: float


def play(policy: Floats64, n: int, process: Process, rng: np.random.Generator) -> Dataset:
    """Episodes ``n`` of a policy ``[S, A]``; in ``better`` each step pays by the probability of action 0, too."""
    state = rng.integers(STATES, size=n)
    alive = np.ones(n, dtype=np.bool_)
    columns = []
    for _ in range(STEPS):
        action = (rng.random(n) >= policy[state, 0]).astype(np.int64)
        paid = np.where(rng.random(n) < CHANCE, REWARD, 0.0)
        if process == "better":
            paid = paid + GAIN * (action == 0)
        columns.append((state, action, paid, alive))
        stays = rng.random(n) < STAYS[state, action]
        state = np.where(stays, state, 1 - state)
        alive = alive & (rng.random(n) >= ENDS)
    states, actions, rewards, alives = (np.stack(parts, axis=1) for parts in zip(*columns, strict=True))
    lengths = alives.sum(axis=1)
    flat = states[alives]
    ends = np.cumsum(lengths) - 1
    terminal = np.zeros(len(flat), dtype=np.bool_)
    terminal[ends] = True
    features = np.eye(STATES, dtype=np.float32)[flat]
    return Dataset(
        states=features,
        actions=actions[alives],
        rewards=rewards[alives],
        next_states=features,
        terminal=terminal,
        behavior_policy=policy[flat],
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        episode_ids=tuple(map(str, range(n))),
        state_columns=("a", "b"),
    )


def candidate_of(policy: Floats64, process: Process, tilt: float, rng: np.random.Generator) -> Floats64:
    """Another policy: somewhere else, or with more of action 0 where that is better."""
    moved = policy[:, 0] + (tilt if process == "better" else rng.choice([-tilt, tilt], size=STATES))
    first = np.clip(moved, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.stack([first, 1 - first], axis=1)


def measure(
    process: Process,
    loops: int,
    rounds: int = 4,
    alpha: float = 0.05,
    tilt: float = 0.2,
    with_canary: bool = True,
    seed: int = 0,
) -> Errors:
    """Play loops and count."""
    rng = np.random.default_rng([seed, rounds, round(1000 * tilt), process == "better"])
    share = alpha / (rounds * (2 if with_canary else 1))
    any_promoted = by_log = by_canary = undecided = 0
    for number in range(loops):
        policy, promoted = FIRST, False
        for turn in range(rounds):
            level = Level(share, seed=number * rounds + turn)
            candidate = candidate_of(policy, process, tilt, rng)
            held_out = play(policy, HELD_OUT, process, rng)
            where = held_out.states.argmax(axis=1)
            scored = ScoredPolicy("candidate", candidate[where], Values(GUESS[where]))
            outcome = judge_by_log(EpisodeLog(held_out, DISCOUNT), scored, level).outcome
            by_log += outcome == "promoted"
            if outcome == "undecided" and with_canary:
                own = play(candidate, CANARY, process, rng).discounted_returns(DISCOUNT)
                outcome = judge_by_canary(own, held_out.discounted_returns(DISCOUNT), level, DISCOUNT).outcome
                by_canary += outcome == "promoted"
            undecided += outcome == "undecided"
            if outcome == "promoted":
                policy, promoted = candidate, True
        any_promoted += promoted
    total = loops * rounds
    return Errors(loops, any_promoted / loops, by_log / total, by_canary / total, undecided / total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loops", type=int, default=1000, help="of each kind (default: 1000)")
    loops = parser.parse_args().loops
    print("process  tilt  rounds  alpha  canary  loops with a promotion  by log  by canary  undecided")
    for process, tilt, rounds, with_canary in (
        ("equal", 0.1, 4, True),
        ("equal", 0.2, 4, True),
        ("equal", 0.3, 4, True),
        ("equal", 0.2, 4, False),
        ("equal", 0.2, 8, True),
        ("better", 0.1, 4, True),
        ("better", 0.2, 4, True),
    ):
        found = measure(process, loops, rounds, tilt=tilt, with_canary=with_canary)  # type: ignore[arg-type]
        print(
            f"{process:<7}  {tilt:>4}  {rounds:>6}  {0.05:>5}  {'yes' if with_canary else 'no':>6}  "
            f"{100 * found.promoted:>20.1f} %  {100 * found.by_log:>4.1f} %  {100 * found.by_canary:>7.1f} %  "
            f"{100 * found.undecided:>7.1f} %",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
