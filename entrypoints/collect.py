"""Play episodes in vectorised environments and log them as a data set for training."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from batchrl.commandline.arguments import ended
from batchrl.commandline.parser import Parser
from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.contract.limits import COPIES_GIB

EXAMPLES = """examples:
  collect --env CartPole-v0 --num-envs 100 --episodes 5 --output cartpole.csv
  collect --env CartPole-v0 --num-envs 100 --steps 500 --policy checkpoints/ --epsilon 0.1 --output next.parquet
  collect --env batchrl/MailCampaign-v0 --num-envs 4000 --episodes 1 --output mail.csv
"""

STEPS_OF_A_CHECK = 20


def main(argv: Sequence[str]) -> int:
    """Collect, write, report; returns the exit code."""
    arguments = make_parser().parse_args(argv)

    def unwritable(error: OSError) -> InputError:
        return InputError(f"{arguments.output} cannot be written: {error.strerror or error}.")

    return ended(lambda: collect_to_file(arguments), unwritable, "interrupted: nothing was written")


def make_parser() -> Parser:
    """The script's command line."""
    parser = Parser("collect", __doc__, EXAMPLES)
    add = parser.add_argument
    add("--env", required=True, metavar="ID", help="Gymnasium id; module:ID imports the module first")
    add("--num-envs", type=int, default=100, metavar="N", help="environments stepped together (default: 100)")
    add(
        "--env-memory",
        type=float,
        default=COPIES_GIB,
        metavar="GIB",
        help="what copies of the environment may take together; of one with a big table fewer are built, which play in "
        f"turns, with the same result (default: {COPIES_GIB:g})",
    )
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--episodes", type=int, metavar="N", help="whole episodes for each environment (default: 5)")
    amount.add_argument("--steps", type=int, metavar="N", help="steps for each environment; implies --with-ends")
    add("--max-episode-steps", type=int, metavar="N", help="cut episodes there (default: the environment's own cap)")
    add("--seed", type=int, default=0, help="of environments and actions (default: 0)")
    add(
        "--policy",
        default="uniform",
        metavar="P",
        help="uniform; probabilities of the actions such as '[0.3, 0.7]'; always:1, a constant action; a CSV of rules; "
        "the path of a trained policy: a folder of checkpoints, one .pt file, an exported model; or module:name of one "
        "in Python, such as "
        "batchrl.problems.logging:CartPoleController (default: uniform)",
    )
    add(
        "--epsilon",
        type=float,
        metavar="E",
        help="take the policy's best action, but a random one with probability E: of those that it may take, where it "
        "is a trained policy that acts under a mask",
    )
    add("--temperature", type=float, metavar="T", help="act by the softmax of a trained policy's values")
    add("--output", required=True, type=Path, metavar="FILE", help="the data set: .csv, .csv.gz or .parquet")
    add("--format", choices=("csv", "csv.gz", "parquet"), help="format of the file (default: what its name says)")
    add("--with-ends", action="store_true", help="add columns terminal, truncated, next_state_feature_*")
    add("--check", action="store_true", help="print as JSON what would be played, and play nothing")
    add("--json", action="store_true", help="print the summary as JSON")
    return parser


def collect_to_file(arguments: argparse.Namespace) -> None:
    """The script's story: everything is checked before the first episode is played."""
    # Heavy imports come after the command line was read, so that --help is quick.
    from batchrl.collect.acting import Softening, make_policy
    from batchrl.collect.actions import ActingOn
    from batchrl.collect.environments import EnvId, make_simulator
    from batchrl.collect.rollouts import collect
    from batchrl.collect.summary import ReturnSummary
    from batchrl.collect.table import ensure_writable, format_of, to_frame, write_table
    from batchrl.naming import import_from_here

    import_from_here()
    file_format = format_of(arguments.output, arguments.format)
    if arguments.seed < 0:
        raise InputError(f"--seed got {arguments.seed}.", "Give 0 or more.")
    if arguments.max_episode_steps is not None and arguments.max_episode_steps < 1:
        raise InputError(f"--max-episode-steps got {arguments.max_episode_steps}.", "Give at least 1.")
    if not 0 < arguments.env_memory < float("inf"):
        raise InputError(f"--env-memory got {arguments.env_memory:g}.", "Give a number of GiB above 0.")
    env = EnvId(arguments.env, arguments.max_episode_steps).resolved()
    simulator = make_simulator(env, arguments.num_envs, arguments.env_memory)
    softening = Softening(arguments.epsilon, arguments.temperature)
    features = [f"{columns.STATE_FEATURE_PREFIX}{number}" for number in range(simulator.n_features)]
    policy = make_policy(arguments.policy, ActingOn(simulator.n_actions, features), softening)
    if arguments.check:
        # A few steps tell whether the policy is for this environment, and whether anything is left to chance.
        first = collect(simulator, policy, steps=STEPS_OF_A_CHECK, seed=arguments.seed)
        by_chance = bool((first.probabilities.max(axis=1) < 1).any())
        facts = {"env": arguments.env, "actions": simulator.n_actions, "features": simulator.n_features}
        facts |= {"by_chance": by_chance, "max_episode_steps": env.max_episode_steps or simulator.episode_cap}
        facts |= {"eligible": first.eligible is not None}
        print(json.dumps(facts))
        return
    ensure_writable(arguments.output)
    if notice := simulator.notice():
        print(f"{arguments.env}: {notice} (--env-memory {arguments.env_memory:g})", file=sys.stderr)
    episodes = 5 if arguments.episodes is None and arguments.steps is None else arguments.episodes

    begun = time.monotonic()
    with progress_bar("playing") as progress:
        rollouts = collect(
            simulator, policy, episodes=episodes, steps=arguments.steps, seed=arguments.seed, progress=progress
        )
    frame = to_frame(rollouts, with_ends=arguments.with_ends or arguments.steps is not None)
    with progress_bar("writing") as progress:
        write_table(frame, arguments.output, file_format, progress)
    summary = ReturnSummary.of(rollouts)
    if arguments.json:
        facts = {"output": str(arguments.output), "format": file_format, "env": arguments.env, "seed": arguments.seed}
        print(json.dumps({**facts, **summary.to_dict(), "seconds": round(time.monotonic() - begun, 3)}))
    else:
        print(f"{summary} -> {arguments.output}")


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr while it is a terminal; otherwise nothing."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
