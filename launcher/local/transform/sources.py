"""Which objects a transform job reads, which instance reads each, and what its result is called.

Input (contract 48, 50, 155): a raw key prefix finds every object whose key begins with it, in sub-folders too; a folder
marker, an empty object whose key ends with a slash, is none. A manifest names objects below a prefix of its own.

Result (contract 148; AWS leaves nested and partial prefixes open, contract 239, so it is pinned here): S3OutputPath,
then the input's key without the folder of its prefix, then ``.out``. Of ``s3://b/in/part`` and of ``s3://b/in/`` the
folder is ``in/``, so that ``in/part-1/x.csv`` becomes ``part-1/x.csv.out``; a single object keeps its name. A
manifest's prefix counts alike.

Instances (contract 145): of the keys in their order, the first instance reads the first, the second the second, and so
on round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from batchrl.contract import jsontext
from batchrl.contract.download import below_folder
from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3Url
from batchrl.contract.parallel import run_all
from batchrl.contract.store import Client, list_objects, reported, size_of
from launcher.api.constants import OUTPUT_SUFFIX
from launcher.api.transform_rules import overlap
from launcher.local.host.retry import DOWNLOAD_SECONDS, retry

MANIFEST_FORM = '[{"prefix": "s3://bucket/prefix/"}, "a.jsonl", "folder/b.jsonl"]'
# More than any manifest of names needs (bytes).
MANIFEST_BYTES = 64 * 1024 * 1024
HEAD_THREADS = 16


@dataclass(frozen=True)
class SourceObject:
    """One object to be transformed.

    Args:
        url: the object.
        relative: its key without the folder of the input prefix.
        size: bytes; None where a manifest names an object that is not there.
    """

    url: S3Url
    relative: str
    size: int | None = None

    def target(self, output: S3Url) -> S3Url:
        """Where its result is stored, below S3OutputPath (contract 147, 148)."""
        return output / (self.relative + OUTPUT_SUFFIX)


def source_objects(client: Client, request: Mapping[str, Any]) -> tuple[SourceObject, ...]:
    """The objects of a job, by key; there may be none.

    Args:
        client: S3 client.
        request: CreateTransformJob.

    Raises:
        InputError: they cannot be listed, or the manifest is none.
        Unreachable: the store is away.
    """
    given = request["TransformInput"]["DataSource"]["S3DataSource"]
    source, output = S3Url.parse(given["S3Uri"]), S3Url.parse(request["TransformOutput"]["S3OutputPath"])
    found: list[SourceObject] = []

    def attempt() -> None:
        of_manifest = given["S3DataType"] == "ManifestFile"
        found[:] = _of_manifest(client, source, output) if of_manifest else _of_prefix(client, source)

    retry(f"input {source}", client, attempt, patience=DOWNLOAD_SECONDS)
    return tuple(sorted(found, key=lambda one: one.url.key))


def partition(objects: Sequence[SourceObject], instances: int) -> list[Sequence[SourceObject]]:
    """What each of several instances reads (contract 145); instances without an object are left out."""
    return [objects[first::instances] for first in range(min(instances, len(objects)))]


def _of_prefix(client: Client, prefix: S3Url) -> list[SourceObject]:
    return [
        SourceObject(S3Url(prefix.bucket, key), below_folder(key, prefix.key), size)
        for key, size in list_objects(client, prefix)
        if size or not key.endswith("/")
    ]


def _of_manifest(client: Client, manifest: S3Url, output: S3Url) -> list[SourceObject]:
    with reported(f"manifest {manifest}", client):
        text = client.get_object(Bucket=manifest.bucket, Key=manifest.key)["Body"].read(MANIFEST_BYTES)
    prefix, names = _manifest(text, manifest)
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"the manifest {manifest} names '{twice[0]}' {Counter(names)[twice[0]]} times; name it once.")
    if overlap(prefix, output):
        raise InputError(
            f"S3OutputPath '{output}' lies within the prefix '{prefix}' of the manifest {manifest}, so that results "
            "would lie among the input: write to a folder whose key does not begin like the input's."
        )
    urls = [S3Url(prefix.bucket, prefix.key + name) for name in names]
    sizes = run_all([partial(size_of, client, url) for url in urls], HEAD_THREADS, "manifest")
    return [SourceObject(url, below_folder(url.key, prefix.key), size) for url, size in zip(urls, sizes, strict=True)]


def _manifest(text: bytes, manifest: S3Url) -> tuple[S3Url, list[str]]:
    try:
        entries: Any = jsontext.parsed(text)
    except ValueError as error:
        raise InputError(f"the manifest {manifest} is no JSON ({error}); its form is {MANIFEST_FORM}.") from error
    head = entries[0] if isinstance(entries, list) and entries else None
    if not isinstance(head, dict) or not isinstance(head.get("prefix"), str) or not head["prefix"]:
        raise InputError(f"the manifest {manifest} does not begin with a prefix; its form is {MANIFEST_FORM}.")
    names: list[str] = []
    for number, name in enumerate(entries[1:], 2):
        if not isinstance(name, str) or not name:
            raise InputError(f"the manifest {manifest}: entry {number} is no key; its form is {MANIFEST_FORM}.")
        names.append(name)
    return S3Url.parse(head["prefix"]), names
