"""Presets, overrides, hyperparameters, requirements and filters: what a user writes."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path
from typing import Any

import presets
from badinput import spoil
from badinput.case import Case, kind
from batchrl.boot import requirements
from batchrl.boot.environment import JobDescription
from batchrl.contract import hyperparameters
from batchrl.contract.errors import InputError
from batchrl.contract.paths import JobPaths
from launcher.api.joboptions import JobOptions
from launcher.api.jsonpath import JsonPath, PathNotFound
from launcher.api.options import described
from launcher.api.training import JobSpec, create_training_job

TRAIN = "cartpole-ddqn-bcq"
KEYS = [setting.key for setting in presets.describe(presets.load(TRAIN))]
FILES = {name: (presets.FOLDER / f"{name}.yaml").read_bytes() for name in presets.names()}


@kind("presets: files that are damaged", 8)
def _damaged(chance: random.Random, folder: Path) -> Case:
    content = spoil.scramble(chance, chance.choice(list(FILES.values())))
    file = folder / "mine.yaml"
    file.write_bytes(content)
    return Case(f"{content[:60]!r}", lambda: presets.load(file), (presets.PresetError,))


@kind("presets: values that cannot be", 8)
def _values(chance: random.Random, folder: Path) -> Case:
    key, text = chance.choice(KEYS), chance.choice(spoil.TEXTS).replace("\x00", "").encode("utf-8", "replace").decode()
    section, _, leaf = key.rpartition(".")
    line = f"{section}:\n  {leaf}: {text}\n" if section else f"{key}: {text}\n"
    wrong = chance.random() < 0.2
    file = folder / "mine.yaml"
    file.write_text(f"kind: train\n{line}" + ("nobody_knows: 1\n" if wrong else ""), encoding="utf-8")
    return Case(f"{line[:80]!r}", lambda: presets.load(file), (presets.PresetError,), invalid=wrong)


@kind("presets: overrides", 7)
def _overrides(chance: random.Random, folder: Path) -> Case:
    key, value = chance.choice([*KEYS, *spoil.TEXTS[:30]]), chance.choice(spoil.VALUES)
    invalid = key not in KEYS or (key == "agent.discount" and not isinstance(value, int | float) and value != "0x10")
    known = key in KEYS and key != "agent.discount"
    return Case(
        f"{key[:40]!r} {type(value).__name__}",
        lambda: presets.resolve(TRAIN, {key: value}),
        (presets.PresetError,),
        invalid=invalid and not known and value not in ("9" * 400,),
    )


@kind("hyperparameters: values on their way", 6)
def _encoded(chance: random.Random, folder: Path) -> Case:
    key, value = chance.choice(["k", *spoil.TEXTS]), chance.choice(spoil.VALUES)
    if chance.random() < 0.3:
        value = [value, {"a": value}]

    def there_and_back() -> Any:
        return hyperparameters.decode(hyperparameters.encode({key: value}))[key]

    def same(result: Any) -> str | None:
        return None if repr(result) == repr(value) else f"it came back as {result!r:.80}"

    long = isinstance(value, str) and (len(value) > 2500 or "\n" in value)
    return Case(
        f"{key[:20]!r} {ascii(value)[:40] if isinstance(value, str) else type(value).__name__}",
        there_and_back,
        (InputError,),
        invalid=not key or len(key) > 256 or long,
        judge=same,
    )


@kind("hyperparameters: the file in a job", 4)
def _file(chance: random.Random, folder: Path) -> Case:
    paths = JobPaths(root=folder / "ml")
    paths.hyperparameters.parent.mkdir(parents=True)
    good = json.dumps({"sagemaker_program": "train.py", "epochs": "5", "deep": "[1]"}).encode()
    content = (
        spoil.scramble(chance, good) if chance.random() < 0.7 else chance.choice(spoil.TEXTS).encode("utf-8", "replace")
    )
    paths.hyperparameters.write_bytes(content)
    return Case(f"{content[:60]!r}", lambda: JobDescription.read(paths).hyperparameters, (InputError,))


STATED = [each.name for each, about in described(JobOptions) if about.wire]
GOOD_JOB: dict[str, Any] = {
    "job_name": "job",
    "program": "my.py",
    "code_uri": "s3://bucket/code.tar.gz",
    "region": "us-east-1",
    "role": "arn:aws:iam::123456789012:role/jobs",
    "image_uri": "image:1",
    "output_path": "s3://bucket",
}


@kind("client: options of jobs", 6)
def _options(chance: random.Random, folder: Path) -> Case:
    name, value = chance.choice(STATED), chance.choice([*spoil.TEXTS, *spoil.TEXTS, [], {}, 2**40, -1, 10**400, True])
    if chance.random() < 0.4:
        name = chance.choice(["environment", "tags", "hyperparameters", "metric_definitions"])
        value = {chance.choice(spoil.TEXTS): chance.choice(spoil.TEXTS)}

    def build() -> Any:
        return json.dumps(create_training_job(JobSpec(**GOOD_JOB | {name: value})))

    return Case(f"{name} {ascii(value)[:60]}", build, (InputError,))


@kind("requirements: the file in a job", 3)
def _requirements(chance: random.Random, folder: Path) -> Case:
    file = folder / "requirements.txt"
    good = b"boto3>=1.0\nnumpy==1.26 ; python_version < '3'\n# remark\nx @ https://host/x.whl\n-r other.txt\n"
    file.write_bytes(spoil.scramble(chance, good))

    def read() -> list[bool]:
        return [requirements._is_satisfied(line) for line in requirements._requirements(file)]

    return Case(f"{file.read_bytes()[:60]!r}", read, (InputError,))


@kind("filters: paths into records", 3)
def _paths(chance: random.Random, folder: Path) -> Case:
    good = chance.choice(["$.a['b','c'][0,-1]", "$[1:]", "$.features", "$[0,5:]"])
    text = spoil.scramble(chance, good.encode()).decode("utf-8", "replace")
    if chance.random() < 0.3:
        text = "$" + "".join(chance.choice(string.punctuation + "09a") for _ in range(chance.randrange(60)))
    record = {"a": {"b": [1, 2], "c": []}, "features": [1, 2.5]}

    def select() -> Any:
        try:
            return JsonPath.parse(text).select(record)
        except PathNotFound:
            return None

    return Case(repr(text[:60]), select, (InputError,))
