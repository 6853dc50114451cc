"""What a loop is: its presets, resolved, where its jobs run, and the data that it begins with."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

import presets
from batchrl.contract.errors import InputError
from batchrl.contract.files import file_sha256
from batchrl.contract.layout import S3_SCHEME
from launcher.api.joboptions import JobOptions
from launcher.api.names import MAX_NAME, check_job_name
from launcher.api.options import from_flags, to_flags
from launcher.iterate.state import FORMAT, LOOP, LoopFolder
from launcher.iterate.step_files import first_fault
from presets.loop import IteratePreset, OpenSection

if TYPE_CHECKING:
    from presets.schema import EvaluatePreset, TrainPreset

DEFAULT_PRESET = "cartpole-iterate"
TRAIN_FILE, EVALUATE_FILE = "train.yaml", "evaluate.yaml"
IDENTITY_BYTES = 4
UNIFORM = "uniform"
# What the file of a loop calls options of a job; any other has its own name there.
OLDER_NAMES = {"hyperparameters": "settings", "image_uri": "image", "use_spot_instances": "spot"}
# Of a job's name: the longest that a loop adds to its own, with attempts.
LONGEST_SUFFIX = len("-01234567-r000-canary-00000-00")
LONGEST_NAME = MAX_NAME - LONGEST_SUFFIX


@dataclass(frozen=True)
class LoopSettings:
    """One loop.

    Args:
        name: what people call it.
        identity: random digits that no other loop has; they are part of the names of its jobs, so that a job of this
            loop is told from one of another loop of the same name.
        preset: the loop's own settings.
        train: the resolved preset of the training.
        evaluate: that of the evaluation; None where nothing is evaluated.
        jobs: where and how its jobs run.
        data: the file or folder of the first round; None where it is played.
        data_sha256: of its content.
        behavior_sha256: of the trained policy that ``collect.behavior`` is the path of; None for one without a path.
    """

    name: str
    identity: str
    preset: IteratePreset
    train: TrainPreset
    evaluate: EvaluatePreset | None
    jobs: JobOptions
    data: str | None = None
    data_sha256: str | None = None
    behavior_sha256: str | None = None

    @classmethod
    def of(cls, name: str, jobs: JobOptions, data: str | None) -> LoopSettings:
        """The loop that a command line describes, as a new one.

        Raises:
            PresetError: a preset or a setting is wrong.
            InputError: an option is wrong, or the settings cannot be those of a loop.
        """
        preset = _in_one_environment(presets.resolve_iterate(jobs.preset or DEFAULT_PRESET, jobs.hyperparameters or {}))
        train = presets.resolve_train(preset.train.preset, preset.train.overrides)
        evaluate = None
        if preset.evaluate.preset is not None:
            evaluate = presets.resolve_evaluate(preset.evaluate.preset, preset.evaluate.overrides)
        _check_training(train)
        path = None if data is None else _data_path(data)
        behavior = _trained_behavior(preset)
        if behavior is not None:
            collect = preset.collect.model_copy(update={"behavior": str(behavior)})
            preset = preset.model_copy(update={"collect": collect})
        return cls(
            name=name,
            identity=secrets.token_hex(IDENTITY_BYTES),
            preset=preset,
            train=train,
            evaluate=evaluate,
            jobs=_settled(jobs),
            data=None if path is None else str(path),
            data_sha256=None if path is None else _digest(path),
            behavior_sha256=None if behavior is None else _digest(behavior),
        )

    def with_jobs(self, name: str, jobs: JobOptions) -> LoopSettings:
        """The same loop with another name and other options of its jobs."""
        return replace(self, name=name, jobs=_settled(jobs))

    def with_data(self, data: str) -> LoopSettings:
        """The same loop with other data of the first round.

        Raises:
            InputError: it is not there, or cannot be read.
        """
        path = _data_path(data)
        return replace(self, data=str(path), data_sha256=_digest(path))

    def kept_preset(self, folder: Path) -> str:
        """The loop's preset as a file of its own, whose other presets are those that the folder keeps of the user's."""
        values = self.preset.model_dump(mode="json")
        for section, kept in (("train", TRAIN_FILE), ("evaluate", EVALUATE_FILE)):
            choice: OpenSection = getattr(self.preset, section)
            if presets.is_path(values[section]["preset"] or ""):
                declared = {key: values[section][key] for key in type(choice).model_fields}
                values[section] = declared | {"preset": str(folder / kept)}
        return json.dumps(values)

    @property
    def jobs_name(self) -> str:
        """What the names of its jobs and endpoints begin with."""
        return f"{self.name}-{self.identity}"

    @classmethod
    def of_folder(cls, folder: LoopFolder) -> LoopSettings:
        """The loop that lies in a folder.

        Raises:
            InputError: there is none, it was made by another version, or its file is not what ``to_json`` gave.
        """
        values = folder.read_loop()
        try:
            return cls.from_json(values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{folder.root / LOOP} describes no loop: {_reason(error)}.",
                "Put it back as it was, or begin a loop in another folder: --output",
            ) from error

    def to_json(self) -> dict[str, Any]:
        """For ``loop.json``."""
        return {
            "format": FORMAT,
            "name": self.name,
            "identity": self.identity,
            "preset": self.preset.model_dump(mode="json"),
            "train": self.train.model_dump(mode="json"),
            "evaluate": None if self.evaluate is None else self.evaluate.model_dump(mode="json"),
            "jobs": {OLDER_NAMES.get(name, name): value for name, value in to_flags(self.jobs).items()},
            "data": self.data,
            "data_sha256": self.data_sha256,
            "behavior_sha256": self.behavior_sha256,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> LoopSettings:
        """What ``to_json`` gave."""
        from presets.schema import EvaluatePreset, TrainPreset

        names = {older: name for name, older in OLDER_NAMES.items()}
        jobs = {names.get(key, key): value for key, value in values["jobs"].items()}
        evaluate = values["evaluate"]
        return cls(
            name=values["name"],
            identity=values["identity"],
            preset=IteratePreset.model_validate(values["preset"]),
            train=TrainPreset.model_validate(values["train"]),
            evaluate=None if evaluate is None else EvaluatePreset.model_validate(evaluate),
            jobs=from_flags(JobOptions, jobs),
            data=values["data"],
            data_sha256=values["data_sha256"],
            behavior_sha256=values["behavior_sha256"],
        )

    def check_data(self) -> None:
        """Refuse data of the first round that is not what it was when the loop began.

        Raises:
            InputError: it was changed, or is not there.
        """
        _check_unchanged("the data of the first round", self.data, self.data_sha256)

    def check_behavior(self) -> None:
        """Refuse a policy of the first round that is not what it was when the loop began; see ``check_data``."""
        _check_unchanged("the policy of the first round", self.preset.collect.behavior, self.behavior_sha256)

    def differences(self, other: LoopSettings) -> list[str]:
        """What of these settings is otherwise in another loop, in words; names of presets do not count."""
        ours, theirs = _flat(self._compared()), _flat(other._compared())
        return [
            f"{key} is {ours.get(key)!r}, there {theirs.get(key)!r}"
            for key in sorted(ours.keys() | theirs.keys())
            if ours.get(key) != theirs.get(key)
        ]

    def _compared(self) -> dict[str, Any]:
        values = self.to_json()
        for key in ("format", "name", "identity", "data"):
            del values[key]
        del values["preset"]["name"], values["train"]["name"]
        if values["evaluate"] is not None:
            del values["evaluate"]["name"]
        # The presets that they name are compared themselves.
        values["loop"] = {key: item for key, item in values.pop("preset").items() if key not in ("train", "evaluate")}
        values["loop"]["evaluate.candidates"] = self.preset.evaluate.candidates
        return values

    def training_job(self, folder: Path) -> JobOptions:
        """Options of a round's training job.

        Args:
            folder: of the loop, which keeps the presets that were a user's own files.
        """
        return self._job(self.preset.train, self.preset.train.preset, folder / TRAIN_FILE)

    def evaluation_job(self, folder: Path) -> JobOptions | None:
        """Options of a round's evaluation job; None where nothing is evaluated."""
        name = self.preset.evaluate.preset
        return None if name is None else self._job(self.preset.evaluate, name, folder / EVALUATE_FILE)

    def _job(self, choice: OpenSection, name: str, kept: Path) -> JobOptions:
        if presets.is_path(name):
            # Resolved when the loop began: the user may change the file meanwhile.
            return replace(self.jobs, preset=str(kept), hyperparameters=None)
        hyperparameters = {key: _text(value) for key, value in choice.overrides.items()}
        return replace(self.jobs, preset=name, hyperparameters=hyperparameters)

    def preset_files(self) -> dict[str, str]:
        """Presets that were files of the user's own, resolved, by the names that the loop's folder keeps them under."""
        found = {}
        if presets.is_path(self.preset.train.preset):
            found[TRAIN_FILE] = self.train.to_json()
        if self.evaluate is not None and presets.is_path(self.preset.evaluate.preset or ""):
            found[EVALUATE_FILE] = self.evaluate.to_json()
        return found


