"""Estimate from logged episodes what policies would earn: off-policy evaluation, without training and a simulator."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from batchrl.commandline.arguments import ended
from batchrl.commandline.parser import Parser
from batchrl.contract.errors import InputError
from batchrl.contract.given import WRITTEN, is_given
from batchrl.contract.rewardrange import reward_range

if TYPE_CHECKING:
    from batchrl.agents.target_policy import TargetPolicy
    from batchrl.data.encoding import Encoding
    from batchrl.data.loader import LoadedData
    from batchrl.ope.report.report import OpeReport
    from batchrl.ope.study.sources import TrainedPolicy
    from batchrl.ope.study.study import FqeSettings
    from presets.dataschema import DataSettings

EXAMPLES = """examples:
  ope cartpole.csv --model results/checkpoints --policy greedy --policy softmax
  ope campaign.parquet --output ope.json            # its columns target_action_probabilities are the policy
"""
KINDS: tuple[Literal["greedy", "epsilon_greedy", "softmax"], ...] = ("greedy", "epsilon_greedy", "softmax")


def main(argv: Sequence[str]) -> int:
    """Read, score, report; returns the exit code."""
    arguments = make_parser().parse_args(argv)

    def story() -> None:
        check(arguments)
        tell(estimate(arguments), arguments)

    def unusable(error: OSError) -> InputError:
        return InputError(f"{error.filename or 'a file'} cannot be read or written: {error.strerror}.")

    return ended(story, unusable)


def make_parser() -> Parser:
    """The script's command line."""
    parser = Parser("ope", __doc__, EXAMPLES)
    add = parser.add_argument
    add("data", type=Path, metavar="DATA", help="the logged episodes: a csv or Parquet file, or a folder of them")
    add(
        "--model",
        action="append",
        default=[],
        metavar="[NAME=]PATH",
        help="a trained policy: checkpoints, a .pt file, an exported model, a model.tar.gz; several may be given. "
        "Without any, the policy is the column target_action_probabilities of DATA (and target_q_values its values)",
    )
    add(
        "--policy",
        action="append",
        default=[],
        metavar="P",
        help=f"{', '.join(KINDS)}: what is made of a model's values (default: its own target policy, and "
        "epsilon_greedy); or a "
        "policy that nobody trained: uniform, most-frequent, '[0.3, 0.7]', always:1 (an action), a CSV of rules, "
        "module:name",
    )
    add("--epsilon", type=float, default=0.1, help="epsilon_greedy: probability of a random action (default: 0.1)")
    add("--temperature", type=float, default=1.0, help="softmax: temperature of the values (default: 1)")
    add("--no-mask", action="store_true", help="let the policy take actions that its mask forbids")
    add("--discount", type=float, help="of one step (default: the policy's own; 0.99 where none is known)")
    add(
        "--episodes",
        choices=("auto", "test", "evaluation", "all"),
        default="auto",
        help="auto: where DATA trained the policy, the test episodes of that run, or else its evaluation episodes",
    )
    add("--estimators", metavar="LIST", help="some of them, as wis,wdr (default: all that can be made)")
    add("--resamples", type=int, default=1000, help="of episodes, for the intervals (default: 1000)")
    add("--confidence", type=float, default=0.95, help="that intervals aim to cover (default: 0.95)")
    add("--seed", type=int, default=0, help="of resamples and of fitted values (default: 0)")
    add(
        "--reward-range",
        metavar="LOW:HIGH",
        help="what a step can pay, for the bounds, as 0:1 or --reward-range=-1:1 (default: the logged range)",
    )
    add(
        "--clip", type=float, metavar="RATIO", help="largest ratio of a step: less variance, but a bias (default: none)"
    )
    add("--fqe", action="store_true", help="fit values of each policy, on episodes that are not scored with them")
    add("--fqe-data", type=Path, metavar="DATA", help="fit them on this data instead; implies --fqe")
    add("--fqe-updates", type=int, default=20_000, metavar="N", help="gradient steps of a fit (default: 20000)")
    add("--data-spec", type=Path, metavar="FILE", help="describes DATA (default: as the policy's own data was)")
    add("--map", metavar="NAME=COLUMN,...", help="what DATA calls its columns, as episode=user_id,reward=margin")
    add("--state-columns", metavar="A,B", help="columns of the state (default: the policy's own, or all)")
    add("--set", action="append", default=[], metavar="data.KEY=VALUE", help="a key of the section data of a preset")
    add(
        "--loggers",
        choices=("separate", "balanced"),
        help="whose probabilities weigh an episode: its logger's, or all's",
    )
    add("--schema", choices=("auto", "A", "B"), help="of DATA (default: what its last rows say)")
    add("--data-name", metavar="TEXT", help="what the report calls DATA (default: its path)")
    add("--baseline", choices=("logged", "first"), default="logged", help="what differences are against")
    add("--rank", action="store_true", help="rank the policies by fitted values as well, where there are two or more")
    add("--brief", action="store_true", help="one figure a policy, the most reliable first")
    add("--json", action="store_true", help="print the report as JSON")
    add("--output", type=Path, metavar="FILE", help="write the JSON into a file as well")
    return parser


