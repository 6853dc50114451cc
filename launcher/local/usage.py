"""How much of this computer's disk jobs use, by what the store's database says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from batchrl.contract.layout import JobLayout, S3Url
from launcher.api.constants import OUTPUT_SUFFIX, TRAINING, TRANSFORM
from launcher.local.store.usage import stored_bytes

if TYPE_CHECKING:
    from launcher.local.host.home import HomePaths
    from launcher.local.records.jobrecord import JobRecord


def local_bytes(home: Path | None, jobs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Bytes that jobs of this computer wrote, by kind and name, without a request to the store.

    The embedded store's database is read, so that objects of running jobs are counted as well. For a store of the
    user's own it is what the records say: the bytes of the archives, once a job has ended.

    Args:
        home: the local cloud's data folder; None for the usual one.
        jobs: kind and name of each.
    """
    from launcher.local.host.home import HomePaths
    from launcher.local.records.records import Records

    paths = HomePaths.of(home)
    embedded = not paths.settings.exists()
    records = Records(paths.records)
    try:
        found = [record for kind, name in jobs if (record := records.find(name, kind)) is not None]
    finally:
        records.close()
    # What a transform or processing job wrote is known when it has ended; others may have written to the same place.
    return {
        (record.kind, record.name): _stored_bytes(paths, record)
        if embedded and (record.kind == TRAINING or (record.kind == TRANSFORM and not record.ended))
        else record.size_bytes
        for record in found
    }


def _stored_bytes(paths: HomePaths, record: JobRecord) -> int:
    if "TransformOutput" in record.request:
        output, wanted = S3Url.parse(record.request["TransformOutput"]["S3OutputPath"]), OUTPUT_SUFFIX
    else:
        output = S3Url.parse(record.request["OutputDataConfig"]["S3OutputPath"])
        output, wanted = JobLayout(output, record.name).job, ""
    folder = f"{output.key.rstrip('/')}/" if output.key.strip("/") else ""
    return stored_bytes(paths, output.bucket, folder, wanted)
