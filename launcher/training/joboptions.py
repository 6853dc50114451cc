"""A training job as a command line describes it, turned into an ``RLEstimator``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchrl.contract.errors import InputError
from batchrl.contract.hyperparameters import LEGACY_PRESET, PRESET, Value, decode_value
from launcher.library.scripts import EVALUATE_SCRIPT, TRAIN_SCRIPT

if TYPE_CHECKING:
    from launcher.training.estimator import RLEstimator

DEFAULT_PRESETS = {TRAIN_SCRIPT: "cartpole-ddqn-bcq", EVALUATE_SCRIPT: "cartpole-ddqn-bcq-env"}


@dataclass(frozen=True)
class JobOptions:
    """A job as its command line describes it; names and defaults are those of ``RLEstimator``."""

    entry_point: str
    source_dir: Path | None
    dependencies: tuple[Path, ...]
    preset: str | None
    settings: tuple[str, ...]
    instance_type: str
    instance_count: int
    image: str | None
    role: str | None
    output_path: str | None
    environment: tuple[str, ...]
    tags: tuple[str, ...]
    spot: bool
    max_run: int
    max_wait: int | None

    def estimator(self, script: str | None = None, checkpoint_s3_uri: str | None = None) -> RLEstimator:
        """The estimator that these options describe.

        Args:
            script: the entry point, where it is not an option.
            checkpoint_s3_uri: where the job's checkpoints come from and go.

        Raises:
            InputError: an option is wrong.
        """
        from launcher.training.estimator import RLEstimator

        entry_point = script or self.entry_point
        settings = self.hyperparameters()
        named = PRESET in settings or LEGACY_PRESET in settings
        return RLEstimator(
            entry_point,
            source_dir=self.source_dir,
            dependencies=[str(path) for path in self.dependencies],
            preset=self.preset or (None if named else self._default_preset(entry_point)),
            hyperparameters=settings,
            instance_type=self.instance_type,
            instance_count=self.instance_count,
            image_uri=self.image,
            role=self.role,
            output_path=self.output_path,
            checkpoint_s3_uri=checkpoint_s3_uri,
            environment=parse_pairs("--env", self.environment),
            tags=parse_pairs("--tag", self.tags),
            use_spot_instances=self.spot,
            max_run=self.max_run,
            max_wait=self.max_wait,
        )

    def hyperparameters(self) -> dict[str, Value]:
        """Values of ``--set``, typed as a job would read them."""
        return {key: decode_value(text) for key, text in parse_settings(self.settings).items()}

    def _default_preset(self, entry_point: str) -> str | None:
        """The preset of the product's own script; a script of the user's may need none."""
        if self.source_dir is not None and (self.source_dir / entry_point).exists():
            return None
        return None if Path(entry_point).exists() else DEFAULT_PRESETS.get(entry_point)


def parse_pairs(option: str, pairs: tuple[str, ...]) -> dict[str, str]:
    """Values of a repeated ``NAME=VALUE`` option.

    Raises:
        InputError: a pair has no ``=`` or no name, or a name stands twice.
    """
    values: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise InputError(f"{option} '{pair}': no name and value.", f"Write {option} NAME=VALUE.")
        if name in values:
            raise InputError(f"{option} {name}: given twice.", "Keep one of them.")
        values[name] = value
    return values


def parse_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """Values of ``--set``, by dotted key; the preset's schema types them.

    Raises:
        InputError: a pair has no ``=`` or no key, or a key stands twice.
    """
    settings: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        key = key.strip()
        if not separator or not key:
            raise InputError(f"--set '{pair}': no key and value.", "Write --set agent.discount=0.98.")
        if key in settings:
            raise InputError(f"--set {key}: given twice ('{settings[key]}' and '{value}').", "Keep one of them.")
        settings[key] = value
    return settings
