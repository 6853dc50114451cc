"""Requests and their answers, without HTTP: formats, faults, and what the numbers mean."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from modelservers import CSV, FACTS, JSON, JSON_LINES, as_lines, network, parsed, policy_model, states

from batchrl.agents.masks import ImitationMask, NearestNeighbourMask
from batchrl.agents.model import PolicyModel, Scorer
from batchrl.agents.target_policy import TargetPolicy
from batchrl.data.dataset import default_names
from batchrl.serving import parsing
from batchrl.serving.invocation import Request, Service
from batchrl.serving.loading import load_service
from batchrl.serving.parsing import ParsedRecords
from batchrl.serving.predictor import Predictor
from batchrl.serving.settings import ServingSettings

STATES = states(40)
MASK = ImitationMask(network(3, 2, seed=5), 0.55, relative=False)


def service(model: PolicyModel | None = None, reject: bool = False, names: tuple[str, ...] = ()) -> Service:
    model = model or policy_model()
    return Service(Predictor(model, model.target, names or default_names(model.n_actions)), reject)


def models() -> dict[str, PolicyModel]:
    apart = Scorer(network(3, 2, (6,), ensemble=3, scaled=True, seed=7), 5.0)
    keys = tuple(torch.from_numpy(states(30, seed=action)) for action in range(2))
    return {
        "shared values": policy_model(),
        "values apart": replace(policy_model(), values=apart),
        "no values": policy_model(values=False),
        "greedy": policy_model(target=TargetPolicy("greedy")),
        "epsilon": policy_model(target=TargetPolicy("epsilon_greedy", epsilon=0.2)),
        "imitation mask": policy_model(mask=MASK),
        "random fallback": policy_model(mask=MASK, fallback="random"),
        "nearest mask": policy_model(mask=NearestNeighbourMask(keys, [0.5, 0.9], None), fallback="unmasked_argmax"),
        "four actions": policy_model(n_actions=4),
    }


@pytest.mark.parametrize("kind", sorted(models()))
def test_every_line_says_what_the_policy_does(kind: str) -> None:
    model = models()[kind]
    answer = service(model).answer(JSON_LINES, "", as_lines(STATES))
    assert (answer.status, answer.content_type) == (200, JSON_LINES)
    wanted = model.action_probabilities(STATES)
    for row, line in enumerate(parsed(answer.body)):
        assert set(line) == {"predictions", "action", "value", "mask"}
        assert line["predictions"] == [pytest.approx(wanted[row].tolist(), rel=1e-6, abs=1e-9)]
        assert line["action"] == int(np.argmax(line["predictions"][0]))
        if model.values is None:
            assert line["value"] is None
        else:
            values = model.q_values(STATES[row : row + 1])[0]
            assert line["value"] == pytest.approx(float((wanted[row] * values).sum()), rel=1e-5)
        if model.mask is None:
            assert line["mask"] is None
        else:
            assert line["mask"] == model.mask.support(torch.from_numpy(STATES[row : row + 1])).allowed[0].tolist()


def test_probabilities_are_written_to_the_last_bit() -> None:
    (line,) = parsed(service().answer(JSON_LINES, "", as_lines(STATES[:1])).body)
    assert line["predictions"] == service().predictor.predict(ParsedRecords(STATES[:1])).probabilities.tolist()
    assert sum(line["predictions"][0]) == pytest.approx(1.0, abs=1e-15)


def test_the_action_is_the_most_probable_one_and_a_tie_goes_to_the_first() -> None:
    even = policy_model(n_actions=3)
    even.preferences.network.parameters.zero_()
    for line in parsed(service(even).answer(JSON_LINES, "", as_lines(STATES)).body):
        assert line["action"] == 0
        assert line["predictions"][0] == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("accept", [JSON_LINES, JSON, CSV])
@pytest.mark.parametrize("kind", ["shared values", "no values", "imitation mask", "four actions"])
def test_B135_all_formats_say_the_same(accept: str, kind: str) -> None:
    model = models()[kind]
    rows = STATES.tolist()
    bodies = {
        JSON_LINES: as_lines(STATES),
        JSON: json.dumps({"instances": rows}).encode(),
        CSV: "".join(f"{','.join(map(repr, row))}\r\n" for row in rows).encode(),
    }
    expected = parsed(service(model).answer(JSON_LINES, "", bodies[JSON_LINES]).body)
    for content_type, body in bodies.items():
        answer = service(model).answer(content_type, accept, body)
        assert (answer.status, answer.content_type) == (200, accept)
        assert _entries(answer.body, accept, model.n_actions) == [
            pytest.approx(entry) for entry in _flat(expected, accept)
        ]


def _flat(lines: list[dict[str, object]], accept: str) -> list[list[float]]:
    kept = ("predictions", "action", "value") if accept == CSV else ("predictions", "action", "value", "mask")
    return [[float(number) for key in kept for number in np.ravel([line[key]]) if number is not None] for line in lines]


def _entries(body: bytes, accept: str, n_actions: int) -> list[list[float]]:
    """The numbers of every record of an answer, in one order for all formats."""
    if accept == JSON_LINES:
        return _flat(parsed(body), accept)
    if accept == CSV:
        rows = list(csv.reader(io.StringIO(body.decode())))
        assert {len(row) for row in rows} == {n_actions + 2}
        return [[float(cell) for cell in row if cell] for row in rows]
    document = json.loads(body)
    assert set(document) == {"predictions", "actions", "values", "masks"}
    n = len(document["actions"])
    columns = [document[key] or [None] * n for key in ("predictions", "actions", "values", "masks")]
    keys = ("predictions", "action", "value", "mask")
    return _flat([dict(zip(keys, entry, strict=True)) for entry in zip(*columns, strict=True)], accept)


def test_actions_are_answered_by_their_names() -> None:
    names = ("no, thanks", 'the "big" offer', "call\nagain", "50")
    model = policy_model(n_actions=4)
    numbers = [line["action"] for line in parsed(service(model).answer(JSON_LINES, "", as_lines(STATES)).body)]
    assert len(set(numbers)) > 1
    named = service(model, names=names)
    lines = parsed(named.answer(JSON_LINES, "", as_lines(STATES)).body)
    assert [line["action"] for line in lines] == [names[number] for number in numbers]
    rows = list(csv.reader(io.StringIO(named.answer(JSON_LINES, CSV, as_lines(STATES)).body.decode())))
    assert [row[4] for row in rows] == [" ".join(names[number].split()) for number in numbers]
    body = json.dumps(STATES.tolist()).encode()
    assert json.loads(named.answer(JSON, "", body).body)["actions"] == [names[number] for number in numbers]


def test_the_seeds_form_of_an_answer() -> None:
    """A client of TF Serving's reads ``predictions``, whose first row is the record's."""
    (line,) = parsed(service().answer(JSON_LINES, "", b"[1, 2, 3]").body)
    assert len(line["predictions"]) == 1
    assert len(line["predictions"][0]) == 2


def test_B167_B175_a_bad_line_is_answered_in_its_place_with_its_number() -> None:
    body = b'[1,2,3]\n[1,2]\n[4,5,6]\nnonsense\n\n[7,8,9]\n{"instances":[]}\n'
    lines = parsed(service().answer(JSON_LINES, "", body).body)
    assert [line.get("line") for line in lines] == [None, 2, None, 4, 5, None, 7]
    assert lines[1] == {"error": "line 2: expected 3 features, got 2", "line": 2}
    assert lines[4] == {"error": "line 5: the line is blank", "line": 5}
    good = parsed(service().answer(JSON_LINES, "", b"[1,2,3]\n[4,5,6]\n[7,8,9]\n").body)
    assert [line for line in lines if "error" not in line] == good


def test_a_bad_line_of_csv_is_one_line_with_as_many_cells() -> None:
    answer = service().answer(CSV, "", b'1,2,3\n1,2\n"say ""no\t""",2,3\n')
    rows = list(csv.reader(io.StringIO(answer.body.decode()), strict=True))
    assert [len(row) for row in rows] == [4, 4, 4]
    assert rows[1] == ["error: line 2: expected 3 features, got 2", "", "", ""]
    assert rows[2][0].startswith("error: line 3: feature 1 is the text")
    assert answer.body.count(b"\n") == 3


