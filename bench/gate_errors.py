"""How often a loop's gate promotes a policy that is no better, and how often one that is: ``batchrl.ope.gate`` alone.

Loops of some rounds in a small decision process with rare, large rewards. Every round a candidate of its own stands
against the incumbent policy, on fresh episodes of that one; what is promoted takes its place. In the process ``equal``
all policies are worth the same, so that every promotion is an error, and a loop must contain one with a probability of
at most alpha. In ``better`` every candidate pays more than what is in place.

Then single looks where they are hardest: canaries and hold-outs of unequal sizes with rare, skewed or capped returns of
one distribution, and logs with few rewards that have nothing to do with the actions. Every promotion is an error there,
and a look may err with a probability of alpha.

    python bench/gate_errors.py            # five minutes on two shared cores
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from batchrl.data.dataset import Dataset, Floats64
from batchrl.ope.estimators.student import student_interval
from batchrl.ope.gate.gate import Outcome, judge_by_canary, judge_by_log
from batchrl.ope.gate.level import Level
from batchrl.ope.gate.two_samples import welch_interval
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy, Values
from batchrl.ope.study.paired import null_error, paired_difference

STATES, ACTIONS, STEPS = 2, 2, 5
DISCOUNT = 0.95
STAYS = np.array([[0.7, 0.7], [0.6, 0.6]])
ENDS = 0.08
# A reward comes seldom and is large, as an order does.
CHANCE, REWARD = 0.1, 10.0
GAIN = 3.0
# The logging policy of round 1; candidates leave the incumbent policy by as much as a tilt.
FIRST = np.array([[0.5, 0.5], [0.5, 0.5]])
LEAST_PROBABILITY = 0.1
# A rough guess of the values, so that doubly robust estimates have something to correct.
GUESS = np.array([[2.0, 2.5], [1.5, 3.0]])
HELD_OUT, CANARY = 150, 100

Process = Literal["equal", "better"]
# Of a look in a loop of four rounds with canaries.
ALPHA_OF_A_LOOK = 0.05 / 8


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


def play(
    policy: Floats64,
    n: int,
    process: Process,
    rng: np.random.Generator,
    steps: int = STEPS,
    chance: float = CHANCE,
) -> Dataset:
    """Episodes ``n`` of a policy ``[S, A]``; in ``better`` each step pays by the probability of action 0, too."""
    state = rng.integers(STATES, size=n)
    alive = np.ones(n, dtype=np.bool_)
    columns = []
    for _ in range(steps):
        action = (rng.random(n) >= policy[state, 0]).astype(np.int64)
        paid = np.where(rng.random(n) < chance, REWARD, 0.0)
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


def outcome_of_log(log: EpisodeLog, candidate: ScoredPolicy, level: Level) -> Outcome:
    """What ``judge_by_log`` says; the bootstrap can only widen Student's interval, and most looks need none."""
    ratios = log.log_ratios(candidate.probabilities)
    difference = paired_difference(log, candidate, ratios)
    student = student_interval(difference, 1 - 2 * level.alpha, null_error(log, candidate, ratios))
    return "undecided" if student.lower <= 0 <= student.upper else judge_by_log(log, candidate, level).outcome


def outcome_of_canary(canary: Floats64, in_place: Floats64, level: Level) -> Outcome:
    """What ``judge_by_canary`` says; as for a log, most looks need no bootstrap."""
    welch = welch_interval(canary, in_place, level)
    return "undecided" if welch.lower <= 0 <= welch.upper else judge_by_canary(canary, in_place, level, 1.0).outcome


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
            outcome = outcome_of_log(EpisodeLog(held_out, DISCOUNT), scored, level)
            by_log += outcome == "promoted"
            if outcome == "undecided" and with_canary:
                own = play(candidate, CANARY, process, rng).discounted_returns(DISCOUNT)
                outcome = outcome_of_canary(own, held_out.discounted_returns(DISCOUNT), level)
                by_canary += outcome == "promoted"
            undecided += outcome == "undecided"
            if outcome == "promoted":
                policy, promoted = candidate, True
        any_promoted += promoted
    total = loops * rounds
    return Errors(loops, any_promoted / loops, by_log / total, by_canary / total, undecided / total)


