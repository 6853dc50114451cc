"""The sections about where the result comes from: data, code, settings, times, and the command that does it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from batchrl.contract.hyperparameters import PRESET, encode_value, user_values
from batchrl.contract.paths import CODE_CHANNEL, RESOLVED_PRESET_NAME, TRAINING_CHANNEL
from launcher.api.instances import PROCESS_INSTANCE_TYPES
from launcher.base.product import TRAIN_SCRIPT
from launcher.base.units import duration
from launcher.documents.model import Block, Column, Command, Fact, Facts, Paragraph, Section, Table
from launcher.jobs.kinds import channels_in, program_in
from launcher.reporting.files import Json, TrainingFiles
from launcher.reporting.words import moment, plain
from launcher.staging.source import USER_PRESETS


def lineage_section(files: TrainingFiles, places: Mapping[str, str]) -> Section:
    """Names, digests, versions, seeds, times and every setting.

    Args:
        files: of the job.
        places: where its results lie, by what they are.
    """
    return Section("lineage", "Lineage", tuple(_lineage(files, places)))


def repeat_section(files: TrainingFiles) -> Section:
    """The command that runs the same job again."""
    return Section("repeat", "Doing it again", tuple(_repeat(files)))


def times(described: Json) -> Iterator[Fact]:
    """When a job was made, ran and ended."""
    started, ended = described.get("TrainingStartTime"), described.get("TrainingEndTime")
    yield Fact("Created", moment(described.get("CreationTime")))
    if started is not None:
        took = "" if ended is None else f"took {duration((ended - started).total_seconds())}"
        yield Fact("Started", moment(started))
        yield Fact("Ended", moment(ended) if ended is not None else "it still runs", took)


def machine(described: Json) -> Iterator[Fact]:
    """Where a job ran."""
    resources = described.get("ResourceConfig", {})
    instance = resources.get("InstanceType")
    yield Fact("Ran on", f"{resources.get('InstanceCount', 1)} x {instance}")
    if instance not in PROCESS_INSTANCE_TYPES and (
        image := described.get("AlgorithmSpecification", {}).get("TrainingImage")
    ):
        yield Fact("Container image", image)


def channels(described: Json) -> dict[str, str]:
    """The S3 URL of each channel, the code's left out."""
    return {name: uri for name, uri in channels_in(described).items() if name != CODE_CHANNEL}


def _lineage(files: TrainingFiles, places: Mapping[str, str]) -> Iterator[Block]:
    described, inputs = files.described, files.inputs or {}
    summary, preset = files.summary or {}, files.preset or {}
    code = inputs.get("code", {})
    versions = inputs.get("versions", {})
    data_sha256 = (files.data or {}).get("sha256") or summary.get("data_sha256")
    yield Facts(
        (
            Fact("Job", files.name, described.get("TrainingJobArn", "")),
            *(Fact(f"Data of the channel '{name}'", uri) for name, uri in channels(described).items()),
            Fact("sha256 of the data", data_sha256 or "not stored", "of its content, whatever its files are called"),
            Fact("Script", str(program_in(described) or "not named"), channels_in(described).get(CODE_CHANNEL, "")),
            Fact("sha256 of the code", code.get("sha256") or "not stored", "of the archive that the job was given"),
            Fact(
                "Versions",
                ", ".join(f"{name} {version}" for name, version in versions.items() if version) or "not stored",
            ),
            Fact("Preset", str(preset.get("name", "not known"))),
            Fact(
                "Seed", plain(preset["seed"]) if "seed" in preset else "not known", "everything random follows from it"
            ),
            *machine(described),
            *times(described),
        )
    )
    if places:
        yield Facts(tuple(Fact(what.capitalize(), url) for what, url in places.items()))
    if preset:
        rows = tuple(_flat(preset))
        yield Table("Every setting", (Column("Key"), Column("Value")), rows)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", encode_value(value)


def _repeat(files: TrainingFiles) -> Iterator[Block]:
    if program_in(files.described) != TRAIN_SCRIPT:
        yield Paragraph(
            "The job ran a script of its own. Its code lies in the archive that is named above; what it was called "
            "with stands in the settings."
        )
        return
    yield Command(repeat_command(files.name, files.described, files.is_local))
    yield Paragraph(
        "The same data, settings, seed and versions on the same kind of machine give the same policy. A folder of code "
        "that travelled with the job (--source-dir, --dependency) is in the archive that is named above, and is to be "
        "given again."
    )


def repeat_command(name: str, described: Json, is_local: bool) -> str:
    """Lines for a shell that run a training job again, under a new name.

    Args:
        name: of the job.
        described: the answer of the API's Describe operation.
        is_local: whether it is on this computer.
    """
    values = user_values(described.get("HyperParameters", {}))
    preset = values.pop(PRESET, None)
    lines, options = [], []
    if isinstance(preset, str) and PurePosixPath(preset).parts[:1] == (USER_PRESETS,):
        # A file of the user's own: the resolved one, which holds every setting, stands for it.
        aws = () if is_local else ("--aws",)
        lines.append(shlex.join(["batchrl", "pull", name, name, "--what", "checkpoints", *aws]))
        preset, values = f"{name}/checkpoints/{RESOLVED_PRESET_NAME}", {}
    if preset is not None:
        options += ["--preset", str(preset)]
    for key, value in values.items():
        options += ["--set", f"{key}={encode_value(value)}"]
    for channel, uri in channels(described).items():
        options += ["--training", uri] if channel == TRAINING_CHANNEL else ["--input", f"{channel}={uri}"]
    resources = described.get("ResourceConfig", {})
    options += ["--instance-type", str(resources.get("InstanceType", "local"))]
    if (count := resources.get("InstanceCount", 1)) != 1:
        options += ["--instance-count", str(count)]
    if described.get("EnableManagedSpotTraining"):
        limits = described.get("StoppingCondition", {})
        options += ["--spot", "--max-wait", str(limits.get("MaxWaitTimeInSeconds"))]
    pairs = [shlex.join(options[at : at + 2]) for at in range(0, len(options), 2)]
    return "\n".join([*lines, " \\\n    ".join(["batchrl train", *pairs])])