def check(arguments: argparse.Namespace) -> None:
    """Refuse numbers that mean nothing, before anything is read."""
    rules = (
        ("--epsilon", arguments.epsilon, 0 <= arguments.epsilon <= 1, "a probability from 0 to 1"),
        ("--temperature", arguments.temperature, 0 < arguments.temperature < float("inf"), "a number above 0"),
        ("--discount", arguments.discount, arguments.discount is None or 0 <= arguments.discount <= 1, "0 to 1"),
        ("--resamples", arguments.resamples, 0 <= arguments.resamples <= 1_000_000, "0 to 1000000"),
        ("--confidence", arguments.confidence, 0 < arguments.confidence < 1, "a number between 0 and 1"),
        ("--seed", arguments.seed, 0 <= arguments.seed < 2**32, "0 or more"),
        ("--clip", arguments.clip, arguments.clip is None or arguments.clip >= 1, "a number from 1 on"),
        ("--fqe-updates", arguments.fqe_updates, arguments.fqe_updates >= 1, "at least 1"),
    )
    for option, value, right, words in rules:
        if not right:
            raise InputError(f"{option} got {value}.", f"Give {words}.")
    reward_range(arguments.reward_range)
    for text in arguments.policy:
        if text not in KINDS and not is_given(text):
            raise InputError(f"--policy {text}: there is no such policy.", f"Write {', '.join(KINDS)}; or {WRITTEN}.")
    if set(arguments.policy) & set(KINDS) and not any(not is_given(text) for text in arguments.model):
        raise InputError(
            "--policy without --model: the columns of DATA are the policy already.", "Leave it out, or name a model."
        )


def estimate(arguments: argparse.Namespace) -> OpeReport:
    """The script's story."""
    # Heavy imports come after the command line was read, so that --help is quick.
    from batchrl.data.loader import load_dataset
    from batchrl.naming import import_from_here
    from batchrl.ope.choice.asked import ranking_of
    from batchrl.ope.report.verdict import rank
    from batchrl.ope.study.given import given_policies
    from batchrl.ope.study.scoring import ScoreSettings
    from batchrl.ope.study.study import Question, answer

    # 1. The policies, and how their own training read its data.
    import_from_here()
    policies = trained_policies(arguments)
    data = data_settings(arguments, policies)

    # 2. The log.
    named = [text for text in (*arguments.model, *arguments.policy) if text not in KINDS and is_given(text)]
    by_columns = not policies and not named
    encoding = policies[0].encoding if policies else None
    loaded = load_dataset(arguments.data, data, with_targets=by_columns, encoding=encoding)
    for note in loaded.notes:
        print(f"note: {note}", file=sys.stderr, flush=True)
    given = given_policies(named, loaded.dataset)

    # 3. All policies on the same episodes and resamples.
    settings = ScoreSettings(
        arguments.resamples,
        arguments.confidence,
        arguments.seed,
        chosen_estimators(arguments.estimators),
        reward_range(arguments.reward_range),
    )
    question = Question(
        source=arguments.data_name or str(arguments.data),
        policies=policies,
        targets=targets(arguments),
        given=given,
        first=len(policies) if arguments.model and is_given(arguments.model[0]) else 0,
        episodes=arguments.episodes,
        discount=arguments.discount,
        baseline=arguments.baseline,
        clip=arguments.clip,
        settings=settings,
        fqe=fqe_settings(arguments, data, by_columns, loaded.dataset.encoding),
    )
    found = answer(question, loaded, progress=lambda text: print(text, file=sys.stderr, flush=True))
    if arguments.rank and len(policies) + len(given) > 1:
        print("ranking the policies by fitted values", file=sys.stderr, flush=True)
        found = replace(found, ranking=ranking_of(question, loaded, found.settings["discount"]))
    return replace(found, policies=sorted(found.policies, key=rank)) if arguments.brief else found


