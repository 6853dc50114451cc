"""What the product's scripts need as inputs, checked before anything is sent.

Logged data is checked by the very code that a training job reads and splits it with, in a process of its own: the
client itself loads neither numpy nor the library of jobs. Data that was found good is not checked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from batchrl.contract.errors import InputError
from batchrl.contract.manifest import sha256_of
from batchrl.contract.paths import CHECKPOINT_CHANNEL, TRAINING_CHANNEL
from launcher.base.notices import say
from launcher.base.product import EVALUATE_SCRIPT, TRAIN_SCRIPT
from launcher.library.ask import CouldNotAsk, ask
from launcher.staging.datasets import Inputs, LocalInput
from launcher.staging.package import cache_folder

if TYPE_CHECKING:
    from presets import Preset

NEEDED_CHANNELS: Mapping[str, tuple[str, str]] = {
    TRAIN_SCRIPT: (TRAINING_CHANNEL, "the logged data: fit({'training': 'data.csv'})"),
    EVALUATE_SCRIPT: (CHECKPOINT_CHANNEL, "a trained policy: fit({'checkpoint': estimator.checkpoint_uri})"),
}
# Larger data is left to the job: reading it here would take as long again, and as much memory.
LARGEST_BYTES = 1024**3


def check_inputs(script: str | None, preset: Preset | None, given: Inputs) -> None:
    """Refuse inputs with which a job of the product's scripts would fail.

    Args:
        script: the product's script that runs; None for the user's own, about which nothing is known.
        preset: its preset.
        given: its inputs.

    Raises:
        InputError: a channel is missing, or naming file, row and column of what is wrong in the data.
    """
    needed = NEEDED_CHANNELS.get(script or "")
    if needed is None:
        return
    name, what = needed
    uris = {channel.name: channel.s3_uri for channel in given.channels}
    if name not in uris:
        raise InputError(f"{script} needs the channel '{name}'.", f"Give {what}")
    if name in given.local and script == TRAIN_SCRIPT and preset is not None:
        settings = preset.model_dump(include={"data", "seed"})
        _check_data(given.local[name], f"{uris[name]} {settings}", settings)


def _check_data(data: LocalInput, content: str, settings: Mapping[str, Any]) -> None:
    """Refuse data that a training job would refuse; ``content`` names it together with the settings."""
    path, size = data.path, data.size
    if size > LARGEST_BYTES:
        say(f"{path} is checked by the job itself: it holds more than {LARGEST_BYTES / 1024**3:.0f} GiB.")
        return
    known = cache_folder() / "checked" / sha256_of(content.encode())
    if known.exists():
        return
    try:
        ask("check", str(path), settings=settings)
    except CouldNotAsk as fault:
        say(f"{path} could not be checked beforehand, the job will do it: {fault.message}")
        return
    known.parent.mkdir(parents=True, exist_ok=True)
    known.touch()
