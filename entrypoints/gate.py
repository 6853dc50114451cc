"""Decide whether a trained policy may take the place of the one that logged some episodes which it has never seen."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchrl.commandline.arguments import ended
from batchrl.commandline.parser import Parser
from batchrl.contract.errors import InputError

if TYPE_CHECKING:
    from batchrl.agents.target_policy import TargetPolicy
    from batchrl.data.dataset import Dataset
    from batchrl.ope.gate.gate import GateDecision
    from batchrl.ope.gate.level import Level
    from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy
    from batchrl.ope.study.sources import TrainedPolicy

EXAMPLES = """examples:
  gate held_out.parquet --model model/ --epsilon 0.1 --alpha 0.0125
  gate held_out.parquet --model model/ --epsilon 0.1 --alpha 0.0125 --canary canary.parquet
"""


def main(argv: Sequence[str]) -> int:
    """Read, judge, tell; returns the exit code."""
    arguments = make_parser().parse_args(argv)

    def unusable(error: OSError) -> InputError:
        return InputError(f"{error.filename or 'a file'} cannot be read or written: {error.strerror}.")

    return ended(lambda: judge(arguments), unusable)


def make_parser() -> Parser:
    """The script's command line."""
    parser = Parser("gate", __doc__, EXAMPLES)
    add = parser.add_argument
    add("held_out", type=Path, metavar="DATA", help="episodes of the incumbent policy that no training saw")
    add("--model", type=Path, required=True, metavar="PATH", help="the candidate: checkpoints or an exported model")
    acting = parser.add_mutually_exclusive_group(required=True)
    acting.add_argument("--epsilon", type=float, metavar="E", help="it acts greedily but for E random actions")
    acting.add_argument("--temperature", type=float, metavar="T", help="it acts by the softmax of its values")
    add("--alpha", type=float, required=True, metavar="A", help="probability at which this look may promote wrongly")
    add("--canary", type=Path, metavar="DATA", help="episodes that the candidate played: they decide, by mean return")
    add("--fqe-data", type=Path, metavar="DATA", help="fit the candidate's values on these episodes, not its own")
    add("--fqe-updates", type=int, default=20_000, metavar="N", help="gradient steps of that fit (default: 20000)")
    add("--seed", type=int, default=0, help="of resamples and fit (default: 0)")
    add("--output", type=Path, metavar="FILE", help="write the decision as JSON into a file as well")
    add("--json", action="store_true", help="print the decision as JSON")
    return parser


def judge(arguments: argparse.Namespace) -> None:
    """The script's story."""
    check(arguments)
    # Heavy imports come after the command line was read, so that --help is quick.
    from batchrl.checkpoints.files import publish_json
    from batchrl.ope.gate.level import Level
    from batchrl.ope.study.sources import read_policy

    # 1. The candidate, and the episodes that it has not seen.
    candidate = read_policy("the candidate", arguments.model)
    discount = candidate.discount
    if discount is None:
        raise InputError(f"{arguments.model} does not say its discount.", "Give what a training job wrote.")
    level = Level(arguments.alpha, arguments.seed)
    held_out = read_episodes(arguments.held_out, candidate, arguments.seed)

    # 2. One look.
    if arguments.canary is not None:
        decision = by_canary(read_episodes(arguments.canary, candidate, arguments.seed), held_out, level, discount)
    else:
        decision = by_log(arguments, candidate, held_out, level, discount)

    # 3. What it says.
    if arguments.output is not None:
        publish_json(arguments.output, decision.to_json())
    print(json.dumps(decision.to_json(), indent=2, allow_nan=False) if arguments.json else decision.reason)


def check(arguments: argparse.Namespace) -> None:
    """Refuse numbers that mean nothing, before anything is read."""
    epsilon, temperature = arguments.epsilon, arguments.temperature
    rules = (
        ("--epsilon", epsilon, epsilon is None or 0 <= epsilon <= 1, "a probability from 0 to 1"),
        ("--temperature", temperature, temperature is None or 0 < temperature < math.inf, "a number above 0"),
        ("--alpha", arguments.alpha, 0 < arguments.alpha < 0.5, "a number between 0 and 0.5"),
        ("--fqe-updates", arguments.fqe_updates, arguments.fqe_updates >= 1, "at least 1"),
        ("--seed", arguments.seed, 0 <= arguments.seed < 2**32, "0 or more"),
    )
    for option, value, right, words in rules:
        if not right:
            raise InputError(f"{option} got {value}.", f"Give {words}.")


def read_episodes(path: Path, candidate: TrainedPolicy, seed: int) -> Dataset:
    """Episodes of a file, read as the candidate's training read its own; where memory asks for it, a random part."""
    import numpy as np

    from batchrl.data.loader import load_dataset
    from batchrl.training.estimating import estimable
    from presets.dataschema import DataSettings

    columns = None if candidate.data_settings is None else candidate.data_settings.state_columns
    dataset = load_dataset(path, DataSettings(state_columns=columns), encoding=candidate.encoding).dataset
    candidate.check_fit(dataset, str(path))
    if estimable(dataset) is dataset:
        return dataset
    return estimable(dataset.select(np.random.default_rng(seed).permutation(dataset.n_episodes)))


def by_canary(canary: Dataset, held_out: Dataset, level: Level, discount: float) -> GateDecision:
    """The gate's decision from episodes that the candidate played itself."""
    from batchrl.ope.gate.gate import judge_by_canary

    return judge_by_canary(canary.discounted_returns(discount), held_out.discounted_returns(discount), level, discount)


def by_log(
    arguments: argparse.Namespace, candidate: TrainedPolicy, held_out: Dataset, level: Level, discount: float
) -> GateDecision:
    """The gate's decision from episodes that the incumbent policy logged."""
    from batchrl.agents.target_policy import TargetPolicy
    from batchrl.ope.gate.gate import judge_by_log
    from batchrl.ope.study.logged import EpisodeLog, policies_of

    if held_out.estimated_on is not None:
        raise InputError(
            f"{arguments.held_out} has no probabilities of actions, and the gate's level holds for logged ones alone.",
            "Log them, or give episodes that the candidate played itself: --canary.",
        )
    if arguments.epsilon is not None:
        target = TargetPolicy("epsilon_greedy", epsilon=arguments.epsilon)
    else:
        target = TargetPolicy("softmax", temperature=arguments.temperature)
    log = EpisodeLog(held_out, discount)
    (policy,) = policies_of(candidate.model, log, [target])
    if arguments.fqe_data is not None:
        policy = with_fitted_values(arguments, candidate, target, policy, log)
    return judge_by_log(log, policy, level)


def with_fitted_values(
    arguments: argparse.Namespace,
    candidate: TrainedPolicy,
    target: TargetPolicy,
    policy: ScoredPolicy,
    log: EpisodeLog,
) -> ScoredPolicy:
    """The policy with fitted Q evaluation of itself, softened as it is, from episodes that are not judged by."""
    from batchrl.ope.study.fitted import Following

    other = read_episodes(arguments.fqe_data, candidate, arguments.seed)
    following = Following.of_model(other, candidate.model, target)
    try:
        fitted = following.fit(log.discount, arguments.fqe_updates, arguments.seed)
    except InputError as error:
        # It speaks of a training's preset.
        hint = error.hint and error.hint.replace("ope.", "gate.")
        raise InputError(error.message.replace("ope.", "gate."), hint) from error
    return replace(policy, fitted_values=Following.of_model(log.dataset, candidate.model, target).values(fitted))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
