"""What settings alone show to be too little for a round: a loop's settings cannot be changed once it has begun.

Fits are judged by the longest episodes that the environment allows, whether they will come or not.
"""

from __future__ import annotations

import math

from batchrl.contract.errors import InputError
from batchrl.contract.limits import LEAST_HELD_OUT, effective_horizon, held_out_size, least_fqe_updates
from launcher.iterate.settings import LoopSettings


def check_division(settings: LoopSettings) -> None:
    """Refuse too few episodes for the gate and the parts of the training, whatever their lengths.

    Raises:
        InputError: they are too few, or ``train.data.max_transitions`` is.
    """
    preset, data = settings.preset, settings.train.data
    parts = 2 if data.test_ratio == 0 else 3
    needed = f"the training divides its episodes into {parts} parts"
    if data.max_transitions is not None and data.max_transitions < parts:
        raise InputError(
            f"train.data.max_transitions is {data.max_transitions}: {needed}, each of at least an episode.",
            "Leave it out, or give as many transitions as some episodes have.",
        )
    wanted = preset.collect.episodes
    copies = min(preset.collect.num_envs, wanted)
    played = copies * math.ceil(wanted / copies)
    left = played - held_out_size(played, preset.gate.holdout)
    if left < max(parts, LEAST_HELD_OUT):
        raise InputError(
            f"collect.episodes gives {played} episodes, of which gate.holdout={preset.gate.holdout:g} leaves {left} to "
            f"learn from: {needed}.",
            "Raise collect.episodes, or lower gate.holdout.",
        )


def check_names(settings: LoopSettings) -> None:
    """Refuse descriptions of logs: what a loop plays, and the first data that it is given, bear batchrl's own names.

    Raises:
        InputError: columns are called otherwise.
    """
    data = settings.train.data
    called = [f"columns.{name}" for name, column in data.columns if column is not None]
    called += [name for name in ("state_columns", "next_state_columns", "actions") if getattr(data, name) is not None]
    if called:
        raise InputError(
            f"train.data.{called[0]}: a loop's own episodes bear batchrl's names of columns, and so must its first "
            "data.",
            "Leave it out; `batchrl data convert DATA log.parquet --data-spec FILE` writes that data in these names.",
        )


def check_fits(settings: LoopSettings, longest: int | None) -> None:
    """Refuse too few gradient steps for fitted Q evaluation of the longest episodes that there may be.

    Args:
        settings: of the loop.
        longest: steps after which an episode is cut; None where that is not known, and nothing is refused.

    Raises:
        InputError: they are too few.
    """
    if longest is None:
        return
    train, gate = settings.train, settings.preset.gate
    horizon = effective_horizon(longest, train.agent.discount)
    least = least_fqe_updates(horizon)
    for section, wanted in (("gate", gate), ("train.ope", train.ope)):
        if wanted.q_function == "fqe" and wanted.fqe_updates < least:
            raise InputError(
                f"{section}.fqe_updates is {wanted.fqe_updates}: fitted Q evaluation needs at least {least} to carry "
                f"rewards over {horizon:g} steps, as long as episodes may get.",
                f"Set {section}.fqe_updates={10 * least} or more.",
            )


def check_eligible(listed: bool, source: str) -> None:
    """Refuse problems in which not every action can be taken: a loop's policies are asked without being told which.

    Args:
        listed: whether the actions that can be taken are listed.
        source: the environment or the data.

    Raises:
        InputError: they are.
    """
    if listed:
        raise InputError(
            f"{source} lists the actions that can be taken; a loop asks its policies by endpoint or transform, without "
            "such lists.",
            "Take the steps one by one, which keep to them: batchrl collect, train, ope, evaluate.",
        )
