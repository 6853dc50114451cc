"""Tables in memory as inputs: pandas, pyarrow and anything with Arrow's C interface."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchrl.contract.errors import InputError
from batchrl.contract.layout import BucketLayout, S3Url
from launcher.staging.datasets import resolve_inputs
from launcher.staging.frames import KEPT_DAYS

LAYOUT = BucketLayout(S3Url.parse("s3://bucket"))


class Capsule:
    """What polars and others are to the client: an object with Arrow's C interface and nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "batchrl" / "frames"


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "action": [0, 1, 0],
            "all_action_probabilities": [[0.5, 0.5], [0.25, 0.75], [0.5, 0.5]],
            "episode_id": ["a", "a", "b"],
            "reward": [1.5, -2.0, 0.125],
            "state_feature_0": np.array([0.25, 1e-3, 100.0], np.float32),
        },
        index=[7, 8, 9],
    )


def written(value: Any) -> pa.Table:
    given = resolve_inputs({"training": value}, LAYOUT)
    [upload] = given.uploads
    assert given.channels[0].s3_uri == str(upload.url)
    assert upload.sha256 in str(upload.url) and upload.url.key.endswith("/frame.parquet")
    assert given.local["training"].path == upload.path
    return pq.read_table(upload.path)


def test_tables_of_every_library_are_written_as_parquet() -> None:
    table = pa.Table.from_pandas(frame(), preserve_index=False).replace_schema_metadata(None)
    for value in (frame(), table, Capsule(table), table.to_reader(), table.to_batches()[0]):
        assert written(value).to_pylist() == table.to_pylist()


def test_an_index_with_a_name_is_a_column() -> None:
    assert written(frame().set_index("episode_id")).column("episode_id").to_pylist() == ["a", "a", "b"]


def test_the_same_rows_are_sent_once_and_others_are_not() -> None:
    def url(value: Any) -> str:
        return str(resolve_inputs(value, LAYOUT).uploads[0].url)

    changed = frame().assign(reward=[1.5, -2.0, 0.25])
    assert url(frame()) == url(frame().reset_index(drop=True)) != url(changed)


def test_a_table_alone_is_the_training_channel() -> None:
    assert list(resolve_inputs(frame(), LAYOUT).local) == ["training"]


def test_a_job_reads_the_table_as_it_reads_a_file(tmp_path: Path) -> None:
    from batchrl.data.loader import load_dataset
    from presets.dataschema import DataSettings

    frame().to_csv(tmp_path / "log.csv", index=False)
    path = resolve_inputs(frame(), LAYOUT).local["training"].path
    ours, theirs = (load_dataset(place, DataSettings()).dataset for place in (path, tmp_path / "log.csv"))
    assert ours.sha256() == theirs.sha256()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (pd.DataFrame({"a": [1, "x", [2]]}), "a DataFrame that Arrow cannot read"),
        (frame().head(0), "the table has no rows"),
        (pd.Series([1.0]), "a Series that Arrow cannot read"),
        (np.zeros((3, 2)), "a ndarray is no input"),
        ([{"action": 1}], "a list is no input"),
    ],
    ids=["mixed", "empty", "series", "array", "list"],
)
def test_what_is_no_table_is_refused(value: Any, words: str, cache: Path) -> None:
    with pytest.raises(InputError, match=words) as caught:
        resolve_inputs({"training": value}, LAYOUT)
    assert caught.value.message.startswith("channel 'training':")
    assert not cache.exists() or not list(cache.iterdir())


def test_tables_that_nobody_asked_for_in_a_week_are_forgotten(cache: Path) -> None:
    old = resolve_inputs(frame(), LAYOUT).uploads[0].path
    long_ago = old.stat().st_mtime - (KEPT_DAYS + 1) * 86400
    os.utime(old.parent, (long_ago, long_ago))
    new = resolve_inputs(frame().assign(reward=0.5), LAYOUT).uploads[0].path
    assert not old.parent.exists() and new.exists()
