"""Who reads an ONNX file's metadata and encodes by it, in plain Python, gets what the server answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scripts import script_module

from batchrl.serving.loading import load_service
from batchrl.serving.settings import ServingSettings

COLUMNS = ["age", "plan", "sent_at", "shop", "day", "account"]
DOCUMENT = Path(__file__).parents[3] / "docs/serving.md"


def logged(rows: int = 240) -> pd.DataFrame:
    """Decisions whose columns need every part of an encoding: levels, others, dates, missing values, an offset."""
    rng = np.random.default_rng(3)
    action = rng.integers(0, 2, rows)
    moments = pd.Timestamp("2024-03-01 08:00") + pd.to_timedelta(rng.integers(0, 400, rows), unit="h")
    frame = pd.DataFrame(
        {
            "action": action,
            "all_action_probabilities": "[0.5, 0.5]",
            "episode_id": np.arange(rows) // 4,
            "reward": rng.normal(size=rows).round(3) + action,
            "age": rng.integers(18, 80, rows).astype(float),
            "plan": rng.choice(["gold", "silver", "free"], rows),
            "sent_at": moments.strftime("%Y-%m-%dT%H:%M:%S"),
            "shop": [f"shop {number % 40}" for number in range(rows)],
            "day": moments.strftime("%Y-%m-%d"),
            "account": 1_700_000_000 + rng.integers(0, 1000, rows),
        }
    )
    for name in ("age", "plan", "sent_at"):
        frame.loc[rng.random(rows) < 0.1, name] = None
    return frame


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, train: Callable[..., Path]) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    logged().to_csv(folder / "log.csv", index=False)
    return train(folder / "run", folder / "log.csv", epochs="2", data__state_columns=json.dumps(COLUMNS)) / "model"


def recipe() -> dict[str, Any]:
    """What the documentation says, as code: up to where it opens a session."""
    (block,) = re.findall(r"```python\n(import json, math\n.*?)session = ", DOCUMENT.read_text(), flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    return names


def test_the_documented_encoding_gives_the_servers_answers(model: Path, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = tmp_path / "policy.onnx"
    assert script_module("export").main([str(model), str(path)]) == 0
    session = runtime.InferenceSession(path.read_bytes())
    taken = json.loads(session.get_modelmeta().custom_metadata_map["preprocessing"])
    parts = {(column["kind"], column["column"]): column for column in taken["encoding"]}
    assert parts["category", "shop"]["other"] and not parts["category", "plan"]["other"]
    assert parts["date", "sent_at"]["clock"] and not parts["date", "day"]["clock"]
    assert parts["number", "account"]["offset"] > 1e9 and parts["number", "age"]["missing"]

    records = json.loads(logged()[COLUMNS].to_json(orient="records"))
    first = next(record for record in records if None not in record.values())
    changes: tuple[dict[str, Any], ...] = (
        {"plan": "never seen"},
        {"shop": "shop 1000"},
        {"plan": " gold "},
        {"sent_at": "2024-03-02T10:00:00+02:00"},
        {"sent_at": 1_709_400_000, "day": 1_709_424_000},
        {"shop": None, "day": None, "account": None},
    )
    records += [first | change for change in changes]
    encode = recipe()["encoded"]
    states = np.array([encode(record, taken["encoding"]) for record in records], np.float32)
    assert states.shape == (len(records), len(taken["state_columns"]))
    probabilities, actions, value, *_ = session.run(None, {"states": states})

    service = load_service(model, ServingSettings.from_environment({}, 1)).service
    body = "".join(json.dumps(record) + "\n" for record in records)
    answers = [
        json.loads(line) for line in service.answer("application/jsonlines", "", body.encode()).body.splitlines()
    ]
    np.testing.assert_allclose(probabilities, [answer["predictions"][0] for answer in answers], atol=1e-6)
    np.testing.assert_allclose(value, [answer["value"] for answer in answers], rtol=1e-4, atol=1e-5)
    assert actions.tolist() == [int(answer["action"]) for answer in answers]
    assert len({round(float(one), 4) for one in value}) > len(records) / 2


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
