"""Other people's S3 clients, each writing and reading: ``python other_clients.py CLIENT URL BUCKET``.

It runs in an environment of its own (tests/clients.txt), with keys and region in the usual variables.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

URL, BUCKET = sys.argv[2], sys.argv[3]
KEY, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
BIG = os.urandom(20_000_000)


def command(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, f"{words}: {done.stdout} {done.stderr}"
    return done.stdout


def aws() -> None:
    Path("folder/deep").mkdir(parents=True)
    Path("folder/deep/small").write_bytes(b"small")
    Path("folder/big").write_bytes(BIG)
    call = (str(Path(sys.executable).with_name("aws")), "--endpoint-url", URL)
    command(*call, "s3", "cp", "--recursive", "folder", f"s3://{BUCKET}/f")
    assert "deep/small" in command(*call, "s3", "ls", "--recursive", f"s3://{BUCKET}/f/")
    command(*call, "s3", "sync", f"s3://{BUCKET}/f", "back")
    assert Path("back/big").read_bytes() == BIG
    command(*call, "s3", "mv", f"s3://{BUCKET}/f/big", f"s3://{BUCKET}/moved")
    command(*call, "s3api", "head-object", "--bucket", BUCKET, "--key", "moved")
    command(*call, "s3", "rm", "--recursive", f"s3://{BUCKET}/")
    assert command(*call, "s3", "ls", f"s3://{BUCKET}/") == ""


def s5cmd() -> None:
    Path("folder").mkdir()
    for n in range(20):
        Path(f"folder/{n}").write_bytes(b"%d" % n)
    Path("folder/big").write_bytes(BIG * 4)
    call = (str(Path(sys.executable).with_name("s5cmd")), "--endpoint-url", URL)
    command(*call, "cp", "folder/", f"s3://{BUCKET}/f/")
    command(*call, "cp", f"s3://{BUCKET}/f/*", "back/")
    assert Path("back/big").read_bytes() == BIG * 4
    command(*call, "mv", f"s3://{BUCKET}/f/1", f"s3://{BUCKET}/moved")
    assert "moved" in command(*call, "ls", f"s3://{BUCKET}/*")
    command(*call, "rm", f"s3://{BUCKET}/*")


def s3fs() -> None:
    from s3fs import S3FileSystem

    files = S3FileSystem(key=KEY, secret=SECRET, client_kwargs={"endpoint_url": URL, "region_name": "us-east-1"})
    with files.open(f"{BUCKET}/deep/big", "wb") as out:
        out.write(BIG)
    with files.open(f"{BUCKET}/deep/big", "rb") as file:
        file.seek(1_000_000)
        assert file.read(100) == BIG[1_000_000:1_000_100]
    files.pipe_file(f"{BUCKET}/deep/small", b"small")
    files.copy(f"{BUCKET}/deep/big", f"{BUCKET}/copy")
    files.mv(f"{BUCKET}/copy", f"{BUCKET}/moved")
    files.invalidate_cache()
    assert files.ls(f"{BUCKET}/deep") == [f"{BUCKET}/deep/big", f"{BUCKET}/deep/small"]
    assert files.cat_file(f"{BUCKET}/moved") == BIG
    files.rm(f"{BUCKET}/deep", recursive=True)
    files.invalidate_cache()
    assert files.ls(BUCKET) == [f"{BUCKET}/moved"]


def pandas() -> None:
    import pandas as pd

    options = {"key": KEY, "secret": SECRET, "client_kwargs": {"endpoint_url": URL, "region_name": "us-east-1"}}
    frame = pd.DataFrame({"a": range(1000), "b": ["x"] * 1000})
    for name, write, read in (
        ("t.csv", lambda to: frame.to_csv(to, index=False, storage_options=options), pd.read_csv),
        ("t.parquet", lambda to: frame.to_parquet(to, storage_options=options), pd.read_parquet),
    ):
        write(f"s3://{BUCKET}/{name}")
        assert read(f"s3://{BUCKET}/{name}", storage_options=options)["a"].sum() == frame["a"].sum()


def _arrow() -> object:
    from pyarrow import fs

    parts = urlsplit(URL)
    return fs.S3FileSystem(
        access_key=KEY,
        secret_key=SECRET,
        endpoint_override=parts.netloc,
        scheme=parts.scheme,
        region="us-east-1",
        allow_bucket_creation=True,
    )


def pyarrow_files() -> None:
    from pyarrow import fs

    files = _arrow()
    files.create_dir(f"{BUCKET}/proj/deep", recursive=True)
    with files.open_output_stream(f"{BUCKET}/proj/big") as out:
        out.write(BIG)
    assert files.open_input_file(f"{BUCKET}/proj/big").read_at(10, 1000) == BIG[1000:1010]
    files.copy_file(f"{BUCKET}/proj/big", f"{BUCKET}/proj/copy")
    files.move(f"{BUCKET}/proj/copy", f"{BUCKET}/proj/moved")
    found = files.get_file_info(fs.FileSelector(f"{BUCKET}/proj", recursive=True))
    names = sorted(one.path for one in found)
    assert f"{BUCKET}/proj/moved" in names and f"{BUCKET}/proj/copy" not in names, names
    assert files.open_input_stream(f"{BUCKET}/proj/moved").read() == BIG
    files.delete_dir(f"{BUCKET}/proj")
    assert files.get_file_info(f"{BUCKET}/proj/big").type == fs.FileType.NotFound


def pyarrow_dataset() -> None:
    import pyarrow as pa
    import pyarrow.dataset as ds

    files = _arrow()
    table = pa.table({"k": [n % 5 for n in range(10_000)], "v": list(range(10_000))})
    partitioning = ds.partitioning(pa.schema([("k", pa.int64())]), flavor="hive")
    ds.write_dataset(table, f"{BUCKET}/set", filesystem=files, format="parquet", partitioning=partitioning)
    found = ds.dataset(f"{BUCKET}/set", filesystem=files, format="parquet", partitioning="hive")
    assert found.count_rows(filter=ds.field("k") == 3) == 2_000
    assert sorted(found.to_table()["v"].to_pylist()) == list(range(10_000))


def polars() -> None:
    import polars as pl

    options = {
        "aws_access_key_id": KEY,
        "aws_secret_access_key": SECRET,
        "aws_region": "us-east-1",
        "aws_endpoint_url": URL,
        "aws_allow_http": "true",
        "aws_virtual_hosted_style_request": "false",
    }
    frame = pl.DataFrame({"a": range(10_000)})
    frame.write_parquet(f"s3://{BUCKET}/p/t.parquet", storage_options=options)
    frame.lazy().sink_csv(f"s3://{BUCKET}/p/t.csv", storage_options=options)
    assert pl.read_parquet(f"s3://{BUCKET}/p/t.parquet", storage_options=options).equals(frame)
    assert (
        pl.scan_parquet(f"s3://{BUCKET}/p/*.parquet", storage_options=options).select("a").sum().collect().item()
        == 49_995_000
    )
    assert pl.read_csv(f"s3://{BUCKET}/p/t.csv", storage_options=options).height == 10_000


def duckdb() -> None:
    import duckdb as db

    connection = db.connect()
    try:
        connection.execute("INSTALL httpfs; LOAD httpfs;")
    except db.Error:  # its S3 support is a download of its own, which not every machine may make
        import fsspec

        options = {"key": KEY, "secret": SECRET, "client_kwargs": {"endpoint_url": URL, "region_name": "us-east-1"}}
        connection.register_filesystem(fsspec.filesystem("s3", **options))
    else:
        parts = urlsplit(URL)
        connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{KEY}', SECRET '{SECRET}', REGION 'us-east-1', "
            f"ENDPOINT '{parts.netloc}', URL_STYLE 'path', USE_SSL false)"
        )
    connection.execute(f"COPY (SELECT range AS a FROM range(10000)) TO 's3://{BUCKET}/d/t.parquet' (FORMAT parquet)")
    connection.execute(f"COPY (SELECT range AS a FROM range(10)) TO 's3://{BUCKET}/d/t.csv' (FORMAT csv)")
    assert connection.execute(f"SELECT sum(a) FROM 's3://{BUCKET}/d/t.parquet'").fetchone() == (49_995_000,)
    assert connection.execute(f"SELECT count(*) FROM 's3://{BUCKET}/d/*.csv'").fetchone() == (10,)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
