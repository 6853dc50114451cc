"""The preset and the overrides among a job's hyperparameters, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchrl.contract import hyperparameters as wire
from batchrl.contract.errors import InputError
from launcher.base.product import EVALUATE_SCRIPT, TRAIN_SCRIPT
from launcher.staging.source import USER_PRESETS

if TYPE_CHECKING:
    from presets import Preset

# Hyperparameters of the product's scripts that are no settings of a preset.
SCRIPT_KEYS = (wire.PRESET, wire.LEGACY_PRESET, wire.SAVE_MODEL)


@dataclass(frozen=True)
class AlgorithmSettings:
    """What a job is told about its algorithm.

    Args:
        name_or_path: the preset as the user named it; None for none.
        hyperparameters: as they are sent; a preset file is named by its place in the archive.
        files: preset files that travel.
    """

    name_or_path: str | None
    hyperparameters: Mapping[str, wire.Value]
    files: tuple[Path, ...]

    def in_place(self) -> Mapping[str, wire.Value]:
        """The hyperparameters of a job that runs without an archive: a preset file is named by its own path."""
        here = {f"{USER_PRESETS}/{path.name}": str(path.absolute()) for path in self.files}
        return {
            key: here.get(value, value) if isinstance(value, str) else value
            for key, value in self.hyperparameters.items()
        }


def settings(preset: str | Path | None, hyperparameters: Mapping[str, wire.Value]) -> AlgorithmSettings:
    """Join the argument ``preset`` and the hyperparameters.

    Raises:
        InputError: two different presets are named.
    """
    import presets

    values = dict(hyperparameters)
    key = wire.LEGACY_PRESET if wire.LEGACY_PRESET in values else wire.PRESET
    given = [values.get(wire.LEGACY_PRESET), values.get(wire.PRESET), preset]
    named = [str(name).strip() for name in given if name is not None]
    if len({presets.ALIASES.get(name, name) for name in named}) > 1:
        raise InputError(f"two presets are named: {' and '.join(map(repr, sorted(set(named))))}.", "Name one.")
    if not named:
        return AlgorithmSettings(None, values, ())
    # The seed's name and ours of one preset may stand together; the hyperparameter's is sent, as the user wrote it.
    name = named[0]
    values.pop(wire.PRESET, None)
    values.pop(wire.LEGACY_PRESET, None)
    if not presets.is_path(name):
        return AlgorithmSettings(name, {key: name, **values}, ())
    path = Path(name).expanduser()
    return AlgorithmSettings(str(path), {key: f"{USER_PRESETS}/{path.name}", **values}, (path,))


def check(chosen: AlgorithmSettings, script: str | None) -> Preset | None:
    """Refuse a preset or an override that the job would refuse.

    Args:
        chosen: preset and hyperparameters.
        script: the product's script that runs; None for the user's own, whose other hyperparameters are free.

    Returns:
        The preset with its overrides, or None where none is named.

    Raises:
        InputError: with the key, and the nearest valid name.
    """
    import presets

    if chosen.name_or_path is None:
        if script in (TRAIN_SCRIPT, EVALUATE_SCRIPT):
            raise InputError(f"{script} needs a preset.", f"Presets: {', '.join(presets.names())}; or a YAML file.")
        return None
    try:
        preset = presets.load(chosen.name_or_path)
        if script in (TRAIN_SCRIPT, EVALUATE_SCRIPT):
            wire.refuse_misplaced(chosen.hyperparameters, "train" if script == TRAIN_SCRIPT else "evaluate")
        overrides = {key: value for key, value in chosen.hyperparameters.items() if key not in SCRIPT_KEYS}
        if script is None:
            sections = {item.key.partition(".")[0] for item in presets.describe(preset) if "." in item.key}
            overrides = {key: value for key, value in overrides.items() if key.partition(".")[0] in sections}
        if script == TRAIN_SCRIPT:
            return presets.resolve_train(chosen.name_or_path, overrides)
        if script == EVALUATE_SCRIPT:
            return presets.resolve_evaluate(chosen.name_or_path, overrides)
        return presets.resolve(chosen.name_or_path, overrides)
    except presets.PresetError as error:
        raise InputError(error.message, error.hint) from error
