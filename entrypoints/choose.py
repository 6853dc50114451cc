"""Choose one of several trained policies from logged episodes, or none: ranked, then judged where none was trained."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from batchrl.commandline.arguments import ended
from batchrl.commandline.parser import Parser
from batchrl.contract.errors import InputError
from batchrl.contract.rewardrange import reward_range

if TYPE_CHECKING:
    from batchrl.ope.gate.candidates import Choice

EXAMPLES = """examples:
  choose log.csv --model a=run-a/checkpoints --model b=run-b/checkpoints
  choose log.csv --model a.tar.gz --model b.tar.gz --reward-range 0:1 --output choice.json
"""


def main(argv: Sequence[str]) -> int:
    """Read, choose, tell; returns the exit code."""
    arguments = make_parser().parse_args(argv)

    def unusable(error: OSError) -> InputError:
        return InputError(f"{error.filename or 'a file'} cannot be read or written: {error.strerror}.")

    return ended(lambda: tell(chosen(arguments), arguments), unusable)


def make_parser() -> Parser:
    """The script's command line."""
    parser = Parser("choose", __doc__, EXAMPLES)
    add = parser.add_argument
    add("data", type=Path, metavar="DATA", help="the log that the policies were trained on")
    add("--model", action="append", required=True, metavar="[NAME=]PATH", help="a trained policy; give several")
    add("--alpha", type=float, default=0.05, help="at which a pick may be promoted that is no better (default: 0.05)")
    add("--discount", type=float, help="of one step (default: the largest that a policy was trained with)")
    add("--reward-range", metavar="LOW:HIGH", help="what a step can pay, as 0:1; bets then bound the gain as well")
    add("--seed", type=int, default=0, help="of everything random (default: 0)")
    add("--data-name", metavar="TEXT", help="what messages call DATA (default: its path)")
    add("--output", type=Path, metavar="FILE", help="write the choice as JSON into a file as well")
    add("--json", action="store_true", help="print the choice as JSON")
    return parser


def chosen(arguments: argparse.Namespace) -> Choice:
    """The script's story."""
    limits = reward_range(arguments.reward_range)
    check(arguments)
    # Heavy imports come after the command line was read, so that --help is quick.
    from batchrl.data.loader import load_dataset
    from batchrl.ope.gate.candidates import Terms, choose
    from batchrl.ope.study.sources import read_policy
    from batchrl.training.estimating import estimable
    from presets.dataschema import DataSettings

    # 1. The candidates, by names of their own.
    policies = []
    for text in arguments.model:
        name, equals, path = text.partition("=")
        named = bool(equals) and not Path(text).exists()
        policies.append(read_policy(name, Path(path)) if named else read_policy(text, Path(text)))
    names = [policy.name for policy in policies]
    if len(set(names)) < len(names):
        raise InputError(f"--model: '{max(names, key=names.count)}' is named twice.", "Name it once.")

    # 2. The log, read as the first candidate's run read it.
    data = next((policy.data_settings for policy in policies if policy.data_settings is not None), DataSettings())
    loaded = load_dataset(arguments.data, data, encoding=policies[0].encoding)

    # 3. The choice.
    print(f"choosing among {len(policies)} policies", file=sys.stderr, flush=True)
    source = arguments.data_name or str(arguments.data)
    terms = Terms(source, arguments.alpha, arguments.seed, arguments.discount, limits)
    return choose(policies, loaded, terms, estimable)


def check(arguments: argparse.Namespace) -> None:
    """Refuse numbers that mean nothing, before anything is read."""
    discount = arguments.discount
    rules = (
        ("--alpha", arguments.alpha, 0 < arguments.alpha < 0.5, "a number between 0 and 0.5"),
        ("--discount", discount, discount is None or 0 <= discount <= 1, "0 to 1"),
        ("--seed", arguments.seed, 0 <= arguments.seed < 2**32, "0 or more"),
    )
    for option, value, right, words in rules:
        if not right:
            raise InputError(f"{option} got {value}.", f"Give {words}.")


def tell(found: Choice, arguments: argparse.Namespace) -> None:
    """Write the file, then print."""
    from batchrl.checkpoints.files import publish_json

    if arguments.output is not None:
        publish_json(arguments.output, found.to_json())
    if arguments.json:
        print(json.dumps(found.to_json(), indent=2, allow_nan=False))
        return
    for place in () if found.ranking is None else found.ranking.places:
        print(f"{place.rank:>4}  {place.source}")
    print(f"{'keep what you have' if not found.promoted else found.pick}: {found.reason}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