@dataclass(frozen=True)
class CanaryCase:
    """Samples of one distribution, as hold-out and as canary.

    Args:
        name: of the returns, in words.
        held_out: episodes.
        canary: episodes.
        draw: so many returns.
    """

    name: str
    held_out: int
    canary: int
    draw: Callable[[np.random.Generator, int], Floats64]


def paying(share: float) -> Callable[[np.random.Generator, int], Floats64]:
    """Returns of 1 in a share of the episodes, else 0."""
    return lambda rng, n: (rng.random(n) < share).astype(np.float64)


def skewed(rng: np.random.Generator, n: int) -> Floats64:
    return rng.lognormal(0, 1.5, n)


def capped(rng: np.random.Generator, n: int) -> Floats64:
    """Nineteen in twenty reach 200, the others miss it by up to 40."""
    return 200 - 40 * rng.random(n) * (rng.random(n) < 0.05)


CANARY_CASES = (
    CanaryCase("1 % pay", 150, 1000, paying(0.01)),
    CanaryCase("2 % pay", 150, 1000, paying(0.02)),
    CanaryCase("5 % pay", 30, 200, paying(0.05)),
    CanaryCase("5 % pay", 150, 100, paying(0.05)),
    CanaryCase("10 % pay", 15, 200, paying(0.1)),
    CanaryCase("99 % pay", 3000, 50, paying(0.99)),
    CanaryCase("lognormal, sigma 1.5", 30, 200, skewed),
    CanaryCase("lognormal, sigma 1.5", 150, 200, skewed),
    CanaryCase("95 % at a cap", 200, 60, capped),
)
# Probabilities of action 0 in place and of the candidate, and rewards that are expected in 150 episodes of one step.
LOG_CASES = ((0.7, 0.9, 10), (0.8, 0.9, 10), (0.9, 0.95, 15))


def measure_canary(case: CanaryCase, looks: int, seed: int = 0) -> float:
    """The share of canaries that promote."""
    rng = np.random.default_rng([seed, case.held_out, case.canary])
    promoted = 0
    for number in range(looks):
        in_place, canary = case.draw(rng, case.held_out), case.draw(rng, case.canary)
        level = Level(ALPHA_OF_A_LOOK, seed=number)
        promoted += outcome_of_canary(canary, in_place, level) == "promoted"
    return promoted / looks


def measure_log(in_place: float, candidate: float, rewards: float, looks: int, seed: int = 0) -> float:
    """The share of logs that promote a candidate that takes action 0 more often, where all actions pay alike."""
    rng = np.random.default_rng([seed, round(100 * in_place), round(rewards)])
    logging, other = (np.full((STATES, ACTIONS), [chance, 1 - chance]) for chance in (in_place, candidate))
    promoted = 0
    for number in range(looks):
        data = play(logging, HELD_OUT, "equal", rng, steps=1, chance=rewards / HELD_OUT)
        scored = ScoredPolicy("candidate", other[data.states.argmax(axis=1)])
        level = Level(ALPHA_OF_A_LOOK, seed=number)
        promoted += outcome_of_log(EpisodeLog(data, DISCOUNT), scored, level) == "promoted"
    return promoted / looks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loops", type=int, default=1000, help="of each kind (default: 1000)")
    parser.add_argument("--looks", type=int, default=4000, help="single looks of each kind (default: 4000)")
    arguments = parser.parse_args()
    tell_loops(arguments.loops)
    print(f"\nSingle looks at alpha {100 * ALPHA_OF_A_LOOK:.3f} %, policies that are worth the same")
    tell_looks(arguments.looks)


def tell_loops(loops: int) -> None:
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


def tell_looks(looks: int) -> None:
    print("look    returns                 held out  canary  promoted")
    for case in CANARY_CASES:
        share = 100 * measure_canary(case, looks)
        print(f"canary  {case.name:<22}  {case.held_out:>8}  {case.canary:>6}  {share:>6.2f} %", flush=True)
    for in_place, candidate, rewards in LOG_CASES:
        share = 100 * measure_log(in_place, candidate, rewards, looks)
        name = f"{rewards} rewards, {in_place:g}->{candidate:g}"
        print(f"log     {name:<22}  {HELD_OUT:>8}  {'-':>6}  {share:>6.2f} %", flush=True)


if __name__ == "__main__":
    main()
