"""Who gives raw records to an ONNX file, by onnxruntime alone, gets what the server answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnxrecipe import by_onnx, metadata
from scripts import script_module

from batchrl.checkpoints.policy import load_policy
from batchrl.serving.loading import load_service
from batchrl.serving.settings import ServingSettings

# One is called as an output of the graph is.
COLUMNS = ["age", "plan", "sent_at", "shop", "day", "account", "value"]


def logged(rows: int = 240) -> pd.DataFrame:
    """Decisions whose columns need every part of an encoding: levels, others, dates, missing values, an offset."""
    rng = np.random.default_rng(3)
    action = rng.choice(["mail", "none"], rows)
    moments = pd.Timestamp("2024-03-01 08:00") + pd.to_timedelta(rng.integers(0, 400, rows), unit="h")
    frame = pd.DataFrame(
        {
            "action": action,
            "all_action_probabilities": "[0.5, 0.5]",
            "episode_id": np.arange(rows) // 4,
            "reward": rng.normal(size=rows).round(3) + (action == "mail"),
            "age": rng.integers(18, 80, rows).astype(float),
            "plan": rng.choice(["gold", "very silver", "free", "(a|b)*"], rows),
            "sent_at": moments.strftime("%Y-%m-%dT%H:%M:%S"),
            "shop": [f"shop {number % 40}" for number in range(rows)],
            "day": moments.strftime("%Y-%m-%d"),
            "account": 1_700_000_000_000 + rng.integers(0, 1000, rows),
            "value": rng.random(rows) < 0.5,
        }
    )
    for name in ("age", "plan", "sent_at"):
        frame.loc[rng.random(rows) < 0.1, name] = None
    return frame


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, train: Callable[..., Path]) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    logged().to_csv(folder / "log.csv", index=False)
    settings = {"data__state_columns": json.dumps(COLUMNS), "ope__target_policy": "softmax"}
    return train(folder / "run", folder / "log.csv", epochs="2", **settings) / "model"


@pytest.fixture(scope="module")
def session(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = tmp_path_factory.mktemp("file") / "policy.onnx"
    assert script_module("export").main([str(model), str(path)]) == 0
    return runtime.InferenceSession(path.read_bytes())


def by_server(model: Path, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    service = load_service(model, ServingSettings.from_environment({}, 1)).service
    body = "".join(json.dumps(record) + "\n" for record in records)
    return [json.loads(line) for line in service.answer("application/jsonlines", "", body.encode()).body.splitlines()]


def whole_record() -> dict[str, Any]:
    records = json.loads(logged()[COLUMNS].to_json(orient="records"))
    return next(record for record in records if None not in record.values())


def test_onnxruntime_answers_raw_records_as_the_server_does(model: Path, session: Any) -> None:
    told = metadata(session)
    parts = {(column["kind"], column["column"]): column for column in told["preprocessing"]["encoding"]}
    assert parts["category", "shop"]["other"] and not parts["category", "plan"]["other"]
    assert parts["date", "sent_at"]["clock"] and not parts["date", "day"]["clock"]
    assert parts["number", "account"]["offset"] > 1e9 and parts["number", "age"]["missing"]

    records = json.loads(logged()[COLUMNS].to_json(orient="records"))
    changes: tuple[dict[str, Any], ...] = (
        {"plan": "never seen"},
        {"plan": "Gold"},
        {"plan": "very  silver"},
        {"plan": "a"},
        {"plan": "gold\n"},
        {"plan": "\u3000(a|b)* \t"},
        {"plan": "NA"},
        {"plan": "  "},
        {"plan": 7},
        {"shop": "shop 1000"},
        {"shop": "sh\u00f6p 1"},
        {"sent_at": "2024-03-02T10:00:00+02:00"},
        {"sent_at": "2024-02-29 23:59:59.75-11:30"},
        {"sent_at": "1969-12-31T23:59"},
        {"sent_at": "2100-03-01T00:00:00Z"},
        {"sent_at": "", "day": "nan"},
        {"sent_at": 1_709_400_000, "day": 1_709_424_000},
        {"sent_at": 1_709_400_000.25, "day": -86_400},
        {"shop": None, "day": None, "account": None},
        {"account": 1_700_000_000_999},
        {"account": -3, "value": None},
        {"value": 0.25},
    )
    records += [whole_record() | change for change in changes]
    given, wanted = by_onnx(session, records), by_server(model, records)
    np.testing.assert_allclose(given["probabilities"], [one["predictions"][0] for one in wanted], atol=1e-6)
    np.testing.assert_allclose(given["value"], [one["value"] for one in wanted], rtol=1e-4, atol=1e-5)
    assert given["names"].tolist() == [one["action"] for one in wanted]
    assert [told["actions"][action] for action in given["action"]] == given["names"].tolist()
    assert len({round(float(one), 4) for one in given["value"]}) > len(records) / 2
    alone = by_onnx(session, records[-1:])
    np.testing.assert_allclose(alone["probabilities"], given["probabilities"][-1:], atol=1e-6)


def test_a_record_that_the_server_refuses_has_no_action(model: Path, session: Any) -> None:
    wrong = (
        {"sent_at": "yesterday"},
        {"sent_at": "2023-02-29T00:00:00"},
        {"sent_at": "2024-13-01"},
        {"sent_at": "2024-03-01T24:30"},
        {"sent_at": "0000-03-01"},
        {"day": "2024-03"},
        {"day": "1709400000000"},
        {"age": 1e300},
    )
    records = [whole_record(), *(whole_record() | change for change in wrong), whole_record()]
    faulty = [False, *(True for _ in wrong), False]
    assert ["error" in one for one in by_server(model, records)] == faulty
    given = by_onnx(session, records)
    assert (given["action"] == -1).tolist() == (given["names"] == "").tolist() == faulty
    for name in ("probabilities", "value", "values"):
        assert np.isnan(given[name]).reshape(len(faulty), -1).all(axis=1).tolist() == faulty


def test_the_inputs_are_the_columns_in_their_own_types(session: Any) -> None:
    inputs = {one.name: (one.type, one.shape) for one in session.get_inputs()}
    text, number = "tensor(string)", "tensor(double)"
    kinds = dict(zip(COLUMNS, (number, text, text, text, text, number, number), strict=True))
    assert list(inputs) == [*COLUMNS[:-1], "value?input"]
    assert {name.removesuffix("?input"): kind for name, (kind, _) in inputs.items()} == kinds
    assert all(shape == ["batch"] for _, shape in inputs.values())
    told = metadata(session)
    assert [one["column"] for one in told["inputs"]] == COLUMNS
    assert told["inputs"][-1]["name"] == "value?input"
    assert told["actions"] == ["mail", "none"]


def test_encoded_features_are_taken_where_they_are_asked_for(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "policy.onnx"
    assert script_module("export").main([str(model), str(path), "--encoded", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["takes"] == "features"
    session = runtime.InferenceSession(path.read_bytes())
    policy = load_policy(model)
    states = np.random.default_rng(0).normal(size=(50, policy.n_features)).astype(np.float32)
    (given,) = session.run(["probabilities"], {"states": states})
    np.testing.assert_allclose(given, policy.action_probabilities(states), atol=1e-6)


def test_numbers_alone_need_no_encoding(tmp_path: Path, data_file: Path, train: Callable[..., Path]) -> None:
    """Then ``state_columns`` are the keys of a record, for the server and for who makes a list of it."""
    output = train(tmp_path / "run", data_file, epochs="1")
    service = load_service(output / "model", ServingSettings.from_environment({}, 1)).service
    taken = json.loads((output / "model/model.json").read_text())["preprocessing"]
    assert "encoding" not in taken
    records = [dict.fromkeys(taken["state_columns"], at / 7) | {taken["state_columns"][0]: -at} for at in range(20)]
    lists = [[record[name] for name in taken["state_columns"]] for record in records]
    bodies = ["".join(json.dumps(row) + "\n" for row in rows).encode() for rows in (records, lists)]
    of_records, of_lists = (service.answer("application/jsonlines", "", body).body for body in bodies)
    assert of_records == of_lists and b"error" not in of_lists
