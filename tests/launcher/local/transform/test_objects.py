"""Objects in a store: which are read, how, and what is written."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_s3 import MemoryS3, refusal
from transforms import BUCKET, transform_request

from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.layout import S3Url
from launcher.local.transform.outcome import RecordFault
from launcher.local.transform.reading import gunzip, read
from launcher.local.transform.sink import PART_BYTES, Sink, part_size
from launcher.local.transform.sources import SourceObject, partition, source_objects

MIB = 1024 * 1024
SOURCE, TARGET = S3Url(BUCKET, "in/x"), S3Url(BUCKET, "out/x.out")


def request(url, output=f"s3://{BUCKET}/out", data_type="S3Prefix"):
    made = transform_request(TransformOutput={"S3OutputPath": output})
    made["TransformInput"]["DataSource"]["S3DataSource"] = {"S3DataType": data_type, "S3Uri": url}
    return made


def targets(s3, url, output=f"s3://{BUCKET}/out", data_type="S3Prefix"):
    """Input keys and the keys of their results."""
    objects = source_objects(s3, request(url, output, data_type))
    return {one.url.key: one.target(S3Url.parse(output)).key for one in objects}


@pytest.fixture
def keys(s3):
    for key in ("in/a.csv", "in/part-1.csv", "in/part-2/b.csv", "in/part-2/deep/c", "in_other/d", "model.tar.gz"):
        s3.objects[key] = b"x"
    s3.objects["in/part-2/"] = b""
    return s3


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (
            "in/",
            {
                "in/a.csv": "out/a.csv.out",
                "in/part-1.csv": "out/part-1.csv.out",
                "in/part-2/b.csv": "out/part-2/b.csv.out",
                "in/part-2/deep/c": "out/part-2/deep/c.out",
            },
        ),
        (
            "in/part",
            {
                "in/part-1.csv": "out/part-1.csv.out",
                "in/part-2/b.csv": "out/part-2/b.csv.out",
                "in/part-2/deep/c": "out/part-2/deep/c.out",
            },
        ),
        ("in/a.csv", {"in/a.csv": "out/a.csv.out"}),
        ("in/part-2/", {"in/part-2/b.csv": "out/b.csv.out", "in/part-2/deep/c": "out/deep/c.out"}),
        ("in_", {"in_other/d": "out/in_other/d.out"}),
        ("m", {"model.tar.gz": "out/model.tar.gz.out"}),
        ("nothing", {}),
    ],
)
def test_B147_B148_B155_a_raw_prefix_and_the_keys_of_the_results(keys, prefix, expected):
    assert targets(keys, f"s3://{BUCKET}/{prefix}") == expected


def test_B148_the_output_path_is_a_folder_with_or_without_its_slash(keys):
    url = f"s3://{BUCKET}/in/a.csv"
    assert targets(keys, url, f"s3://{BUCKET}/out/") == targets(keys, url, f"s3://{BUCKET}/out")
    assert targets(keys, url, f"s3://{BUCKET}") == {"in/a.csv": "a.csv.out"}


def test_B155_an_empty_object_is_one_and_a_folder_marker_is_none(s3):
    s3.objects = {"in/": b"", "in/folder/": b"", "in/empty": b"", "in/odd/": b"not empty"}
    assert sorted(targets(s3, f"s3://{BUCKET}/in/")) == ["in/empty", "in/odd/"]


def test_B147_a_whole_bucket(keys):
    assert len(targets(keys, f"s3://{BUCKET}", "s3://other/out")) == 6


def test_A50_B148_a_manifest_names_objects_below_its_prefix(keys):
    manifest = [{"prefix": f"s3://{BUCKET}/in/"}, "a.csv", "part-2/b.csv", "gone"]
    keys.objects["manifest.json"] = json.dumps(manifest).encode()
    url = f"s3://{BUCKET}/manifest.json"
    assert targets(keys, url, data_type="ManifestFile") == {
        "in/a.csv": "out/a.csv.out",
        "in/gone": "out/gone.out",
        "in/part-2/b.csv": "out/part-2/b.csv.out",
    }
    objects = source_objects(keys, request(url, data_type="ManifestFile"))
    assert [one.size for one in objects] == [1, None, 1]


@pytest.mark.parametrize(
    ("manifest", "what"),
    [
        (b"not JSON", "is no JSON"),
        (b"[]", "does not begin with a prefix"),
        (b'{"prefix": "s3://b/"}', "does not begin with a prefix"),
        (b'["a", "b"]', "does not begin with a prefix"),
        (b'[{"prefix": ""}, "a"]', "does not begin with a prefix"),
        (b'[{"prefix": "s3://b/in/"}, "a", 5]', "entry 3 is no key"),
        (b'[{"prefix": "s3://b/in/"}, "a", "a"]', "names 'a' 2 times"),
        (b'[{"prefix": "b/in/"}, "a"]', "'b/in/' is not an S3 URL"),
        (b'[{"prefix": "s3://transform-tests/out/"}, "a"]', "would lie among the input"),
    ],
)
def test_A50_B154_a_manifest_that_is_none_is_told_with_its_form(s3, manifest, what):
    s3.objects["m"] = manifest
    with pytest.raises(InputError, match=what):
        targets(s3, f"s3://{BUCKET}/m", data_type="ManifestFile")


def test_a_manifest_that_is_not_there_is_named(s3):
    with pytest.raises(InputError, match=f"s3://{BUCKET}/m: .*NoSuchKey"):
        targets(s3, f"s3://{BUCKET}/m", data_type="ManifestFile")


@given(st.lists(st.text("ab/", min_size=1), unique=True), st.integers(1, 5))
def test_B145_objects_are_shared_out_by_key_and_none_twice(names, instances):
    objects = [SourceObject(S3Url(BUCKET, name), name, 1) for name in sorted(names)]
    parts = partition(objects, instances)
    assert sorted(one.relative for part in parts for one in part) == sorted(names)
    assert len(parts) == min(instances, len(names))
    assert not parts or max(map(len, parts)) - min(map(len, parts)) <= 1


def test_an_object_is_read_in_chunks(s3):
    s3.objects["in/x"] = random.Random(0).randbytes(5 * MIB + 7)
    chunks = list(read(s3, SOURCE))
    assert b"".join(chunks) == s3.objects["in/x"]
    assert max(map(len, chunks)) == MIB
    assert len(s3.calls["get_object"]) == 1


class Flipping(MemoryS3):
    """A store behind a wire that changes bits; the ETag is of what it has."""

    def __init__(self, etag, **more):
        super().__init__()
        self.answer = {"ContentLength": 3, "ETag": etag, **more}

    def get_object(self, **arguments):
        return self.answer | {"Body": io.BytesIO(b"1,3")}


@pytest.mark.parametrize("etag", ['"{}"', "{}"])
def test_bytes_that_changed_on_their_way_are_found_by_the_etag(etag):
    with pytest.raises(DamagedContent, match="in/x did not arrive as the store has it"):
        list(read(Flipping(etag.format(hashlib.md5(b"1,2").hexdigest())), SOURCE))
    assert list(read(Flipping(etag.format(hashlib.md5(b"1,3").hexdigest())), SOURCE)) == [b"1,3"]


@pytest.mark.parametrize(
    "answer",
    [
        {"etag": f'"{"0" * 32}-2"'},
        {"etag": "0" * 32, "ServerSideEncryption": "aws:kms"},
        {"etag": "W/abc"},
    ],
)
def test_an_etag_that_is_no_md5_says_nothing(answer):
    assert list(read(Flipping(**answer), SOURCE)) == [b"1,3"]


@pytest.mark.parametrize("after", [0, 1, MIB, MIB + 5])
def test_what_breaks_off_is_read_on_where_it_broke(s3, after):
    s3.objects["in/x"] = random.Random(0).randbytes(3 * MIB)
    breaks = iter([after, after])
    s3.breaks = lambda key, at: next(breaks, None)
    assert b"".join(read(s3, SOURCE)) == s3.objects["in/x"]
    assert len(s3.calls["get_object"]) == 3


def test_what_breaks_off_often_but_goes_on_is_read_to_its_end(s3):
    s3.objects["in/x"] = random.Random(0).randbytes(100)
    s3.breaks = lambda key, at: 10
    assert b"".join(read(s3, SOURCE)) == s3.objects["in/x"]
    assert len(s3.calls["get_object"]) == 10


def test_what_breaks_off_again_and_again_is_given_up(s3):
    s3.objects["in/x"] = b"x" * 100
    s3.breaks = lambda key, at: 0 if at else 60
    with pytest.raises(DamagedContent, match="breaks off after 60 of 100 bytes"):
        list(read(s3, SOURCE))


def test_an_object_that_is_replaced_meanwhile_is_not_mixed(s3):
    s3.objects["in/x"] = b"x" * 100
    s3.breaks = lambda key, at: 60
    chunks = read(s3, SOURCE)
    next(chunks)
    s3.objects["in/x"] = b"y" * 100
    with pytest.raises(DamagedContent, match="was replaced while it was read"):
        next(chunks)


def test_a_store_that_is_away_is_waited_for(s3):
    s3.objects["in/x"] = b"here"
    waited = []

    def before(operation, arguments):
        if len(s3.calls[operation]) < 3:
            raise refusal("Unavailable", 503, operation)

    s3.before = before
    assert b"".join(read(s3, SOURCE, waited.append)) == b"here"
    assert len(waited) == 2


def test_an_object_that_is_gone_is_named(s3):
    with pytest.raises(InputError, match=f"s3://{BUCKET}/in/x: .*NoSuchKey"):
        list(read(s3, SOURCE))


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(1, 200), st.booleans())
def test_B144_gzip_is_decompressed_whatever_its_members_and_chunks(members, size, padded):
    packed = b"".join(map(gzip.compress, members)) + b"\0" * (17 * padded if members else 0)
    chunks = iter([packed[at : at + size] for at in range(0, len(packed), size)])
    assert b"".join(gunzip(chunks)) == b"".join(members)


def test_B144_what_is_decompressed_comes_in_small_chunks():
    content = b"0" * (50 * MIB)
    sizes = [len(chunk) for chunk in gunzip(iter([gzip.compress(content)]))]
    assert sum(sizes) == len(content)
    assert max(sizes) <= MIB


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"[1]\n[2]\n", "and the object is none"),
        (gzip.compress(b"x" * 100)[:-3], "ends in the middle"),
        (gzip.compress(b"x" * 100) + b"rubbish", "and the object is none"),
        (gzip.compress(b"x" * 100)[:15] + b"\xff" * 9 + gzip.compress(b"x" * 100)[24:], "and the object is none"),
    ],
    ids=["plain text", "cut", "rubbish behind", "damaged"],
)
def test_B144_what_is_no_gzip_is_told(data, what):
    with pytest.raises(RecordFault, match=what):
        list(gunzip(iter([data])))


def written(s3, pieces, **hooks):
    sink = Sink(s3, TARGET, **hooks)
    for piece in pieces:
        sink.write(piece)
        if sink.full:
            sink.send(sink.take())
    sink.finish()
    return sink


def test_B151_a_small_result_is_put_in_one_request(s3):
    sink = written(s3, [b"a", b"b"])
    assert s3.objects == {"out/x.out": b"ab"}
    assert sorted(s3.calls) == ["head_object", "put_object"]
    assert (sink.stored, sink.size) == (True, 2)


def test_B146_B151_a_result_without_a_byte_is_stored(s3):
    written(s3, [])
    assert s3.objects == {"out/x.out": b""}


def test_B151_a_large_result_is_sent_in_parts(s3):
    content = random.Random(0).randbytes(2 * PART_BYTES + 5)
    written(s3, [content[at : at + 1_000_000] for at in range(0, len(content), 1_000_000)])
    assert s3.objects["out/x.out"] == content
    sizes = [len(call["Body"]) for call in s3.calls["upload_part"]]
    assert len(sizes) == 2 + (sum(sizes[:2]) < len(content))
    assert min(sizes[:-1]) >= PART_BYTES
    assert not s3.uploads


def test_B151_ten_thousand_parts_hold_whatever_there_is():
    assert part_size(0) == part_size(1999) == PART_BYTES
    assert sum(map(part_size, range(10_000))) > 4 * 10**12
    assert part_size(9_999) <= 5 * 1024**3  # S3's own limit


def test_B151_an_upload_that_fails_leaves_nothing(s3):
    def before(operation, arguments):
        if operation == "upload_part" and arguments["PartNumber"] == 2:
            raise refusal("AccessDenied", 403, operation)

    s3.before = before
    sink = Sink(s3, TARGET)
    sink.send(b"x" * PART_BYTES)
    with pytest.raises(InputError, match=f"upload of {TARGET}: .*AccessDenied"):
        sink.send(b"x" * PART_BYTES)
    sink.abort()
    assert (s3.objects, s3.uploads) == ({}, {})
    sink.abort()
    assert len(s3.calls["abort_multipart_upload"]) == 1


def test_B151_a_store_that_is_away_is_waited_for(s3):
    waited = []

    def before(operation, arguments):
        if len(s3.calls[operation]) == 1:
            raise refusal("SlowDown", 503, operation)

    s3.before = before
    written(s3, [b"x" * PART_BYTES, b"y"], sleep=waited.append)
    assert s3.objects["out/x.out"] == b"x" * PART_BYTES + b"y"
    assert len(waited) == 4  # begun, sent, completed, asked for its size


def test_B151_a_completion_whose_answer_is_lost_counts(s3):
    def before(operation, arguments):
        if operation == "complete_multipart_upload" and len(s3.calls[operation]) == 1:
            parts = s3.uploads.pop(arguments["UploadId"])
            s3.objects[arguments["Key"]] = b"".join(part for _, part in sorted(parts.items()))
            raise refusal("InternalError", 500, operation)

    s3.before = before
    assert written(s3, [b"x" * PART_BYTES, b"y"], sleep=lambda seconds: None).stored
    assert s3.objects["out/x.out"] == b"x" * PART_BYTES + b"y"


@pytest.mark.parametrize("lay", [None, b"x" * PART_BYTES + b"y", b"old"])
def test_B151_an_upload_that_is_gone_with_nothing_stored_is_a_fault(s3, lay):
    """As a rule of the bucket may abort it; what lies there from before is no result of ours."""
    if lay is not None:
        s3.objects["out/x.out"] = lay

    def before(operation, arguments):
        if operation == "complete_multipart_upload":
            s3.uploads.clear()

    s3.before = before
    with pytest.raises(InputError, match="NoSuchUpload"):
        written(s3, [b"x" * PART_BYTES, b"y"])
    assert s3.objects == ({} if lay is None else {"out/x.out": lay})


def test_B151_where_the_bucket_may_not_be_listed_large_results_are_stored_as_well(s3):
    """HeadObject says 403 there of what does not exist."""

    def before(operation, arguments):
        if operation == "head_object" and arguments["Key"] not in s3.objects:
            raise refusal("403", 403, operation)

    s3.before = before
    assert written(s3, [b"x" * PART_BYTES, b"y"]).stored


def test_B151_another_refusal_of_the_completion_is_one(s3):
    def before(operation, arguments):
        if operation == "complete_multipart_upload":
            s3.objects[arguments["Key"]] = b"x" * PART_BYTES + b"z"  # somebody else's, of the same size
            raise refusal("AccessDenied", 403, operation)

    s3.before = before
    with pytest.raises(InputError, match="AccessDenied"):
        written(s3, [b"x" * PART_BYTES, b"y"])


def test_B151_what_was_stored_otherwise_than_sent_is_removed(s3):
    def before(operation, arguments):
        if operation == "head_object":
            s3.objects[arguments["Key"]] = b"short"

    s3.before = before
    with pytest.raises(DamagedContent, match="5 bytes were stored, 11 were sent"):
        written(s3, [b"hello world"])
    assert s3.objects == {}
