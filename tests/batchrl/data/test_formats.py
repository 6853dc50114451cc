"""Files as companies have them: other separators, encodings, packings and kinds are read alike, or refused in words."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchrl.contract.errors import InputError
from batchrl.data.convert import convert
from batchrl.data.loader import load_dataset
from batchrl.data.tables import open_tables
from presets import PresetError, resolve_train
from presets.dataschema import DataSettings

PLAIN = """action,all_action_probabilities,episode_id,reward,state_feature_0,terminal
0,"[0.5, 0.5]",a,1.5,0.25,0
1,"[0.25, 0.75]",a,-2,1e-3,1
0,"[0.5, 0.5]",b,0.125,100,1
"""
FRAME = pd.read_csv(io.StringIO(PLAIN))


def digest(path: Path, content: str | bytes, **settings: Any) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_dataset(path, DataSettings(**settings)).dataset.sha256()


def refused(path: Path, content: str | bytes | None = None, **settings: Any) -> str:
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        load_dataset(path, DataSettings(**settings))
    return str(caught.value)


def separated(separator: str, **options: Any) -> str:
    return str(FRAME.to_csv(index=False, sep=separator, **options))


def json_lines(change: Callable[[dict[str, Any]], object] = lambda record: None) -> str:
    lines = []
    for record in FRAME.assign(all_action_probabilities=FRAME["all_action_probabilities"].map(json.loads)).to_dict(
        "records"
    ):
        change(record)
        lines.append(json.dumps(record))
    return "\n".join(lines) + "\n"


READ_ALIKE: dict[str, tuple[str | bytes, dict[str, Any]]] = {
    "semicolon": (separated(";"), {}),
    "semicolon, said by name": (separated(";"), {"separator": "semicolon"}),
    "semicolon, said itself": (separated(";"), {"separator": ";"}),
    "tab": (separated("\t"), {}),
    "pipe": (separated("|"), {}),
    "another character": (separated("^"), {"separator": "^"}),
    "decimal commas": (separated(";", decimal=","), {"decimal": "comma"}),
    "decimal commas in quotes": (separated(",", decimal=",", quoting=1), {"decimal": "comma"}),
    "decimal commas beside a flag in words": (
        separated(";", decimal=",").replace(";1\n", ";TRUE\n").replace(";1,5;", ";+1,5;"),
        {"decimal": "comma"},
    ),
    "quoted numbers": (separated(",", quoting=1), {}),
    "spaces around headers": (PLAIN.replace("action,all", " action , all", 1).replace("reward,", "reward ,", 1), {}),
    "UTF-8 with a mark": (b"\xef\xbb\xbf" + PLAIN.encode(), {}),
    "UTF-16": (PLAIN.encode("utf-16"), {}),
    "UTF-16, big end first": (b"\xfe\xff" + PLAIN.encode("utf-16-be"), {}),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le"), {}),
    "UTF-16 of big ends without a mark": (PLAIN.encode("utf-16-be"), {}),
    "UTF-16 with tabs, as Excel saves it": (separated("\t").replace("\n", "\r\n").encode("utf-16"), {}),
    "UTF-32": (PLAIN.encode("utf-32"), {}),
    "an encoding that is said": (PLAIN.encode("cp1252"), {"encoding": "Windows-1252"}),
    "JSON Lines": (json_lines(), {}),
    "JSON Lines of texts": (json_lines(lambda record: record.update({k: str(v) for k, v in record.items()})), {}),
    "JSON Lines of mixed types": (json_lines(lambda r: r["reward"] == 1.5 and r.update(reward="1.5")), {}),
    "JSON Lines with blank lines": ("\n" + json_lines().replace("\n", "\r\n\r\n"), {}),
    "JSON Lines with missing keys": (json_lines(lambda r: r["terminal"] == 0 and r.pop("terminal")), {}),
    "JSON Lines in UTF-16": (json_lines().encode("utf-16"), {}),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", READ_ALIKE)
def test_formats_are_read_alike_under_any_name(tmp_path: Path, name: str, packed: bool) -> None:
    content, settings = READ_ALIKE[name]
    expected = digest(tmp_path / "plain.csv", PLAIN)
    raw = content.encode() if isinstance(content, str) else content
    for file in ("log.csv", "log.csv.gz", "log.txt", "log.jsonl" if name.startswith("JSON") else "log"):
        assert digest(tmp_path / file, gzip.compress(raw) if packed else raw, **settings) == expected, file


def test_parquet_is_known_under_any_name(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "log.csv")
    expected = digest(tmp_path / "plain.csv", PLAIN)
    assert load_dataset(tmp_path / "log.csv", DataSettings()).dataset.sha256() == expected


REFUSED: dict[str, tuple[str | bytes, dict[str, Any], list[str]]] = {
    "a zip archive": (b"PK\x03\x04" + bytes(30), {}, ["a zip archive", "save the sheet as CSV"]),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(30), {}, ["zstd", "Unpack it"]),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(30), {}, ["HDF5", "reads d3rlpy's", "as a table"]),
    "one JSON array": ("[\n" + json_lines().replace("}\n{", "},\n{") + "]", {}, ["one JSON array", "jq -c"]),
    "Excel's first line": ("sep=;\n" + separated(";"), {}, ["'sep=;'", "Delete that line"]),
    "an unknown separator": (separated("^"), {}, ["one column", "data.separator"]),
    "a wrong separator": (separated(";"), {"separator": "tab"}, ["one column", "data.separator"]),
    "decimal commas": (
        separated(";", decimal=","),
        {},
        ["line 2, episode a, column 'state_feature_0': '0,25' is not a number", "data.decimal=comma"],
    ),
    "points of thousands": (
        separated(";", decimal=",").replace("1,5;", "1.001,5;"),
        {"decimal": "comma"},
        ["line 2", "column 'reward': '1.001,5' is not a number"],
    ),
    "a letter of Windows": (
        PLAIN.replace(",b,", ",bé,").encode("cp1252"),
        {},
        ["line 4", "0xe9 is no UTF-8", "data.encoding=cp1252"],
    ),
    "spaces before quotes": (PLAIN.replace(',"', ', "'), {}, ["line 2", "7 cells", "no space stands before them"]),
    "too many cells between semicolons": (
        separated(";").replace("a;1.5", "a;x;1.5"),
        {},
        ["line 2", "7 cells", "';' in it stands in double quotes"],
    ),
    "an empty JSON object": ("{}\n", {}, ["empty"]),
    "JSON that is cut": (json_lines()[:-10], {}, ["line 3", "no JSON"]),
    "a JSON list among objects": (json_lines() + "[1, 2]\n", {}, ["line 4", "'[1, 2]' is no JSON object"]),
    "a JSON number of no bounds": (json_lines() + '{"action": ' + "9" * 5000 + "}\n", {}, ["line 4", "no JSON"]),
    "a JSON text that is no number": (
        json_lines().replace("0.125", '"high"'),
        {},
        ["line 3, episode b, column 'reward': 'high' is not a number"],
    ),
    "a JSON null": (
        "\n\n" + json_lines().replace("0.125", "null"),
        {},
        ["line 5, episode b, column 'reward': the value is empty"],
    ),
    "a JSON object in a cell": (json_lines().replace("0.125", '{"a": 1}'), {}, ["line 3", "'reward'"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_refused_with_the_cause(tmp_path: Path, name: str) -> None:
    content, settings, words = REFUSED[name]
    message = refused(tmp_path / "log", content, **settings)
    assert str(tmp_path / "log") in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (lambda text: text.replace(",", ";").replace("[0.5; 0.5]", "[0.5, 0.5]"), {}),
        (lambda text: text.encode("utf-16"), {}),
        (lambda text: gzip.compress(text.encode()), {}),
        (lambda text: gzip.compress(text.encode("utf-16")), {}),
    ],
    ids=["semicolon", "UTF-16", "gzip", "UTF-16 in gzip"],
)
def test_the_place_of_a_fault_is_right_in_every_format(
    tmp_path: Path, make: Callable[[str], str | bytes], settings: dict[str, Any]
) -> None:
    """Far into the file, behind a cell with a line break and blank rows."""
    rows = [f'0,"[0.5,\n 0.5]",e{number // 5},1.0,{number}.5,0' for number in range(40)]
    rows[20:20] = ["", ",,,,,"]
    rows[35] = rows[35].replace("1.0", "what")
    message = refused(tmp_path / "log.csv", make("\n".join([PLAIN.splitlines()[0], *rows]) + "\n"), **settings)
    # Two lines a row, the header, and a blank pair.
    assert f"line {1 + 2 * 20 + 2 + 2 * 13 + 1}, episode e6, column 'reward': 'what'" in message


@pytest.mark.parametrize("text", ["NA", "null", "None", "nan"])
def test_an_id_is_text_whatever_it_says(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(PLAIN.replace(",a,", f",{text},"))
    assert load_dataset(path, DataSettings()).dataset.episode_ids == (text, "b")
    path.write_text(PLAIN.replace(",a,", f",{text},").replace("0.125", "x"))
    assert "line 4, episode b, column 'reward'" in refused(path)
    path.write_text(PLAIN.replace(",a,", f",{text},").replace("-2", "x"))
    assert f"line 3, episode {text}, column 'reward'" in refused(path)
    message = refused(path, PLAIN.replace(",a,", f",{text},").replace("0.125", text))
    assert "line 4, episode b, column 'reward': the value is empty" in message
    message = refused(path, PLAIN.replace(",a,", ",,"))
    assert "line 2, column 'episode_id': the cell is empty" in message


def test_words_for_nothing_are_nothing_beside_an_id_that_is_one(tmp_path: Path) -> None:
    """Also in flags and probabilities, and in rows that hold nothing else."""
    closed = PLAIN.replace(",a,", ",NA,").replace('[0.25, 0.75]",NA,-2,1e-3,1', '[0.25, 0.75]",NA,-2,1e-3,NA')
    rows = closed + "NA,NA,NA,NA,NA,NA\n"
    expected = digest(tmp_path / "a.csv", closed.replace("1e-3,NA", "1e-3,"))
    assert digest(tmp_path / "b.csv", rows) == expected


def test_hive_folders_are_columns(tmp_path: Path) -> None:
    for kind in ("csv", "parquet", "jsonl"):
        root = tmp_path / kind
        for day, shop, action in (("2024-01-01", "7", 0), ("2024-01-02", "__HIVE_DEFAULT_PARTITION__", 1)):
            folder = root / f"day={day}" / f"state_feature_1={shop}" / "plan=a%20b"
            folder.mkdir(parents=True)
            frame = FRAME.assign(action=action, episode_id=FRAME["episode_id"] + day)
            if kind == "csv":
                frame.to_csv(folder / "part.csv", index=False)
            elif kind == "parquet":
                frame.to_parquet(folder / "part.parquet")
            else:
                frame.to_json(folder / "part.jsonl", orient="records", lines=True)
        tables = open_tables(root)
        assert [table.constants for table in tables] == [
            {"day": "2024-01-01", "state_feature_1": "7", "plan": "a b"},
            {"day": "2024-01-02", "state_feature_1": None, "plan": "a b"},
        ]
        columns = dict.fromkeys(("day", "state_feature_1"), pa.string())
        assert next(tables[0].batches(columns)).to_pylist()[0]["day"] == "2024-01-01"
        # The second file's feature is missing, and told to be.
        missing = load_dataset(root, DataSettings()).dataset
        number = missing.state_columns.index("state_feature_1?missing")
        assert missing.states[:, number].tolist() == [0.0] * 3 + [1.0] * 3
        (root / "day=2024-01-02" / "state_feature_1=__HIVE_DEFAULT_PARTITION__").rename(
            root / "day=2024-01-02" / "state_feature_1=8.5"
        )
        data = load_dataset(root, DataSettings()).dataset
        assert data.states[:, 1].tolist() == [7.0] * 3 + [8.5] * 3
        assert data.actions.tolist() == [0] * 3 + [1] * 3


def test_ids_may_be_the_name_of_a_folder(tmp_path: Path) -> None:
    for number in (0, 1):
        folder = tmp_path / "log" / f"episode_id={number}"
        folder.mkdir(parents=True)
        FRAME.drop(columns="episode_id").assign(terminal=[0, 0, 1]).to_csv(folder / "a.csv", index=False)
    data = load_dataset(tmp_path / "log", DataSettings()).dataset
    assert data.episode_ids == ("0", "1") and data.lengths.tolist() == [3, 3]


def test_a_files_own_column_goes_before_its_folders(tmp_path: Path) -> None:
    folder = tmp_path / "log" / "reward=100"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text(PLAIN)
    assert load_dataset(tmp_path / "log", DataSettings()).dataset.rewards.tolist() == [1.5, -2.0, 0.125]


@pytest.mark.parametrize("target", ["out.csv", "out.parquet"])
@pytest.mark.parametrize("name", ["semicolon", "tab", "UTF-16", "JSON Lines", "quoted numbers"])
def test_every_format_can_be_converted(tmp_path: Path, name: str, target: str) -> None:
    (tmp_path / "log").write_bytes(
        READ_ALIKE[name][0].encode() if isinstance(READ_ALIKE[name][0], str) else READ_ALIKE[name][0]
    )
    assert convert(tmp_path / "log", tmp_path / target) == 3
    expected = digest(tmp_path / "plain.csv", PLAIN)
    assert load_dataset(tmp_path / target, DataSettings()).dataset.sha256() == expected


def test_json_lines_are_read_in_batches_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from batchrl.data import jsonlines

    path = tmp_path / "log.jsonl"
    whole = digest(path, json_lines())
    monkeypatch.setattr(jsonlines, "BATCH_LINES", 1)
    assert digest(path, json_lines()) == whole
    assert digest(path, json_lines(lambda r: r["terminal"] == 0 and r.update(terminal=None))) == whole


def test_a_key_that_comes_late_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from batchrl.data import jsonlines

    monkeypatch.setattr(jsonlines, "HEAD_LINES", 1)
    message = refused(tmp_path / "log.jsonl", json_lines(lambda r: r["terminal"] == 0 and r.pop("terminal")))
    assert "line 2: the key 'terminal' is in none of the first 1 lines" in message


@pytest.mark.parametrize("key", ["separator", "encoding", "decimal"])
def test_options_of_text_that_mean_nothing_are_refused(key: str) -> None:
    with pytest.raises(PresetError, match=f"data.{key}' got 'klingon', expected (auto|point)"):
        resolve_train("cartpole-bc", {f"data.{key}": "klingon"})


def test_a_separator_that_is_a_letter_or_a_quote_is_refused() -> None:
    for value in ("a", '"', "\n", "1"):
        with pytest.raises(PresetError, match=r"expected auto \| comma"):
            resolve_train("cartpole-bc", {"data.separator": value})


def test_parquet_in_gzip_is_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    message = refused(tmp_path / "b.parquet", gzip.compress((tmp_path / "a.parquet").read_bytes()))
    assert "a Parquet file that is packed with gzip" in message
