"""The search space of a tuning job as one: settings, seeds, and presets, of which each training has one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import presets
from batchrl.contract import hyperparameters as wire
from batchrl.contract.errors import InputError
from launcher.api.joboptions import JobOptions
from launcher.api.tuning_rules import MOST_JOBS
from launcher.base.product import TRAIN_SCRIPT
from launcher.staging.source import USER_PRESETS
from launcher.training import presetting
from launcher.training.ranges import CategoricalParameter, Parameter

# Settings of a training: of everything random, and of the split of the log alone.
SEED, SPLIT_SEED = "seed", "data.split_seed"
# So many combinations run without their number being named.
MOST_UNASKED = 100


@dataclass(frozen=True)
class SearchSpace:
    """What may be chosen for which hyperparameter.

    Args:
        ranges: as the user gave them; values of ``preset`` may be paths of YAML files.
    """

    ranges: Mapping[str, Parameter]

    @property
    def first(self) -> dict[str, wire.Value]:
        """One of the combinations."""
        return {key: one.samples[0] for key, one in self.ranges.items()}

    @property
    def preset_files(self) -> tuple[Path, ...]:
        """The files among the presets, which travel with every training.

        Raises:
            InputError: two have the same name.
        """
        files = [Path(str(value)).expanduser() for value in self._presets if presets.is_path(str(value))]
        names = [path.name for path in files]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InputError(f"two of the preset files are called {twice}.", "Give each a name of its own.")
        return tuple(files)

    @property
    def sent(self) -> dict[str, Parameter]:
        """The ranges as a request has them: a preset file is named by its place in the archive."""
        if wire.PRESET not in self.ranges:
            return dict(self.ranges)
        here = {str(path): f"{USER_PRESETS}/{path.name}" for path in self.preset_files}
        values = [here.get(str(Path(str(value)).expanduser()), value) for value in self._presets]
        return {**self.ranges, wire.PRESET: CategoricalParameter(tuple(values))}

    @property
    def combinations(self) -> int | None:
        """How many there are; None where a range holds numbers without end."""
        if not all(isinstance(one, CategoricalParameter) for one in self.ranges.values()):
            return None
        return math.prod(len(one.samples) for one in self.ranges.values())

    def count(self, asked: int | None) -> int | None:
        """The trainings of a grid: all combinations, where nobody asked for another number; None where that is no grid.

        Raises:
            InputError: they are more than run unasked, or than a tuning job takes.
        """
        whole = self.combinations
        if whole is None or asked not in (None, whole):
            return None
        if whole > MOST_JOBS:
            raise InputError(
                f"the grid has {whole} combinations, and a tuning job takes {MOST_JOBS} trainings.",
                "Leave some values out, or give --jobs N (max_jobs) for a search among them.",
            )
        if asked is None and whole > MOST_UNASKED:
            raise InputError(
                f"the grid has {whole} combinations; more than {MOST_UNASKED} are not run unasked.",
                f"Give --jobs {whole} (max_jobs) for all of them, or fewer for a search among them.",
            )
        return whole

    def shared(self, options: JobOptions) -> dict[str, wire.Value]:
        """What trainings of several seeds have in common besides, so that one part of the log is unseen by all.

        Args:
            options: of the trainings; a script of the user's own gets nothing.
        """
        own = options.source_dir is not None or Path(options.entry_point).exists()
        if own or options.entry_point != TRAIN_SCRIPT or SEED not in self.ranges:
            return {}
        return {SPLIT_SEED: 0}

    def check(self, options: JobOptions, script: str | None) -> None:
        """Refuse a value that a training would refuse: each with each preset, beside the first ones of all others.

        Args:
            options: of the trainings.
            script: the product's script that runs; None for the user's own.

        Raises:
            InputError: there is one.
        """
        fixed = {**(options.hyperparameters or {}), **self.first}
        for preset in self._presets or (None,):
            named = {} if preset is None else {wire.PRESET: preset}
            for key, one in self.ranges.items():
                for value in one.samples if key != wire.PRESET else (preset,):
                    values = {**fixed, **named, key: value} if value is not None else {**fixed, **named}
                    self._check_one(options, values, script, preset)

    def _check_one(
        self, options: JobOptions, values: Mapping[str, wire.Value], script: str | None, preset: wire.Value
    ) -> None:
        try:
            presetting.check(presetting.settings(options.preset, values), script)
        except InputError as error:
            if preset is None or len(self._presets) < 2:
                raise
            raise InputError(f"with the preset {preset}: {error.message}", error.hint) from error

    @property
    def _presets(self) -> tuple[wire.Value, ...]:
        found = self.ranges.get(wire.PRESET)
        return () if found is None else tuple(found.samples)