@pytest.mark.parametrize(
    ("content_type", "accept", "body", "says"),
    [
        (JSON_LINES, JSON_LINES, b"[1,2,3]\n[1,2]\n[1]\n", "line 2: expected 3 features, got 2"),
        (CSV, CSV, b"1,2,3\n1,2\n", "line 2: expected 3 features, got 2"),
        (JSON, JSON_LINES, b"[[1,2,3],[1,2]]", "row 2: expected 3 features, got 2"),
    ],
)
def test_where_faults_reject_the_first_one_fails_the_whole_body(
    content_type: str, accept: str, body: bytes, says: str
) -> None:
    answer = service(reject=True).answer(content_type, accept, body)
    assert (answer.status, answer.content_type) == (400, JSON)
    assert json.loads(answer.body) == {"error": says, "line": 2}


def test_a_document_has_no_place_for_a_fault() -> None:
    for content_type, body, says in (
        (JSON, b"[[1,2,3],[1,2]]", "row 2: expected 3 features, got 2"),
        (JSON_LINES, b"[1,2,3]\n[1,2]\n", "line 2: expected 3 features, got 2"),
    ):
        answer = service().answer(content_type, JSON, body)
        assert answer.status == 400
        assert json.loads(answer.body) == {"error": says, "line": 2}
    lines = parsed(service().answer(JSON, JSON_LINES, b"[[1,2,3],[1,2]]").body)
    assert lines[1] == {"error": "row 2: expected 3 features, got 2", "line": 2}


