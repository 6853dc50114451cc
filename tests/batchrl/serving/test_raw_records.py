"""Raw records, end to end: a policy trained on categories, dates and missing values answers them as its log's rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchrl.checkpoints.policy import load_policy
from batchrl.contract.errors import InputError
from batchrl.data.encoding import Encoding, RawColumn
from batchrl.data.loader import load_dataset
from batchrl.serving.invocation import Service
from batchrl.serving.media import Media
from batchrl.serving.predictor import Predictor
from batchrl.serving.records import RawRecords
from presets.dataschema import DataSettings

COLUMNS = ["age", "plan", "sent_at", "visits"]


def marketing(rows: int = 240) -> pd.DataFrame:
    """Decisions about users with an age that is sometimes missing, a plan, and a moment."""
    rng = np.random.default_rng(3)
    age = rng.integers(18, 80, rows).astype(float)
    age[rng.random(rows) < 0.1] = np.nan
    plan = rng.choice(["gold", "silver", "free"], rows)
    moments = pd.Timestamp("2024-03-01 08:00") + pd.to_timedelta(np.arange(rows), unit="h")
    action = rng.integers(0, 2, rows)
    return pd.DataFrame(
        {
            "action": action,
            "all_action_probabilities": "[0.5, 0.5]",
            "episode_id": np.arange(rows) // 4,
            "reward": rng.normal(size=rows).round(3) + action * (plan == "gold"),
            "age": age,
            "plan": plan,
            "sent_at": moments.strftime("%Y-%m-%dT%H:%M:%S"),
            "visits": rng.integers(0, 9, rows),
        }
    )


@pytest.fixture(scope="module")
def trained_on(tmp_path_factory: pytest.TempPathFactory, train: Callable[..., Path]) -> tuple[Path, Path]:
    """A log and the output of a run on it; read them only."""
    folder = tmp_path_factory.mktemp("raw")
    marketing().to_csv(folder / "log.csv", index=False)
    output = train(folder / "run", folder / "log.csv", epochs="2", data__state_columns=json.dumps(COLUMNS))
    return folder / "log.csv", output


def test_raw_records_are_answered_as_the_rows_of_the_log(trained_on: tuple[Path, Path]) -> None:
    source, output = trained_on
    policy = load_policy(output / "model")
    assert policy.encoding == load_policy(output / "checkpoints").encoding
    assert policy.encoding is not None and "age?missing" in policy.encoding.names
    data = load_dataset(source, DataSettings(), encoding=policy.encoding).dataset
    assert data.sha256() == policy.describe()["data_sha256"]
    expected = policy.action_probabilities(data.states)
    service = Service(Predictor(policy.model, policy.model.target, policy.action_names), encoding=policy.encoding)
    frame = pd.read_csv(source)[COLUMNS]
    lines = frame.to_json(orient="records", lines=True)
    answer = service.answer("application/jsonlines", "", lines.encode())
    found = [json.loads(line)["predictions"][0] for line in answer.body.splitlines()]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    instances = json.dumps({"instances": [json.loads(line) for line in lines.splitlines()]})
    document = json.loads(service.answer("application/json", "", instances.encode()).body)
    np.testing.assert_allclose(document["predictions"], expected, atol=1e-6)
    table = frame.to_csv(index=False, header=False)
    rows = service.answer("text/csv", "", table.encode()).body.decode().splitlines()
    np.testing.assert_allclose([[float(cell) for cell in row.split(",")[:2]] for row in rows], expected, atol=1e-6)


def test_a_policy_of_raw_records_does_not_play_in_environments(trained_on: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="takes raw records of age, plan, sent_at, visits"):
        load_policy(trained_on[1] / "model").of_plain_numbers()


def test_a_run_resumes_with_the_encoding_that_it_began_with(
    trained_on: tuple[Path, Path], train: Callable[..., Path], tmp_path: Path
) -> None:
    source, output = trained_on
    names = json.dumps(COLUMNS)
    train(tmp_path, source, epochs="1", data__state_columns=names)
    train(tmp_path, source, epochs="2", data__state_columns=names)
    assert (tmp_path / "model/model.safetensors").read_bytes() == (output / "model/model.safetensors").read_bytes()


ENCODING = Encoding.fitted(
    [RawColumn("age", "number"), RawColumn("plan", "category", ("gold", "free")), RawColumn("at", "date")],
    np.array([[20.0, 0, 0], [np.nan, 1, 86_400], [40, 0, 172_800]]),
)
GOOD: dict[str, Any] = {"age": 41, "plan": "gold", "at": "1970-01-02"}
ENCODED = [41, 0, 0, 1, 1]


def lines_of(*records: Any) -> list[Any]:
    """The first features of each record, or its fault."""
    body = "\n".join(record if isinstance(record, str) else json.dumps(record) for record in records).encode()
    found: list[Any] = []
    for block in RawRecords(ENCODING).of_lines(body, Media.JSON_LINES):
        found += [block.faults.get(position, row[:5]) for position, row in enumerate(block.states.tolist())]
    return found


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (GOOD, ENCODED),
        ({**GOOD, "at": 86_400, "more": [1]}, ENCODED),
        ({**GOOD, "at": "1970-01-02T00:00:00Z"}, ENCODED),
        ({**GOOD, "at": "1970-01-02T02:00:00+02:00"}, ENCODED),
        ({**GOOD, "age": None}, [30, 1, 0, 1, 1]),
        ({**GOOD, "plan": "never seen"}, [41, 0, 0, 0, 1]),
        ({**GOOD, "plan": None}, [41, 0, 0, 0, 1]),
        ({"plan": "gold", "at": 0}, "'age' is missing"),
        ({**GOOD, "age": "41"}, "'age' is the text '41', expected a number"),
        ({**GOOD, "age": True}, [1, 0, 0, 1, 1]),
        ({**GOOD, "age": 1e39}, "'age' is beyond float32"),
        ({**GOOD, "age": [1]}, "'age' is a list, expected a number"),
        ({**GOOD, "plan": 1.5}, "'plan' is a number, expected a text"),
        ({**GOOD, "at": "tomorrow"}, "'at' is the text 'tomorrow', expected a date"),
        ([41, "gold", 0], "expected a raw record, as {"),
        ("", "the line is blank"),
        ('{"age": 41', "not JSON"),
        ('{"age": 1}, {"age": 2}', "not JSON"),
    ],
)
def test_a_faulty_record_is_told_and_spoils_no_other(record: Any, expected: Any) -> None:
    before, found, after = lines_of(GOOD, record, GOOD)
    assert before == after == ENCODED
    if isinstance(expected, str):
        assert isinstance(found, str) and expected in found
    else:
        assert found == expected


def test_lines_that_only_together_are_records_are_faults() -> None:
    found = lines_of('{"age": 41, "plan": "go', 'ld", "at": 0}', GOOD)
    assert found[2] == ENCODED and all("not JSON" in fault for fault in found[:2])
