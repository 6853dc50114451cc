"""A log whose rows list what could be taken, end to end: training, estimates, and records that say the same."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from modelservers import CSV, JSON, JSON_LINES, parsed, policy_model
from onnxrecipe import by_onnx
from scripts import script_module

from batchrl.checkpoints.policy import LoadedPolicy, load_policy
from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.data.loader import load_dataset
from batchrl.serving.invocation import Service
from batchrl.serving.predictor import Predictor
from presets.dataschema import DataSettings

NAMES = ("call", "mail", "none")
SETS = (("call", "none"), ("call", "mail", "none"), ("mail", "none"))
COLUMNS = ["age", "plan"]


def offers(rows: int = 500) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    table = []
    for _ in range(rows):
        eligible = SETS[int(rng.integers(3))]
        chances = 0.5 / len(eligible) + 0.5 * rng.dirichlet(np.ones(len(eligible)))
        action = eligible[int(rng.choice(len(eligible), p=chances))]
        plan = str(rng.choice(["gold", "free"]))
        table.append(
            {
                "action": action,
                "offers": "|".join(eligible),
                "propensity": chances[eligible.index(action)],
                "reward": float(rng.normal(scale=0.3))
                + {"call": 1.0, "mail": 0.5 + (plan == "gold"), "none": 0.0}[action],
                "age": int(rng.integers(18, 80)),
                "plan": plan,
            }
        )
    return pd.DataFrame(table)


SETTINGS: dict[str, Any] = {
    "state_columns": COLUMNS,
    "columns": {"eligible": "offers"},
    "episode_ids": "per_row",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, train: Callable[..., Path]) -> tuple[Path, Path]:
    """A log and the output of a training on it; read them only."""
    folder = tmp_path_factory.mktemp("offers")
    offers().to_csv(folder / "log.csv", index=False)
    changes = {"data__columns__eligible": "offers", "data__state_columns": json.dumps(COLUMNS)}
    changes |= {"bcq__mode": "discrete_bcq", "bcq__mask_at_action_time": "true"}
    output = train(folder / "run", folder / "log.csv", epochs="3", data__episode_ids="per_row", **changes)
    return folder / "log.csv", output


@pytest.fixture(scope="module")
def policy(run: tuple[Path, Path]) -> LoadedPolicy:
    return load_policy(run[1] / "model")


@pytest.fixture
def service(policy: LoadedPolicy) -> Service:
    predictor = Predictor(policy.model, policy.model.target, policy.action_names)
    return Service(predictor, encoding=policy.encoding, needs_eligible=policy.needs_eligible)


def records(source: Path) -> list[dict[str, Any]]:
    return [
        {"age": row.age, "plan": row.plan, "eligible": row.offers.split("|")}
        for row in pd.read_csv(source).itertuples()
    ]


def test_the_model_says_that_it_has_to_be_told(policy: LoadedPolicy, run: tuple[Path, Path]) -> None:
    assert policy.needs_eligible
    assert load_policy(run[1] / "checkpoints").needs_eligible
    assert policy.describe()["eligible_actions"] is True
    with pytest.raises(InputError):
        policy.of_plain_numbers()


def test_records_are_answered_as_the_rows_of_the_log(
    run: tuple[Path, Path], policy: LoadedPolicy, service: Service
) -> None:
    data = load_dataset(run[0], DataSettings.model_validate(SETTINGS), encoding=policy.encoding).dataset
    assert data.eligible is not None
    wanted = policy.model.action_probabilities(data.states, data.eligible)
    lines = "".join(json.dumps(record) + "\n" for record in records(run[0]))
    answered = parsed(service.answer(JSON_LINES, "", lines.encode()).body)
    np.testing.assert_allclose([line["predictions"][0] for line in answered], wanted, rtol=1e-5, atol=1e-7)
    for line, record in zip(answered, records(run[0]), strict=True):
        assert line["action"] in record["eligible"]
        assert {name for name, there in zip(NAMES, line["mask"], strict=True) if there} <= set(record["eligible"])
    document = service.answer(JSON, "", json.dumps({"instances": records(run[0])}).encode())
    assert json.loads(document.body)["actions"] == [line["action"] for line in answered]
    (one,) = json.loads(service.answer(JSON, "", json.dumps(records(run[0])[0]).encode()).body)["actions"]
    assert one == answered[0]["action"]


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"age": 3, "plan": "gold"}, '"eligible" is missing; this policy has to know which of call, mail, none'),
        ({"age": 3, "plan": "gold", "eligible": []}, '"eligible" is an empty list'),
        ({"age": 3, "plan": "gold", "eligible": "call"}, "\"eligible\" is the text 'call', expected a list"),
        ({"age": 3, "plan": "gold", "eligible": ["call", "fly"]}, "\"eligible\" holds the text 'fly'"),
        ({"age": 3, "plan": "gold", "eligible": [True]}, '"eligible" holds true'),
        ({"age": 3, "plan": "gold", "eligible": [["call"]]}, '"eligible" holds a list'),
        ({"age": "x", "plan": "gold", "eligible": ["call"]}, "'age' is the text 'x'"),
        ([3, "gold"], '"eligible" is missing, got a list'),
    ],
)
def test_what_is_wrong_with_a_list_is_said_in_its_line(service: Service, record: Any, says: str) -> None:
    good = {"age": 3, "plan": "gold", "eligible": ["mail"]}
    body = "".join(json.dumps(each) + "\n" for each in (good, record, good))
    first, fault, last = parsed(service.answer(JSON_LINES, "", body.encode()).body)
    assert first["action"] == last["action"] == "mail"
    assert fault["error"].startswith(f"line 2: {says}")


def test_an_onnx_file_answers_them_as_the_server_does(run: tuple[Path, Path], service: Service, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert script_module("export").main([str(run[1] / "model"), str(tmp_path / "policy.onnx")]) == 0
    session = runtime.InferenceSession((tmp_path / "policy.onnx").read_bytes())
    sent = [*records(run[0]), {"age": 30, "plan": "gold", "eligible": []}]
    given = by_onnx(session, sent)
    answered = parsed(service.answer(JSON_LINES, "", "".join(json.dumps(one) + "\n" for one in sent).encode()).body)
    assert "error" in answered.pop() and given["names"][-1] == "" and not given["mask"][-1].any()
    assert given["names"][:-1].tolist() == [line["action"] for line in answered]
    assert given["mask"][:-1].tolist() == [line["mask"] for line in answered]
    wanted = [line["predictions"][0] for line in answered]
    np.testing.assert_allclose(given["probabilities"][:-1], wanted, atol=1e-6)
    assert set(given["names"]) > {"call", "mail"}


def test_lines_that_are_no_json_and_documents_that_are_none(service: Service) -> None:
    body = b'{"age": 3, "plan": "gold", "eligible": ["mail"]}\n{"age": 3,\n\n'
    answered = parsed(service.answer(JSON_LINES, "", body).body)
    assert answered[0]["action"] == "mail"
    assert [line["line"] for line in answered[1:]] == [2, 3]
    for wrong in (b"[", b"[[1, 2]]", b'{"instances": 3}', b'"x"'):
        assert service.answer(JSON, "", wrong).status == 400
    assert "lists the actions" in service.answer(JSON, "", b"[[1, 2]]").body.decode()


def test_csv_has_no_place_for_lists(service: Service) -> None:
    rows = list(csv.reader(io.StringIO(service.answer(CSV, "", b"3,gold\n4,free\n").body.decode())))
    assert len(rows) == 2
    assert all(row[0].startswith("error: line") and "send JSON" in row[0] for row in rows)


def test_a_policy_that_need_not_be_told_can_be(policy: LoadedPolicy) -> None:
    """Lists of numbers, with and without; bodies without any are read as before."""
    model = policy_model(n_actions=4)
    plain = Service(Predictor(model, model.target, ("0", "1", "2", "3")))
    states = np.random.default_rng(0).normal(size=(3, 3)).round(3)
    lines = [
        {"features": states[0].tolist(), "eligible": [1, 3]},
        {"features": states[1].tolist()},
        {"instances": [states[2].tolist()], "eligible": ["2"]},
    ]
    found = parsed(plain.answer(JSON_LINES, "", "".join(json.dumps(line) + "\n" for line in lines).encode()).body)
    eligible = np.array([[False, True, False, True], [True] * 4, [False, False, True, False]])
    wanted = model.action_probabilities(states.astype(np.float32), eligible)
    np.testing.assert_allclose([line["predictions"][0] for line in found], wanted, rtol=1e-6)
    document = {"instances": [lines[0], {"features": states[1].tolist(), "eligible": [0, 1, 2, 3]}]}
    found = json.loads(plain.answer(JSON, "", json.dumps(document).encode()).body)["predictions"]
    np.testing.assert_allclose(found, wanted[:2], rtol=1e-6)


def test_estimates_keep_every_policy_to_the_lists(run: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Inverse propensity scoring by hand, of the uniform policy and of a constant action."""
    source, output = run
    spec = source.with_name("data.yaml")
    spec.write_text(json.dumps(SETTINGS))
    script = script_module("ope")
    capsys.readouterr()

    def policies(*options: str) -> list[dict[str, Any]]:
        code = script.main([str(source), "--data-spec", str(spec), *options, "--json"])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return list(json.loads(captured.out)["policies"])

    uniform, call = policies("--policy", "uniform", "--policy", "always:call")
    learnt, *_ = policies("--model", str(output / "model"), "--episodes", "all")
    table = pd.read_csv(source)
    lists = table["offers"].str.split("|")
    ratio = 1 / lists.map(len) / table["propensity"]
    assert uniform["estimates"][columns.IPS]["value"] == pytest.approx(float((ratio * table["reward"]).mean()))
    able = lists.map(lambda names: "call" in names)
    chance = np.where(able, table["action"] == "call", 1 / lists.map(len))
    wanted = float((chance / table["propensity"] * table["reward"]).mean())
    assert call["estimates"][columns.IPS]["value"] == pytest.approx(wanted)
    policy = load_policy(output / "model")
    data = load_dataset(source, DataSettings.model_validate(SETTINGS), encoding=policy.encoding).dataset
    chances = policy.model.action_probabilities(data.states, data.eligible)
    taken = chances[np.arange(len(table)), data.actions]
    wanted = float((taken / table["propensity"] * table["reward"]).mean())
    assert learnt["estimates"][columns.IPS]["value"] == pytest.approx(wanted, rel=1e-6)