def trained_policies(arguments: argparse.Namespace) -> list[TrainedPolicy]:
    """The policies that ``--model`` names."""
    from batchrl.ope.study.sources import read_policy

    policies = []
    for text in arguments.model:
        if is_given(text):
            continue
        name, equals, path = text.partition("=")
        named = bool(equals) and not Path(text).exists()
        policy = read_policy(name, Path(path)) if named else read_policy(text, Path(text))
        policies.append(policy.without_mask() if arguments.no_mask else policy)
    return policies


def data_settings(arguments: argparse.Namespace, policies: Sequence[TrainedPolicy]) -> DataSettings:
    """How to read the log: as the first policy's run did, unless options say otherwise."""
    from presets.dataschema import DataSettings
    from presets.dataspec import changed, overrides_of
    from presets.errors import PresetError

    known = next((policy.data_settings for policy in policies if policy.data_settings is not None), DataSettings())
    try:
        changes = overrides_of(arguments.data_spec, arguments.map, arguments.state_columns, arguments.set)
        if arguments.loggers is not None:
            changes["data.loggers"] = arguments.loggers
        if arguments.schema is not None:
            changes["data.csv_schema"] = arguments.schema
        return changed(known, changes)
    except PresetError as error:
        raise InputError(error.message, error.hint) from error


def targets(arguments: argparse.Namespace) -> list[TargetPolicy | None]:
    """The target policies that ``--policy`` names; without any, a model's own, which is served, and one beside it."""
    from batchrl.agents.target_policy import TargetPolicy

    kinds = [kind for kind in KINDS if kind in arguments.policy]
    if not kinds:
        return [None, TargetPolicy("epsilon_greedy", arguments.temperature, arguments.epsilon)]
    kinds.sort(key=arguments.policy.index)
    return [TargetPolicy(kind, arguments.temperature, arguments.epsilon) for kind in kinds]


def chosen_estimators(text: str | None) -> tuple[str, ...] | None:
    """Names of the estimators that a list of short ones means."""
    from batchrl.ope.report.text import OF_DECISIONS, SHORT_NAMES

    if text is None:
        return None
    known = {short.lower(): name for table in (OF_DECISIONS, SHORT_NAMES) for name, short in table.items()}
    chosen = [part.strip().lower() for part in text.split(",")]
    for part in chosen:
        if part not in known:
            near = difflib.get_close_matches(part, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."
            raise InputError(f"--estimators: '{part}' is unknown.", hint)
    return tuple(known[part] for part in chosen)


def fqe_settings(
    arguments: argparse.Namespace, data: DataSettings, with_targets: bool, encoding: Encoding | None
) -> FqeSettings | None:
    """How fitted Q evaluation is to be done; None where it was not asked for."""
    from batchrl.data.loader import load_dataset
    from batchrl.ope.study.study import FqeSettings

    if not (arguments.fqe or arguments.fqe_data):
        return None
    other: LoadedData | None = None
    if arguments.fqe_data is not None:
        # Nothing is weighed there: who logged it does not matter.
        data = data.model_copy(update={"loggers": "separate"})
        other = load_dataset(arguments.fqe_data, data, with_targets=with_targets, encoding=encoding)
    return FqeSettings(arguments.fqe_updates, other, str(arguments.fqe_data))


def tell(found: OpeReport, arguments: argparse.Namespace) -> None:
    """Write the file, then print."""
    from batchrl.checkpoints.files import publish_json
    from batchrl.ope.report.text import brief_report, full_report

    if arguments.output is not None:
        publish_json(arguments.output, found.to_json())
    if arguments.json:
        print(json.dumps(found.to_json(), indent=2, allow_nan=False))
    else:
        print("\n".join(brief_report(found) if arguments.brief else full_report(found)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
