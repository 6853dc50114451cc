"""Hyperparameters of the notebooks that trained with Intel Coach: what each means here, said in the job's log.

``RLCOACH_PRESET`` says that a notebook is one of them. Names that mean nothing to a script are refused by
``contract.hyperparameters.refuse_misplaced``.
"""

from __future__ import annotations

from pathlib import Path

import presets
from batchrl.commandline.arguments import ScriptArguments
from batchrl.contract.hyperparameters import EVALUATE_STEPS, LEGACY_PRESET, SAVE_MODEL


def say_meanings(arguments: ScriptArguments) -> None:
    """Print ``meanings``."""
    for line in meanings(arguments):
        print(line, flush=True)


def reward_line(arguments: ScriptArguments, mean_return: float, episodes: int, steps: int) -> str | None:
    """The line of an evaluation in Coach's form, the metric ``reward-testing`` of the SDK's ``RLEstimator``.

    None where the job was not asked for in Coach's words. Coach said it of each episode, this is their mean.
    """
    if LEGACY_PRESET not in arguments.options:
        return None
    return f"Testing> Name=main_level/agent, Episodes={episodes}, Total reward={mean_return:.2f}, Steps={steps}"


def meanings(arguments: ScriptArguments, folder: Path | None = None) -> list[str]:
    """What the names of an old notebook mean, a line each; none where it uses none.

    Args:
        arguments: those of the script; its preset is one of ours.
        folder: of the job's code; by default where this process works.
    """
    named = arguments.options.get(LEGACY_PRESET, "").strip()
    if not named:
        return []
    lines = [f"{LEGACY_PRESET}={named}: batchrl's preset {presets.ALIASES.get(named, named)}"]
    program = (folder or Path.cwd()) / f"{named}.py"
    if "/" not in named and program.is_file():
        lines.append(
            f"warning: {program.name} is not read: a preset of Coach is a program, one of batchrl's is settings. Give "
            "what you changed as hyperparameters, such as agent.discount or Coach's rl.agent_params.algorithm.discount"
        )
    if SAVE_MODEL in arguments.options and arguments.flag(SAVE_MODEL, default=True):
        lines.append(f"{SAVE_MODEL}=1: the best epoch's policy becomes model.tar.gz, which serves it (Coach: the last)")
    given = arguments.options.get(EVALUATE_STEPS)
    if given is not None:
        lines.append(
            f"{EVALUATE_STEPS}={given}: at least so many steps, in whole episodes; min_episodes says how many at least"
        )
    return lines