def check_name(name: str) -> None:
    """Refuse a loop's name that leaves its jobs no room for theirs."""
    check_job_name(name)
    if len(name) > LONGEST_NAME:
        raise InputError(
            f"the name '{name}' has {len(name)} characters.", f"Give at most {LONGEST_NAME}: its jobs add to it."
        )


def _in_one_environment(preset: IteratePreset) -> IteratePreset:
    """The loop, whose evaluations are played where it acts, whatever environment the evaluation's preset names.

    Raises:
        InputError: the loop asks for another one.
    """
    if preset.evaluate.preset is None:
        return preset
    env, named = preset.env, presets.resolve_evaluate(preset.evaluate.preset, preset.evaluate.overrides).env
    changed = {}
    if env.id != named.id:
        changed = {"env.id": env.id, "env.max_episode_steps": env.max_episode_steps}
    elif env.max_episode_steps not in (None, named.max_episode_steps):
        changed = {"env.max_episode_steps": env.max_episode_steps}
    if asked := sorted(changed.keys() & preset.evaluate.overrides.keys()):
        key = asked[0]
        raise InputError(
            f"evaluate.{key} is {preset.evaluate.overrides[key]}, but the loop acts where {key} is {changed[key]}: "
            "returns of two environments cannot stand side by side.",
            f"Leave it out: the evaluation has the loop's environment, set by {key}.",
        )
    evaluate = preset.evaluate.model_copy(update={**preset.evaluate.overrides, **changed})
    return preset.model_copy(update={"evaluate": evaluate})


