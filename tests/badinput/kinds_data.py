"""Datasets, archives and records: files and bodies in formats of their own."""

from __future__ import annotations

import functools
import gzip
import io
import json
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from badinput import spoil
from badinput.case import Case, kind
from batchrl.contract import archive
from batchrl.contract.errors import BatchRLError, DamagedContent, InputError
from batchrl.data.loader import load_dataset
from batchrl.serving.media import Media
from batchrl.serving.parsing import Unreadable, read_document, read_lines
from launcher.api.jsonpath import ROOT
from launcher.local.transform import framing
from launcher.local.transform.outcome import RecordFault
from launcher.local.transform.payloads import packed
from launcher.local.transform.processing import Processing
from launcher.local.transform.record_stream import line_blocks
from launcher.local.transform.settings import TransformSettings
from presets.dataschema import DataSettings

HEADER = "action,all_action_probabilities,episode_id,reward,state_feature_0,state_feature_1,terminal,truncated"
ROWS = tuple(
    f'{step % 2},"[0.5, 0.5]",{episode},1.0,0.{step},{episode},{int(step == 2)},0'
    for episode in range(4)
    for step in range(3)
)
CSV = "\n".join((HEADER, *ROWS, "")).encode()
CELLS = HEADER.split(",")


@functools.cache
def parquet() -> bytes:
    """The same table as Parquet."""
    import pandas as pd

    target = io.BytesIO()
    pd.read_csv(io.BytesIO(CSV)).to_parquet(target)
    return target.getvalue()


@kind("datasets: damaged files", 8)
def _dataset(chance: random.Random, folder: Path) -> Case:
    name, good = chance.choice(
        [("x.csv", CSV), ("x.csv", CSV), ("x.csv.gz", gzip.compress(CSV, mtime=0)), ("x.parquet", parquet())]
    )
    file = folder / name
    file.write_bytes(spoil.scramble(chance, good))
    return Case(
        f"{name} {file.read_bytes()[:50]!r}",
        lambda: load_dataset(file, DataSettings()).dataset.n_episodes,
        (InputError, DamagedContent),
    )


@kind("datasets: cells that cannot be", 5)
def _cells(chance: random.Random, folder: Path) -> Case:
    column, wrong = (
        chance.choice(["action", "reward", "state_feature_0"]),
        chance.choice(["nan", "inf", "x", "1_0", "1e999", "", "0x1", "٣", "-"]),
    )
    rows = [row.split('"') for row in ROWS]
    number = chance.choice([0, 1, 3, 4])
    cells = [*rows[number][0].split(",")[:1], f'"{rows[number][1]}"', *rows[number][2].split(",")[1:]]
    cells[CELLS.index(column)] = wrong
    lines = list(ROWS)
    lines[number] = ",".join(cells)
    file = folder / "x.csv"
    file.write_text("\n".join((HEADER, *lines, "")), encoding="utf-8")
    return Case(
        f"{column}={wrong!r} in line {number + 2}",
        lambda: load_dataset(file, DataSettings()),
        (InputError,),
        # A feature may be missing, an action or a reward may not.
        invalid=column != "state_feature_0" or wrong not in ("", "nan"),
    )


@kind("datasets: several cells that cannot be", 3)
def _several_cells(chance: random.Random, folder: Path) -> Case:
    columns = chance.sample(CELLS, chance.randrange(2, 5))
    rows = [[*row[0].split(",")[:1], row[1], *row[2].split(",")[1:]] for row in (row.split('"') for row in ROWS)]
    wrong = {
        column: chance.choice(["x" * chance.choice([1, 9_000]), "{0}", "1;2", "2026-13-45", "é"]) for column in columns
    }
    wrong |= dict.fromkeys({"episode_id"} & wrong.keys(), "")
    for column, cell in wrong.items():
        for number in chance.sample(range(len(rows)), chance.randrange(1, 4)):
            rows[number][CELLS.index(column)] = cell
    file = folder / "x.jsonl"
    file.write_text("".join(json.dumps(dict(zip(CELLS, row, strict=True))) + "\n" for row in rows), encoding="utf-8")

    def all_are_named() -> None:
        try:
            load_dataset(file, DataSettings())
        except InputError as error:
            for column in columns:
                assert f"'{column}'" in str(error), f"{column} is not named"
            assert len(str(error)) < 5_000, "too long a message"
            raise

    return Case(f"{wrong}"[:200], all_are_named, (InputError,), invalid=True)


def _member(chance: random.Random) -> tuple[tarfile.TarInfo, bytes]:
    names = [
        "a",
        "a/b",
        "../x",
        "/etc/x",
        "a/../../x",
        "link/x",
        "link",
        ".",
        "..",
        "",
        "a//b",
        "x" * 300,
        "d/" * 60 + "x",
        "ü\udcff",
        "a\x00b",
    ]
    info = tarfile.TarInfo(chance.choice(names))
    info.type = chance.choice(
        [tarfile.REGTYPE] * 3
        + [tarfile.SYMTYPE] * 3
        + [tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, b"Z"]
    )
    info.linkname = chance.choice(["..", "/", "../../outside", "a", ".", "link", "/etc/passwd", "", "../outside/decoy"])
    info.mode = chance.choice([0o644, 0o755, 0, 0o7777])
    content = chance.choice([b"", b"x", b"y" * 2000]) if info.isreg() else b""
    info.size = len(content)
    return info, content


