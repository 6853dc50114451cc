from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrl.contract import columns, hyperparameters
from batchrl.contract.errors import InputError
from batchrl.contract.layout import BucketLayout, JobLayout, S3Url
from batchrl.contract.paths import JobPaths

texts = st.text(max_size=20).filter(lambda text: "\n" not in text)
scalars = texts | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=5
)


@given(values)
def test_A29_a_value_comes_back_as_it_was(value):
    assert hyperparameters.decode_value(hyperparameters.encode_value(value)) == value


@pytest.mark.parametrize(
    ("value", "wire"),
    [("CartPole-v1", "CartPole-v1"), (0.1, "0.1"), (True, "true"), (None, "null"), ([1, 2], "[1, 2]"), ("5", '"5"')],
)
def test_A27_A30_every_value_is_text(value, wire):
    assert hyperparameters.encode_value(value) == wire


def test_A31_the_reader_takes_json_or_raw_text():
    assert hyperparameters.decode({"a": "1e3", "b": "00123", "c": "null", "d": "train.py"}) == {
        "a": 1000.0,
        "b": "00123",
        "c": None,
        "d": "train.py",
    }


def test_A33_reserved_keys_are_not_the_users():
    assert hyperparameters.user_values({"sagemaker_program": "train.py", "epochs": "5"}) == {"epochs": 5}


@pytest.mark.parametrize("bad", [{"k": "x" * 2501}, {"k": "two\nlines"}, {"": 1}, {f"k{i}": i for i in range(101)}])
def test_D191_what_the_api_refuses_is_refused_here(bad):
    with pytest.raises(InputError):
        hyperparameters.encode(bad)


def test_D191_a_value_may_be_as_long_as_the_api_takes_it():
    assert hyperparameters.encode({"k": "x" * 2500}) == {"k": "x" * 2500}


def _nested(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("bad", [_nested(101), _nested(5000), 10**5000, "half \ud800", ["\udfff"]], ids=range(5))
def test_a_value_that_no_job_could_read_is_refused_before_it_is_sent(bad):
    with pytest.raises(InputError, match="hyperparameter 'k': the value cannot be sent"):
        hyperparameters.encode({"k": bad})


@pytest.mark.parametrize("text", ["[" * 2400, '{"a":' * 400, "9" * 2400 + "9" * 2400, '"\\ud800"'])
def test_A31_what_no_reader_of_json_can_take_is_text(text):
    assert hyperparameters.decode({"k": text}) == {"k": text}


@pytest.mark.parametrize("bad", ["bucket/key", "file:///x", "s3://", "s3:/b/k", ""])
def test_a_text_that_is_no_s3_url_is_refused(bad):
    with pytest.raises(InputError, match="s3://bucket/key"):
        S3Url.parse(bad)


@pytest.mark.parametrize("bad", ["s3://b//x", "s3://b/x//y", "s3://b/x//", "s3://b//", "x"])
def test_a_place_to_write_to_has_no_empty_parts(bad):
    with pytest.raises(InputError):
        S3Url.parse_place(bad)
    assert S3Url.parse_place("s3://b/x/") == S3Url("b", "x/")
    assert S3Url.parse_place("s3://b/") == S3Url.parse_place("s3://b") == S3Url("b")
    assert S3Url.parse("s3://b/x//y").key == "x//y"


def test_s3_urls_join():
    assert str(S3Url.parse("s3://b") / "a" / "b/c") == "s3://b/a/b/c"
    assert str(S3Url.parse("s3://b/p/") / "a") == "s3://b/p/a"
    assert str(S3Url.parse("s3://b")) == "s3://b"


def test_A67_A68_A107_one_layout_of_results():
    layout = JobLayout(S3Url.parse("s3://b/p"), "job-1")
    assert str(layout.model_archive) == "s3://b/p/job-1/output/model.tar.gz"
    assert str(layout.output_archive) == "s3://b/p/job-1/output/output.tar.gz"
    assert str(layout.intermediate) == "s3://b/p/job-1/output/intermediate"
    assert str(layout.checkpoints) == "s3://b/p/job-1/checkpoints"
    assert str(BucketLayout(S3Url("b", "p")).source_archive("0a")) == "s3://b/p/source/0a/sourcedir.tar.gz"


def test_A19_paths_of_a_job():
    paths = JobPaths.from_environment({})
    assert paths.hyperparameters == Path("/opt/ml/input/config/hyperparameters.json")
    assert paths.channel("training") == Path("/opt/ml/input/data/training")
    assert paths.failure == Path("/opt/ml/output/failure")


def test_platform_paths_move_with_the_root():
    paths = JobPaths.from_environment({"BATCHRL_ML_ROOT": "/tmp/with space"})
    assert paths.local("/opt/ml/checkpoints") == Path("/tmp/with space/checkpoints")
    assert paths.local("/data/x") == Path("/data/x")


def test_columns_are_unique_and_coachs_come_first():
    names = columns.COACH_COLUMNS + columns.OWN_COLUMNS
    assert len(set(names)) == len(names)
    assert names[0] == columns.EPOCH
    assert set(columns.TIME_COLUMNS) < set(names)
    assert json.dumps(names)


def test_A20_checkpoints_lie_where_the_job_was_told():
    assert JobPaths.from_environment({}).checkpoints == Path("/opt/ml/checkpoints")
    assert JobPaths.from_environment({"SM_CHECKPOINT_DIR": "/data/mine"}).checkpoints == Path("/data/mine")
