"""Raw records in an ONNX graph: features as the encoding's own, texts as Python reads them."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from modelservers import FACTS, policy_model

from batchrl.checkpoints import onnx_encoding
from batchrl.checkpoints.onnx_encoding import EncodingGraph, days_since_1970
from batchrl.checkpoints.onnx_export import export_onnx
from batchrl.checkpoints.onnx_records import input_names, records_near
from batchrl.checkpoints.onnx_texts import BLANK, MOMENT, SECONDS, CellsGraph
from batchrl.contract.errors import BatchRLError
from batchrl.data.encoding import DAY, CategoryFeature, DateFeature, Encoding, NumberFeature

START = 1.7e9
FEATURES = {
    "number": NumberFeature("age", 0.0, 41.5, False),
    "offset": NumberFeature("account", 1.7e12, 1.7e12 + 500, True),
    "levels": CategoryFeature("plan", ("NA", "gold", "very silver"), False, True),
    "others": CategoryFeature("shop", tuple(f"shop-{number}" for number in range(32)), True, False),
    "one level": CategoryFeature("unit", ("\u00f6.\\+",), True, True),
    "day": DateFeature("day", START, START + 9 * DAY, False, False),
    "moment": DateFeature("sent at", START, START + 9.3 * DAY, True, True),
}
ALL = Encoding((*FEATURES.values(), NumberFeature("1", -5.0, 0.25, True)))


def onnx_cells(encoding: Encoding, cells: dict[str, np.ndarray]) -> np.ndarray:
    """The numbers that onnxruntime makes of the columns."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    names = input_names(encoding, ())
    graph = CellsGraph(onnx, encoding, names, "own/").model(ir_version=10)
    onnx.checker.check_model(graph)
    (found,) = runtime.InferenceSession(graph.SerializeToString()).run(None, cells)
    result: np.ndarray = found
    return result


def near(encoding: Encoding, n: int = 400) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    states = np.random.default_rng(5).normal(size=(n, len(encoding.names))).astype(np.float32)
    return records_near(encoding, 100 * states)


@pytest.mark.parametrize("kinds", [*([one] for one in FEATURES), list(FEATURES), list(FEATURES)[::-1]], ids=str)
def test_the_graphs_features_are_the_encodings(kinds: list[str]) -> None:
    encoding = Encoding(tuple(FEATURES[kind] for kind in kinds))
    wanted, columns = near(encoding)
    features, readable = EncodingGraph(encoding)(torch.from_numpy(onnx_cells(encoding, columns)))
    assert bool(readable.all())
    np.testing.assert_allclose(features.numpy(), wanted, rtol=1e-7, atol=1e-7)


def test_the_records_that_are_tried_have_what_is_told_apart() -> None:
    _, columns = near(ALL)
    shops = set(columns["shop"].tolist())
    assert len(shops & set(FEATURES["others"].levels)) > 20  # type: ignore[union-attr]
    assert "" in shops
    assert any(text != text.strip() for text in shops)
    assert any(text.endswith("?") for text in shops)
    assert 10 < np.isnan(columns["account"]).sum() < 100
    moments = columns["sent at"].tolist()
    assert sum("T" in text for text in moments) > 200
    assert sum(re.fullmatch(SECONDS, text) is not None for text in moments) > 20
    assert moments.count("") > 10


def test_days_are_those_of_the_calendar() -> None:
    dates = [datetime.date.fromordinal(number) for number in range(1, datetime.date.max.toordinal(), 13)]
    parts = torch.tensor([(date.year, date.month, date.day) for date in dates], dtype=torch.float64)
    wanted = [date.toordinal() - datetime.date(1970, 1, 1).toordinal() for date in dates]
    assert days_since_1970(*parts.T).tolist() == wanted


def test_blanks_are_what_python_strips() -> None:
    pattern = re.compile(re.sub(r"\\x\{([0-9a-f]+)\}", lambda found: f"\\u{int(found[1], 16):04x}", BLANK[:-1]))
    blanks = [character for character in map(chr, range(0x110000)) if pattern.fullmatch(character)]
    assert blanks == [character for character in map(chr, range(0x110000)) if not character.strip()]