@kind("archives: hostile members", 8)
def _hostile(chance: random.Random, folder: Path) -> Case:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=chance.choice(["w", "w:gz"])) as tar:
        for _ in range(chance.randrange(1, 7)):
            info, content = _member(chance)
            tar.addfile(info, io.BytesIO(content))
    return _unpacked(folder, raw.getvalue())


@kind("archives: damaged files", 5)
def _broken_archive(chance: random.Random, folder: Path) -> Case:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=chance.choice(["w", "w:gz", "w:bz2"])) as tar:
        for name in ("train.py", "sub/x.txt"):
            info = tarfile.TarInfo(name)
            info.size = 900
            tar.addfile(info, io.BytesIO(b"z" * 900))
    return _unpacked(folder, spoil.scramble(chance, raw.getvalue()))


def _unpacked(folder: Path, content: bytes) -> Case:
    file = folder / "x.tar.gz"
    file.write_bytes(content)
    return Case(f"{len(content)} bytes", lambda: archive.extract(file, folder / "unpacked"), (InputError,))


LINES = b'[0.1, 2]\n{"features": [1, 2]}\n[3, 4]\n{"instances": [[5, 6]]}\n'
OBJECTS = b'{"age": 0.1, "visits": 2}\n{"visits": 1, "age": 3}\n'
COLUMNS = ("age", "visits")


@kind("records: bodies at the model server", 6)
def _body(chance: random.Random, folder: Path) -> Case:
    media = chance.choice([Media.JSON_LINES, Media.CSV, Media.JSON])
    lines = chance.choice([LINES, OBJECTS])
    good = {Media.JSON_LINES: lines, Media.CSV: b"1,2\n3,4.5\n", Media.JSON: b'{"instances": [[1, 2], [3, 4]]}'}[media]
    body = spoil.scramble(chance, good)

    def read() -> int:
        if media is Media.JSON:
            return len(read_document(body, 2, COLUMNS))
        return sum(map(len, read_lines(body, media, 2, COLUMNS)))

    def counted(found: int) -> str | None:
        if media is Media.JSON or not body.removeprefix(b"\xef\xbb\xbf"):
            return None
        lines = body.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n").count(b"\n") + 1
        return None if found == lines else f"{lines} lines gave {found} answers"

    return Case(f"{media.value} {body[:60]!r}", read, (Unreadable,), judge=counted)


@kind("records: joins in a transform", 5)
def _joined(chance: random.Random, folder: Path) -> Case:
    kind_, good = chance.choice([("application/jsonlines", LINES), ("text/csv", b'1,"a b",3\n4,5,6\n')])
    data = spoil.scramble(chance, good)
    settings = TransformSettings(
        split="Line",
        content_type=kind_,
        accept=kind_,
        assemble_lines=True,
        join=True,
        input_filter=ROOT,
        output_filter=ROOT,
    )
    processing = Processing(settings)
    answer = b'{"p": 1}\n' if "json" in kind_ else b"0.5\n"
    lost = kind_ == "application/jsonlines" and any(_no_json(line) for line in data.split(b"\n") if line.strip(b"\r"))

    def run() -> bytes:
        stored: list[bytes] = []
        for batch in packed(map(processing.block, line_blocks(iter([data]), 10_000_000)), 10_000_000):
            for payload in batch:
                made = answer * sum(1 for _ in payload.originals for line in _.splitlines() if line) or answer
                stored += processing.finish(payload, [made], lambda where, text: None)
        return b"".join(stored)

    return Case(f"{kind_} {data[:60]!r}", run, (RecordFault,), invalid=lost)


def _no_json(line: bytes) -> bool:
    try:
        json.loads(line.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return True
    return False


def _refuse(name: str) -> Any:
    raise ValueError(name)


@kind("records: frames", 3)
def _frames(chance: random.Random, folder: Path) -> Case:
    import struct

    data = b"hello world!"
    recordio = framing.MAGIC + struct.pack("<I", len(data)) + data
    length = struct.pack("<Q", len(data))
    tfrecord = (
        length + struct.pack("<I", framing._masked_crc(length)) + data + struct.pack("<I", framing._masked_crc(data))
    )
    find, good = chance.choice([(framing.recordio, recordio), (framing.tfrecord, tfrecord)])
    content = spoil.scramble(chance, good * 3)

    def chunks() -> Iterator[bytes]:
        yield content[:7]
        yield content[7:]

    def read() -> int:
        return sum(block.count for block in framing.frame_blocks(chunks(), find, 100_000))

    return Case(f"{find.__name__} {content[:40]!r}", read, (RecordFault, BatchRLError))
