"""Named presets: YAML files beside this module, their schema, and overrides of single settings.

::

    preset = presets.resolve("cartpole-ddqn-bcq", {"agent.discount": 0.98, "epochs": "20"})
    preset.agent.discount
    preset.to_json()

A path to a YAML file of one's own works wherever a name does. Whatever is wrong raises ``PresetError``, with the key,
the file and the nearest valid name. Importing this package is cheap: pydantic and PyYAML are loaded at first use.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presets.errors import PresetError, UnknownKeyError

if TYPE_CHECKING:
    from presets.loop import IteratePreset
    from presets.resolving import Setting
    from presets.schema import EvaluatePreset, Preset, TrainPreset

__all__ = [
    "ALIASES",
    "EvaluatePreset",
    "IteratePreset",
    "Preset",
    "PresetError",
    "Setting",
    "TrainPreset",
    "UnknownKeyError",
    "describe",
    "evaluation_of",
    "is_path",
    "load",
    "names",
    "resolve",
    "resolve_evaluate",
    "resolve_iterate",
    "resolve_train",
    "summary",
]

# Names that the seed's users know, an earlier one of ours, and ours.
ALIASES: dict[str, str] = {
    "cartpole-best": "generic-discrete",
    "preset-cartpole-ddqnbcq": "cartpole-ddqn-bcq",
    "preset-cartpole-ddqnbcq-env": "cartpole-ddqn-bcq-env",
}
FOLDER = Path(__file__).parent
SUFFIX = ".yaml"


def names() -> list[str]:
    """Names of the presets that come with the product, sorted."""
    return sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))


def is_path(name_or_path: str | Path) -> bool:
    """Whether this means a file of the user's own rather than a name."""
    text = str(name_or_path)
    return isinstance(name_or_path, Path) or os.sep in text or text.endswith((SUFFIX, ".yml"))


def evaluation_of(name: str) -> str | None:
    """The evaluation preset of the problem that a preset of the product is for.

    Returns:
        None for a preset that is for no simulated problem, and for any other name or file.
    """
    ours = names()
    known = ALIASES.get(name, name)
    if known not in ours:
        return None
    problems = [each.partition("-")[0] for each in (known, name)]
    return next((each for problem in problems for each in ours if re.fullmatch(rf"{problem}-(.+-)?env", each)), None)


def summary(name: str) -> str:
    """What a preset of the product is, in a line: the first line of its file."""
    with (FOLDER / f"{name}{SUFFIX}").open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()


def load(name_or_path: str | Path) -> Preset:
    """The preset as its file says it; see ``resolve``."""
    return resolve(name_or_path, {})


def resolve(name_or_path: str | Path, overrides: Mapping[str, object]) -> Preset:
    """A preset with some settings replaced.

    Args:
        name_or_path: a name (``names``, ``ALIASES``) or the path of a YAML file.
        overrides: values by dotted key (``agent.discount``) or by Coach's name of it
            (``rl.agent_params.algorithm.discount``); texts are read as the schema types them.

    Raises:
        PresetError: no such preset, not readable, an unknown key or a value out of its bounds.
    """
    from presets import resolving

    return resolving.resolve(name_or_path, overrides)


def resolve_train(name_or_path: str | Path, overrides: Mapping[str, object]) -> TrainPreset:
    """``resolve`` for a training job; a preset of another kind is refused."""
    from presets import resolving
    from presets.schema import TrainPreset

    return resolving.resolve_kind(name_or_path, overrides, TrainPreset)


def resolve_evaluate(name_or_path: str | Path, overrides: Mapping[str, object]) -> EvaluatePreset:
    """``resolve`` for an evaluation; a preset of another kind is refused."""
    from presets import resolving
    from presets.schema import EvaluatePreset

    return resolving.resolve_kind(name_or_path, overrides, EvaluatePreset)


def resolve_iterate(name_or_path: str | Path, overrides: Mapping[str, object]) -> IteratePreset:
    """``resolve`` for a loop of rounds; a preset of another kind is refused."""
    from presets import resolving
    from presets.loop import IteratePreset

    return resolving.resolve_kind(name_or_path, overrides, IteratePreset)


def describe(preset: Preset) -> list[Setting]:
    """Every setting of a preset, in the order of the schema: dotted key, value, type with bounds, description."""
    from presets import resolving

    return resolving.describe(preset)


def __getattr__(name: str) -> Any:
    if name in ("EvaluatePreset", "Preset", "TrainPreset"):
        from presets import schema

        return getattr(schema, name)
    if name == "IteratePreset":
        from presets.loop import IteratePreset

        return IteratePreset
    if name == "Setting":
        from presets.resolving import Setting

        return Setting
    raise AttributeError(f"module 'presets' has no attribute '{name}'")