def _check_training(train: TrainPreset) -> None:
    """Refuse settings of the training that cannot be those of a loop."""
    if train.data.csv_schema == "A":
        raise InputError(
            "train.data.csv_schema is A: a loop writes the episodes of every round in schema B.",
            "Set it to auto; data in schema A is read as it is.",
        )
    if train.data.state_columns is not None:
        raise InputError(
            "train.data.state_columns: a loop names the columns of the states that it collects state_feature_*.",
            "Leave it out.",
        )


def _data_path(data: str) -> Path:
    if data.startswith(S3_SCHEME):
        raise InputError(f"--data {data}: the first round's episodes are divided on this computer.", "Copy them here.")
    path = Path(data).expanduser().absolute()
    if not path.exists():
        raise InputError(f"--data {data}: there is no such file or folder.")
    return path


def _trained_behavior(preset: IteratePreset) -> Path | None:
    """Where the trained policy of the first round lies; None for a policy without a path, as ``collect.py`` sees it."""
    text = preset.collect.behavior
    if text == UNIFORM or text.lstrip().startswith("["):
        return None
    path = Path(text).expanduser().absolute()
    return path if path.exists() else None


def _settled(jobs: JobOptions) -> JobOptions:
    """Options of every job of the loop; their paths do not depend on where a run is started."""
    return replace(
        jobs,
        entry_point="",
        preset=None,
        hyperparameters=None,
        source_dir=None if jobs.source_dir is None else Path(jobs.source_dir).expanduser().absolute(),
        dependencies=tuple(Path(path).expanduser().absolute() for path in jobs.dependencies),
    )


def _check_unchanged(what: str, place: str | None, known: str | None) -> None:
    if place is None or known is None:
        return
    path = Path(place)
    if not path.exists():
        raise InputError(f"{what} is not there any more: {path}.", "Put it back as it was, or begin a new loop.")
    found = _digest(path)
    if found != known:
        raise InputError(
            f"{what} was changed since the loop began: {path} has the sha256 {found}, and had {known}.",
            "Put it back as it was, or begin a new loop in another folder.",
        )


def _digest(path: Path) -> str:
    """Of a file, or of the names and contents of a folder's files.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return _content_sha256(path)
    except OSError as error:
        raise InputError(f"{error.filename or path} cannot be read: {error.strerror}.") from error


def _content_sha256(path: Path) -> str:
    if path.is_file():
        return file_sha256(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    listed = [(file.relative_to(path).as_posix(), file_sha256(file)) for file in files]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def _reason(error: Exception) -> str:
    """Why a file of JSON could not be understood, in a line."""
    if isinstance(error, ValidationError):
        return first_fault(error)
    return f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= _flat(value, f"{prefix}{key}.")
        else:
            result[prefix + key] = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
    return result
