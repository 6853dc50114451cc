"""Inputs: what a user may give as channels, and content that is sent once."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

from batchrl.contract.errors import InputError
from batchrl.contract.layout import BucketLayout, S3Url
from batchrl.contract.manifest import sha256_of
from launcher.api.training import Channel
from launcher.session.session import AwsSession
from launcher.staging.datasets import resolve_inputs
from launcher.staging.uploads import send

LAYOUT = BucketLayout(S3Url("bucket", "prefix"))


def test_a_file_goes_under_its_sha256(tmp_path: Path) -> None:
    file = tmp_path / "data one.csv"
    file.write_text("a,b\n")
    given = resolve_inputs({"training": str(file)}, LAYOUT)
    digest = sha256_of(b"a,b\n")
    assert given.channels == (Channel("training", f"s3://bucket/prefix/datasets/{digest}/data one.csv"),)
    (upload,) = given.uploads
    assert (upload.sha256, upload.size) == (digest, 4)


def test_a_path_alone_is_the_channel_training(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("x")
    assert resolve_inputs(tmp_path / "x.csv", LAYOUT).channels[0].name == "training"
    assert resolve_inputs(f"file://{tmp_path}/x.csv", LAYOUT).uploads


def test_a_folder_is_one_content_whatever_its_place_and_times(tmp_path: Path) -> None:
    uris = []
    for place in ("one", "two"):
        folder = tmp_path / place / "sub"
        folder.mkdir(parents=True)
        (folder / "ü b.csv").write_text("1")
        (tmp_path / place / "a.csv").write_text("2")
        given = resolve_inputs({"training": tmp_path / place}, LAYOUT)
        uris.append(given.channels[0].s3_uri)
        assert {upload.url.key.split("/", 3)[3] for upload in given.uploads} == {"a.csv", "sub/ü b.csv"}
    assert uris[0] == uris[1]
    assert uris[0].endswith("/")
    (tmp_path / "two" / "a.csv").rename(tmp_path / "two" / "b.csv")
    assert resolve_inputs({"training": tmp_path / "two"}, LAYOUT).channels[0].s3_uri != uris[0]


def test_s3_urls_channels_and_details_pass_through() -> None:
    given = resolve_inputs(
        {
            "a": "s3://b/raw-prefix",
            "b": Channel("other", "s3://b/x", content_type="text/csv"),
            "c": {"s3_uri": "s3://b/y/", "distribution": "ShardedByS3Key", "attribute_names": ["z"]},
        },
        LAYOUT,
    )
    assert given.channels == (
        Channel("a", "s3://b/raw-prefix"),
        Channel("b", "s3://b/x", content_type="text/csv"),
        Channel("c", "s3://b/y/", distribution="ShardedByS3Key", attribute_names=("z",)),
    )
    assert given.uploads == ()


def test_a_training_input_of_sagemakers_sdk_is_understood() -> None:
    config = {
        "DataSource": {"S3DataSource": {"S3Uri": "s3://b/x", "S3DataType": "S3Prefix"}},
        "ContentType": "text/csv",
    }
    training_input = types.SimpleNamespace(config=config)
    (channel,) = resolve_inputs({"training": training_input}, LAYOUT).channels
    assert channel == Channel("training", "s3://b/x", content_type="text/csv")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"training": "/nowhere/x.csv"}, "no file or folder /nowhere/x.csv"),
        ({"training": {"s3_url": "s3://b/x"}}, "unknown key 's3_url'"),
        ({"training": {}}, "'s3_uri' is missing"),
        ({"training": 3}, "a int is no input"),
    ],
)
def test_what_cannot_be_an_input_is_refused(inputs: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_inputs(inputs, LAYOUT)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no file"):
        resolve_inputs({"training": tmp_path}, LAYOUT)


def test_what_is_there_is_not_sent_again(tmp_path: Path, aws: AwsSession) -> None:
    for n in range(5):
        (tmp_path / f"{n}.csv").write_text(str(n) * (n + 1))
    layout = BucketLayout(S3Url(aws.default_bucket))
    uploads = resolve_inputs({"training": tmp_path}, layout).uploads
    first, again = send(aws, uploads), send(aws, uploads)
    assert (first.uploaded, first.skipped) == (5, 0)
    assert (again.uploaded, again.skipped, again.bytes) == (0, 5, 0)


def test_an_object_of_another_size_is_replaced(tmp_path: Path, aws: AwsSession) -> None:
    (tmp_path / "x.csv").write_text("whole")
    uploads = resolve_inputs({"training": tmp_path / "x.csv"}, BucketLayout(S3Url(aws.default_bucket))).uploads
    aws.provide_bucket(aws.default_bucket)
    aws.s3.put_object(Bucket=aws.default_bucket, Key=uploads[0].url.key, Body=b"who")
    assert send(aws, uploads).uploaded == 1
    assert aws.s3.get_object(Bucket=aws.default_bucket, Key=uploads[0].url.key)["Body"].read() == b"whole"


@pytest.mark.parametrize("size", [10, 9 * 1024 * 1024])
def test_a_file_that_changed_since_it_was_hashed_never_lies_under_that_hash(
    tmp_path: Path, aws: AwsSession, size: int
) -> None:
    file = tmp_path / "x.bin"
    file.write_bytes(b"a" * size)
    uploads = resolve_inputs({"training": file}, BucketLayout(S3Url(aws.default_bucket))).uploads
    file.write_bytes(b"b" * size)
    with pytest.raises(InputError, match="changed while"):
        send(aws, uploads)
    listed = aws.s3.list_objects_v2(Bucket=aws.default_bucket, Prefix=uploads[0].url.key)
    assert listed["KeyCount"] == 0
