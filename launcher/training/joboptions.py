"""The options of a training job as a command line gives them, turned into an ``RLEstimator``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchrl.contract.hyperparameters import LEGACY_PRESET, PRESET, decode_value
from launcher.api.joboptions import JobOptions
from launcher.api.options import keywords
from launcher.base.product import EVALUATE_SCRIPT, TRAIN_SCRIPT

if TYPE_CHECKING:
    from launcher.training.estimator import RLEstimator

DEFAULT_PRESETS = {TRAIN_SCRIPT: "cartpole-ddqn-bcq", EVALUATE_SCRIPT: "cartpole-ddqn-bcq-env"}


def estimator_of(options: JobOptions, script: str | None = None, checkpoint_s3_uri: str | None = None) -> RLEstimator:
    """The estimator that a command line describes.

    Args:
        options: its hyperparameters are the texts of ``--set``, which are typed as a job would read them.
        script: the entry point, where it is not an option.
        checkpoint_s3_uri: where the job's checkpoints come from and go.

    Raises:
        InputError: an option is wrong.
    """
    from launcher.training.estimator import RLEstimator

    entry_point = script or options.entry_point
    settled = replace(
        options,
        entry_point=entry_point,
        preset=options.preset or (None if names_preset(options) else _default_preset(options, entry_point)),
        hyperparameters={key: decode_value(text) for key, text in (options.hyperparameters or {}).items()},
        checkpoint_s3_uri=checkpoint_s3_uri,
    )
    return RLEstimator(**keywords(settled))


def names_preset(options: JobOptions) -> bool:
    """Whether the hyperparameters name a preset."""
    return bool({PRESET, LEGACY_PRESET} & (options.hyperparameters or {}).keys())


def _default_preset(options: JobOptions, entry_point: str) -> str | None:
    """The preset of the product's own script; a script of the user's may need none."""
    if options.source_dir is not None and (Path(options.source_dir) / entry_point).exists():
        return None
    return None if Path(entry_point).exists() else DEFAULT_PRESETS.get(entry_point)