TEXTS = (
    "2024-02-29",
    "2023-02-29",
    "1900-02-29",
    "2000-02-29",
    "2024-04-31",
    "0001-01-01",
    "0000-12-31",
    "9999-12-31T23:59:59",
    "2024-03-01 00:00",
    "2024-03-01T08:05Z",
    "2024-03-01T08:05:07.123456+14:00",
    "2024-03-01T08:05:07-00:30",
    "2024-03-01T24:00",
    "2024-03-01T08:60",
    "2024-03-01T",
    "2024-3-1",
    "2024-03-01T08:05:07,5",
    "2024-03-01T08:05+01",
    "20240301",
    "12/31/2024",
    "T",
    "- :",
    "-1",
    "0",
    "1700000000.5",
    "17000000000",
    "1e9",
    "inf",
    "",
    "  ",
    "None",
)


def read(text: str) -> float | None:
    """Seconds as the documentation says it, by Python; None for what is in none of its forms."""
    if re.fullmatch(r"-?(\d{1,7}|\d{9,10})(\.\d{1,9})?", text):
        return float(text)
    if not re.fullmatch(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?", text):
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


@pytest.mark.parametrize("together", [True, False])
def test_a_date_is_read_as_python_reads_it_or_not_at_all(together: bool) -> None:
    encoding = Encoding((DateFeature("day", 0.0, 7 * DAY, False, True),))
    blocks = [list(TEXTS)] if together else [[text] for text in TEXTS]
    for texts in blocks:
        cells = onnx_cells(encoding, {"day": np.array(texts, object)})
        features, readable = EncodingGraph(encoding)(torch.from_numpy(cells))
        for text, row, is_readable in zip(texts, features.tolist(), readable.tolist(), strict=True):
            if not text.strip() or text == "None":
                assert is_readable and row[0] == 7 and row[-1] == 1, text
                continue
            wanted = read(text)
            assert is_readable == (wanted is not None), text
            if wanted is not None:
                assert row[0] == pytest.approx(wanted / DAY, rel=1e-6), text
                assert row[-1] == 0, text


def test_the_forms_that_are_taken_and_refused_are_both_tried() -> None:
    forms = {(read(text) is None, re.fullmatch(MOMENT, text) is None) for text in TEXTS}
    assert forms == {(False, False), (False, True), (True, False), (True, True)}


def test_columns_may_be_called_as_they_like(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    names = ("action", "action?input", "states", "cells", "value", "_____/cells", "x" * 80, "a b", "\u00f6")
    encoding = Encoding(tuple(NumberFeature(name, 0.0, 1.0, True) for name in names))
    path = tmp_path / "policy.onnx"
    export_onnx(path, policy_model(len(encoding.names)), facts_of(encoding))
    inputs = [one.name for one in runtime.InferenceSession(path.read_bytes()).get_inputs()]
    wanted = {"action": "action?input?input", "value": "value?input"}
    assert inputs == [wanted.get(name, name) for name in names]


def facts_of(encoding: Encoding) -> dict[str, Any]:
    facts = {"state_columns": list(encoding.names), "encoding": encoding.to_json()}
    return FACTS | {"preprocessing": json.loads(json.dumps(facts))}


def test_the_same_policy_gives_the_same_file_without_traces_of_where_it_was_made(tmp_path: Path) -> None:
    model, facts = policy_model(len(ALL.names)), facts_of(ALL)
    paths = [tmp_path / "one.onnx", tmp_path / "two.onnx"]
    for path in paths:
        found = export_onnx(path, model, facts)
        assert found.holds and found.states == 512
    content = paths[0].read_bytes()
    assert paths[1].read_bytes() == content
    for trace in (b"entrypoints", b"site-packages", b"onnx_graph.py", str(tmp_path).encode()):
        assert trace not in content


def test_a_graph_that_encodes_otherwise_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    monkeypatch.setattr(onnx_encoding, "DAYS_BEFORE_1970", onnx_encoding.DAYS_BEFORE_1970 + 1)
    with pytest.raises(BatchRLError, match="does not give what the policy gives"):
        export_onnx(tmp_path / "policy.onnx", policy_model(len(ALL.names)), facts_of(ALL))
    assert not list(tmp_path.iterdir())
