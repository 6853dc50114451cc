"""What lies under its own sha256 is compared with it when a job fetches it."""

from __future__ import annotations

from pathlib import Path

import pytest
from memory_s3 import MemoryS3

from batchrl.contract.download import relative_path
from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import sha256_of
from batchrl.contract.named import check_named, folder_sha256

CONTENT = b"1,2,3\n"
OTHER = b"1,2,7\n"
FOLDER = folder_sha256([("a.csv", sha256_of(CONTENT)), ("sub/b.csv", sha256_of(OTHER))])
FILE = f"p/datasets/{sha256_of(CONTENT)}/data.csv"


def fetched(tmp_path: Path, objects: dict[str, bytes], source: str) -> None:
    """Check a prefix as a job fetches it."""
    client = MemoryS3()
    client.objects = dict(objects)
    folder = tmp_path / "channel"
    for key, content in objects.items():
        if key.startswith(source) and (name := relative_path(key, source)) is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    check_named(client, S3Url("b", source), folder)


def test_a_file_and_a_folder_that_are_what_they_are_called(tmp_path: Path) -> None:
    fetched(tmp_path, {FILE: CONTENT}, FILE)
    base = f"datasets/{FOLDER}/"
    fetched(tmp_path / "2", {base: b"", f"{base}a.csv": CONTENT, f"{base}sub/b.csv": OTHER}, base)
    archive = f"x/y/source/{sha256_of(CONTENT)}/sourcedir.tar.gz"
    fetched(tmp_path / "3", {archive: CONTENT}, archive)
    alone = f"datasets/{folder_sha256([('sub/b.csv', sha256_of(OTHER))])}/"
    fetched(tmp_path / "4", {f"{alone}sub/b.csv": OTHER}, alone)
    fetched(tmp_path / "5", {f"{alone}sub/b.csv": OTHER}, f"{alone}sub/b.csv")


@pytest.mark.parametrize(
    ("objects", "source"),
    [
        ({FILE: OTHER}, FILE),
        ({FILE.replace("datasets", "source"): OTHER}, FILE.replace("datasets", "source")),
        ({f"datasets/{FOLDER}/a.csv": CONTENT, f"datasets/{FOLDER}/sub/b.csv": CONTENT}, f"datasets/{FOLDER}/"),
        ({f"datasets/{FOLDER}/a.csv": CONTENT}, f"datasets/{FOLDER}/"),
    ],
)
def test_what_was_damaged_in_the_store_is_named(tmp_path: Path, objects: dict[str, bytes], source: str) -> None:
    with pytest.raises(InputError, match=r"does not hold what was uploaded.*\n.*submit the job again"):
        fetched(tmp_path, objects, source)


@pytest.mark.parametrize("source", ["mine/data.csv", "datasets/today/data.csv", f"datasets/{'0' * 63}/data.csv"])
def test_a_key_without_a_digest_says_nothing(tmp_path: Path, source: str) -> None:
    fetched(tmp_path, {source: OTHER}, source)


def test_a_part_of_a_folder_says_nothing(tmp_path: Path) -> None:
    base = f"datasets/{FOLDER}/"
    fetched(tmp_path, {f"{base}a.csv": OTHER, f"{base}sub/b.csv": OTHER}, f"{base}a.csv")
    fetched(tmp_path / "2", {f"{base}a.csv": OTHER, f"{base}sub/b.csv": OTHER}, f"{base}sub/")