def test_an_unreadable_document_is_refused() -> None:
    answer = service().answer(JSON, "", b"{}")
    assert answer.status == 400
    assert "empty object" in json.loads(answer.body)["error"]


def test_numbers_that_overflow_in_the_networks_are_a_fault_of_their_line() -> None:
    model = policy_model()
    model.preferences.network.parameters.fill_(3e19)
    first, second, third = parsed(service(model).answer(JSON_LINES, "", b"[0,0,0]\n[3e38,3e38,3e38]\n[0,0,0]").body)
    assert second == {"error": "line 2: the policy's numbers are not finite for these features", "line": 2}
    for line in (first, third):
        assert ("error" in line) == (not np.isfinite(model.preferences(np.zeros((1, 3), dtype=np.float32))).all())
    assert b"NaN" not in service(model).answer(JSON_LINES, "", b"[3e38,3e38,3e38]").body


def test_B146_nothing_in_gives_nothing_out() -> None:
    assert service().answer(JSON_LINES, "", b"").body == b""
    assert service().answer(CSV, "", b"").body == b""
    empty = {"predictions": [], "actions": [], "values": [], "masks": None}
    assert json.loads(service().answer(JSON, "", b"[]").body) == empty
    assert json.loads(service().answer(JSON_LINES, JSON, b"").body) == empty | {"values": None}


@pytest.mark.parametrize(
    ("content_type", "accept", "status", "says"),
    [
        ("", "", 415, "there is no Content-Type"),
        ("application/octet-stream", "", 415, "application/octet-stream"),
        ("text/csv; charset=latin-1", "", 415, "latin-1"),
        (JSON_LINES, "image/png", 406, "image/png"),
        (JSON_LINES, "application/json;q=0", 406, "application/jsonlines"),
    ],
)
def test_content_types_that_are_not_known_are_refused_with_those_that_are(
    content_type: str, accept: str, status: int, says: str
) -> None:
    answer = service().answer(content_type, accept, b"[1,2,3]")
    assert (answer.status, answer.content_type) == (status, JSON)
    assert says in json.loads(answer.body)["error"]
    assert status != 415 or "this server reads" in json.loads(answer.body)["error"]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", JSON_LINES),
        ("*/*", JSON_LINES),
        ("application/*", JSON_LINES),
        ("text/*", CSV),
        ("text/html, text/csv", CSV),
        ("text/csv;q=0.5, application/json", JSON),
        ("Application/JSON; charset=utf-8", JSON),
        ("text/csv;q=x, application/json;q=0.1", JSON),
    ],
)
def test_the_answer_is_of_the_type_that_is_wanted_most(accept: str, chosen: str) -> None:
    assert service().answer("application/jsonlines; charset=UTF-8", accept, b"[1,2,3]").content_type == chosen


def test_B172_a_repeated_request_gets_the_same_bytes() -> None:
    one, body = service(models()["nearest mask"]), as_lines(STATES) + b"nonsense\n"
    assert one.answer(JSON_LINES, "", body) == one.answer(JSON_LINES, "", body)


