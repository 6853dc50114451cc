"""What a training job left, reduced to what must be equal between two runs."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import Any

import torch

from batchrl.contract import columns, pointers
from batchrl.contract.layout import BEST_NAME, LATEST_NAME, JobLayout, S3Url
from batchrl.contract.manifest import sha256_of
from batchrl.contract.store import Client, list_objects

# What may differ between a disturbed run and its reference: time, and the name of the job.
FREE_PARTS = frozenset({"seconds", "facts", "rows"})


@dataclass(frozen=True)
class Outcome:
    """What is compared.

    Args:
        epoch: the last one.
        state: sha256 of everything that a checkpoint holds but ``FREE_PARTS``: weights, optimiser, random streams.
        rows: sha256 of the csv's rows, without the columns of time.
        model: sha256 of the exported weights.
    """

    epoch: int
    state: str
    rows: str
    model: str

    def differences(self, other: Outcome) -> list[str]:
        """Names of the parts that differ."""
        return [name for name in ("epoch", "state", "rows", "model") if getattr(self, name) != getattr(other, name)]


class Damaged(Exception):
    """What was announced is not there, or is not what was announced."""


def get(client: Client, url: S3Url) -> bytes:
    """The body of an object."""
    return bytes(client.get_object(Bucket=url.bucket, Key=url.key)["Body"].read())


def announced(client: Client, checkpoints: S3Url) -> int:
    """The epoch that latest.json names, whose checkpoint is there and whole; 0 where nothing was announced.

    Raises:
        Damaged: latest.json or best.json names what is not there, or something else.
    """
    names = {
        key.rpartition("/")[2] for key, _ in list_objects(client, S3Url(checkpoints.bucket, f"{checkpoints.key}/"))
    }
    epochs = {}
    for pointer in (LATEST_NAME, BEST_NAME):
        if pointer not in names:
            continue
        told = json.loads(get(client, checkpoints / pointer))
        name = told[pointers.CHECKPOINT]
        if name not in names:
            raise Damaged(f"{pointer} names {name}, which is not in the store")
        if sha256_of(get(client, checkpoints / name)) != told["sha256"]:
            raise Damaged(f"{name} differs from the sha256 that {pointer} names")
        epochs[pointer] = int(told["epoch"])
    return epochs.get(LATEST_NAME, 0)


def outcome(client: Client, checkpoints: S3Url, layout: JobLayout) -> Outcome:
    """What a job left that ended well.

    Raises:
        Damaged: something is missing or damaged.
    """
    epoch = announced(client, checkpoints)
    if not epoch:
        raise Damaged("no checkpoint was published")
    name = json.loads(get(client, checkpoints / LATEST_NAME))[pointers.CHECKPOINT]
    state = torch.load(io.BytesIO(get(client, checkpoints / name)), weights_only=True)
    table = csv.DictReader(io.StringIO(get(client, layout.intermediate / columns.INTERMEDIATE_CSV).decode()))
    rows = [{key: text for key, text in row.items() if key not in columns.TIME_COLUMNS} for row in table]
    with tarfile.open(fileobj=io.BytesIO(get(client, layout.model_archive))) as packed:
        members = {member.name.removeprefix("./"): packed.extractfile(member) for member in packed if member.isfile()}
        weights = members["model.safetensors"]
        assert weights is not None
        model = sha256_of(weights.read())
    kept = {key: part for key, part in state.items() if key not in FREE_PARTS}
    return Outcome(epoch, digest(kept), sha256_of(json.dumps(rows, sort_keys=True).encode()), model)


def digest(value: Any) -> str:
    """sha256 of tensors and plain values, in an order of their own."""
    total = hashlib.sha256()

    def add(part: Any) -> None:
        if isinstance(part, torch.Tensor):
            total.update(f"{part.dtype}{tuple(part.shape)}".encode())
            total.update(part.detach().contiguous().numpy().tobytes())
        elif isinstance(part, dict):
            for key in sorted(part, key=str):
                total.update(str(key).encode())
                add(part[key])
        elif isinstance(part, list | tuple):
            total.update(f"[{len(part)}".encode())
            for item in part:
                add(item)
        else:
            total.update(repr(part).encode())

    add(value)
    return total.hexdigest()
