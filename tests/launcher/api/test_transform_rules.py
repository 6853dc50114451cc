"""What CreateTransformJob demands beyond its model."""

from __future__ import annotations

import pytest
from transforms import transform_request

from batchrl.contract.layout import S3Url
from launcher.api import servicemodel
from launcher.api.transform_rules import overlap, problems


def given(content="application/jsonlines", accept=None, split="Line", assemble="Line", **processing):
    """A request with records of some type."""
    return transform_request(
        TransformInput={"SplitType": split} | ({"ContentType": content} if content else {}),
        TransformOutput={"AssembleWith": assemble} | ({"Accept": accept} if accept else {}),
        DataProcessing=processing,
    )


def source(url, output, data_type="S3Prefix"):
    request = transform_request(TransformOutput={"S3OutputPath": output})
    request["TransformInput"]["DataSource"]["S3DataSource"] = {"S3DataType": data_type, "S3Uri": url}
    return request


@pytest.mark.parametrize(
    "request_",
    [
        transform_request(),
        transform_request(MaxPayloadInMB=100, MaxConcurrentTransforms=1),
        transform_request(MaxPayloadInMB=25, MaxConcurrentTransforms=4),
        transform_request(MaxPayloadInMB=0, MaxConcurrentTransforms=100),
        transform_request(MaxConcurrentTransforms=0),
        given(accept="application/jsonlines", JoinSource="Input"),
        given(content="text/csv; header=absent", accept="text/csv", JoinSource="Input", InputFilter="$[1:]"),
        given(content="application/json", split="None", assemble="None", JoinSource="Input"),
        given(content="text/csv", accept="application/jsonlines", InputFilter="$[0]", OutputFilter="$.a"),
        given(content=None, InputFilter="$", OutputFilter="$", JoinSource="None"),
        transform_request(BatchStrategy="SingleRecord", TransformInput={"SplitType": "RecordIO"}),
    ],
)
def test_B142_B156_B162_B166_requests_that_can_be_done(request_):
    assert problems(request_) == []


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        (transform_request(MaxPayloadInMB=101), "MaxPayloadInMB 101 is above 100"),
        (transform_request(MaxPayloadInMB=30, MaxConcurrentTransforms=4), "set MaxConcurrentTransforms to 3 or less"),
        (transform_request(MaxConcurrentTransforms=101), "MaxConcurrentTransforms 101 is above 100"),
        (transform_request(MaxConcurrentTransforms=101, MaxPayloadInMB=0), "MaxConcurrentTransforms 101 is above 100"),
        (transform_request(MaxConcurrentTransforms=101, MaxPayloadInMB=1), "MaxConcurrentTransforms 101 is above 100"),
        (transform_request(BatchStrategy="MultiRecord"), "set SplitType to Line, RecordIO or TFRecord"),
        (source("s3://b/in", "s3://b/out", "AugmentedManifestFile"), "use S3Prefix or ManifestFile"),
        (source("s3://b/in", "s3://b/out", "Converse"), "use S3Prefix or ManifestFile"),
        (source("https://b/in", "s3://b/out"), "S3Uri: 'https://b/in' is not an S3 URL"),
    ],
)
def test_B142_fields_that_contradict_each_other_or_the_limits(request_, what):
    (fault,) = problems(request_)
    assert what in fault


@pytest.mark.parametrize(
    ("read", "written", "overlaps"),
    [
        ("s3://b/in/", "s3://b/in", True),
        ("s3://b/in", "s3://b/in_out", True),
        ("s3://b/in/", "s3://b/in/out", True),
        ("s3://b/in/x.jsonl", "s3://b/in", True),
        ("s3://b/in/part-", "s3://b/in/", True),
        ("s3://b/in", "s3://b", True),
        ("s3://b", "s3://b/out", True),
        ("s3://b/in/", "s3://b/in_out", False),
        ("s3://b/in/", "s3://b/out", False),
        ("s3://b/job/in/", "s3://b/job/", False),
        ("s3://b/in/", "s3://b", False),
        ("s3://b/in", "s3://c/in", False),
    ],
)
def test_B154_results_must_not_lie_where_the_input_prefix_finds_them(read, written, overlaps):
    assert overlap(S3Url.parse(read), S3Url.parse(written)) is overlaps
    faults = problems(source(read, written))
    assert [f"'{written.rstrip('/')}" in fault for fault in faults] == [True] * overlaps


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        (given(InputFilter="$..a"), "InputFilter: '$..a' is no JSONPath that batch transform takes"),
        (given(OutputFilter="$[?(@.x)]"), "OutputFilter: "),
        (given(content="text/csv", InputFilter="$.a"), "a row of CSV has columns only"),
        (given(content="text/csv", accept="text/csv", OutputFilter="$['a']"), "a row of CSV has columns only"),
        (given(accept="application/x-npy", OutputFilter="$.a"), "cannot be applied to Accept 'application/x-npy'"),
        (given(content=None, InputFilter="$.a"), "not for a request without ContentType"),
        (
            given(content="application/x-npy", InputFilter="$.a", accept="text/csv"),
            "not for ContentType 'application/x-npy'",
        ),
        (given(split="RecordIO", JoinSource="Input"), "not for SplitType RecordIO"),
        (given(split="TFRecord", InputFilter="$.a"), "not for SplitType TFRecord"),
    ],
)
def test_B156_B161_B162_filters_that_cannot_be_applied(request_, what):
    (fault,) = problems(request_)
    assert what in fault


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        (given(accept="text/csv", JoinSource="Input"), "make them equal"),
        (given(assemble="None", JoinSource="Input"), "SplitType and AssembleWith to be equal; they are Line and None"),
        (given(split="None", JoinSource="Input"), "they are None and Line"),
        (given(content="text/csv", split="None", assemble="None", JoinSource="Input"), "text/csv needs SplitType"),
    ],
)
def test_B166_joins_need_one_format_on_both_sides(request_, what):
    (fault,) = problems(request_)
    assert what in fault


def test_all_faults_are_told_together():
    request = given(assemble="None", accept="text/csv", JoinSource="Input", InputFilter="$..a") | {
        "MaxPayloadInMB": 999
    }
    assert len(problems(request)) == 4


def test_B156_the_model_itself_limits_the_length_of_filters():
    request = given(InputFilter="$." + "a" * 62)
    assert problems(request) == []
    assert any("63" in fault for fault in servicemodel.problems("sagemaker", "CreateTransformJob", request))


def test_what_breaks_the_model_is_left_to_it():
    request = transform_request(MaxPayloadInMB="6", MaxConcurrentTransforms=None, BatchStrategy=3)
    request["TransformInput"] = "in"
    request["TransformOutput"] = {"S3OutputPath": 5}
    request["DataProcessing"] = []
    assert problems(request) == []