@pytest.mark.parametrize("reject", [False, True])
def test_small_requests_together_are_answered_as_each_alone(reject: bool) -> None:
    one = service(models()["imitation mask"], reject)
    bodies = [
        (JSON_LINES, "", as_lines(STATES[:3])),
        (JSON_LINES, "", b""),
        (JSON_LINES, "", b"[1,2]\n[1,2,3]"),
        (JSON_LINES, "", b"\n"),
        (JSON_LINES, CSV, as_lines(STATES[3:5])),
        (CSV, "", b"1,2,3\n"),
        (CSV, "", b"1,2,3\r\nx,2,3\r\n"),
        (JSON, "", b"[1,2,3]"),
        (JSON, "", b"{}"),
        (JSON_LINES, JSON, b"[1,2]"),
        (JSON_LINES, "", b"\xef\xbb\xbf[3,2,1]"),
        (JSON_LINES, "", b"[1,2,3],[4,5,6]"),
        (JSON_LINES, "", b"[1,2"),
        (JSON_LINES, "", b",3]"),
    ]
    requests = [Request.of(body, content_type, accept) for content_type, accept, body in bodies]
    for request, together in zip(requests, one.respond_together(requests), strict=True):
        alone = one.respond(request)
        assert (together.status, together.content_type) == (alone.status, alone.content_type), request
        if alone.content_type == CSV:
            assert _cells(together.body) == [pytest.approx(row, abs=1e-6) for row in _cells(alone.body)]
            continue
        for found, expected in zip(_values(together.body), _values(alone.body), strict=True):
            if "error" in expected or "predictions" not in expected:
                assert found == expected
            else:
                assert _flat([found], JSON_LINES) == [pytest.approx(_flat([expected], JSON_LINES)[0], abs=1e-6)]


def _values(body: bytes) -> list[dict[str, object]]:
    """Lines of JSON, or a document, as records."""
    found = [json.loads(line) for line in body.splitlines()]
    return [
        {key.removesuffix("s") if key != "predictions" else key: value for key, value in entry.items()}
        for entry in found
    ]


def _cells(body: bytes) -> list[list[float]]:
    """The numbers of lines of CSV."""
    rows = csv.reader(io.StringIO(body.decode()))
    return [[float(cell) for cell in row if cell and not cell.startswith("error")] for row in rows]


def test_blocks_of_a_large_body_count_their_lines_on(monkeypatch: pytest.MonkeyPatch) -> None:
    body = as_lines(STATES) + b"[1]\n" + as_lines(STATES)
    whole = parsed(service().answer(JSON_LINES, "", body).body)
    monkeypatch.setattr(parsing, "BLOCK_BYTES", 100)
    blocks = parsed(service().answer(JSON_LINES, "", body).body)
    assert whole[40] == blocks[40] == {"error": "line 41: expected 3 features, got 1", "line": 41}
    assert _flat(whole[:40], JSON_LINES) == [pytest.approx(row, abs=1e-6) for row in _flat(blocks[:40], JSON_LINES)]
    rejected = service(reject=True).answer(JSON_LINES, "", body)
    assert json.loads(rejected.body)["line"] == 41


def test_records_that_name_the_columns_are_answered_as_lists(model_folder: Path) -> None:
    """By every type and by the names in the model's own description; a server reads them as it loads the model."""
    loaded = load_service(model_folder, ServingSettings.from_environment({}, 1)).service
    names = FACTS["preprocessing"]["state_columns"]
    rows = states(40).tolist()
    records = [dict(zip(names, row, strict=True)) for row in rows]
    lists = loaded.answer(JSON_LINES, "", "".join(json.dumps(row) + "\n" for row in rows).encode())
    named = loaded.answer(JSON_LINES, "", "".join(json.dumps(record) + "\n" for record in records).encode())
    assert named.body == lists.body
    documents = [loaded.answer(JSON, "", json.dumps({"instances": given}).encode()).body for given in (rows, records)]
    assert documents[0] == documents[1]
    some = [dict(reversed(record.items())) | {"eligible": ["1"]} for record in records]
    of_eligible = loaded.answer(JSON_LINES, "", "".join(json.dumps(record) + "\n" for record in some).encode())
    assert {json.loads(line)["action"] for line in of_eligible.body.splitlines()} == {1}
    wrong = loaded.answer(JSON_LINES, "", b'{"x": 1, "y": 2}\n' + json.dumps(records[0]).encode())
    first, second = map(json.loads, wrong.body.splitlines())
    assert first["error"].startswith("line 1: 'z' is missing; expected ") and "predictions" in second
