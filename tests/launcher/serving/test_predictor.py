"""``Predictor``: what may be given as states, how they travel, and what is believed of the answers."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_cloud import Cloud, FakeSession, answers, refused

from batchrl.contract.errors import DamagedContent, InputError, JobFailed, Unreachable
from launcher import ModelFailed, Predictor
from launcher.serving.rows import MAX_INVOCATION_BYTES, as_lines, as_rows, bodies, encode

STATES = [[0.1, 0.0, 0.0, 0.0], [-0.1, 0.0, 0.0, 0.0]]


@pytest.fixture
def cloud() -> Cloud:
    cloud = Cloud()
    cloud.endpoints["mine"] = {"EndpointName": "mine", "EndpointConfigName": "mine"}
    cloud.states["mine"] = lambda: ("InService", None)
    cloud.answer = answers
    return cloud


@pytest.fixture
def predictor(cloud: Cloud) -> Predictor:
    return Predictor("mine", FakeSession(cloud))


def test_probabilities_actions_values_and_masks_come_in_the_order_of_the_states(predictor: Predictor) -> None:
    found = predictor.predict(STATES)
    assert len(found) == 2
    assert found.actions == (1, 0)
    assert [list(row or ()) for row in found.probabilities] == [[0.25, 0.75], [0.75, 0.25]]
    assert found.values == (0.1, -0.1)
    assert [list(row or ()) for row in found.masks] == [[True, True]] * 2
    assert found.errors == (None, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.actions = ()  # type: ignore[misc]


def test_states_go_as_json_lines(predictor: Predictor, cloud: Cloud) -> None:
    predictor.predict(STATES)
    (request,) = cloud.invoked
    assert request == {
        "EndpointName": "mine",
        "Body": b"[0.1,0.0,0.0,0.0]\n[-0.1,0.0,0.0,0.0]\n",
        "ContentType": "application/jsonlines",
        "Accept": "application/jsonlines",
    }


@pytest.mark.parametrize(
    "given",
    [
        STATES,
        tuple(map(tuple, STATES)),
        np.array(STATES),
        np.array(STATES, dtype=np.float32),
        list(np.array(STATES)),
        [[np.float32(value) for value in row] for row in STATES],
        pd.DataFrame(STATES),
        pd.DataFrame(STATES).rename(columns=lambda n: f"state_feature_{n}"),
    ],
    ids=["lists", "tuples", "array", "float32", "list of arrays", "lists of float32", "frame", "named frame"],
)
def test_lists_arrays_and_frames_are_states(predictor: Predictor, given: Any) -> None:
    assert predictor.predict(given).actions == (1, 0)


@pytest.mark.parametrize("given", [STATES[0], np.array(STATES[0]), pd.Series(STATES[0])])
def test_one_state_alone_is_a_row(predictor: Predictor, given: Any) -> None:
    assert predictor.predict(given).actions == (1,)


RECORDS = [
    {"age": 41, "plan": "gold", "sent_at": "2026-11-30T08:00:00"},
    {"age": None, "plan": "free", "sent_at": None},
]


@pytest.mark.parametrize(
    "given",
    [
        RECORDS,
        tuple(RECORDS),
        [{**RECORDS[0], "sent_at": datetime.datetime(2026, 11, 30, 8)}, {**RECORDS[1], "age": np.float64("nan")}],
        pd.DataFrame(RECORDS).astype({"sent_at": "datetime64[s]"}).to_dict("records"),
    ],
    ids=["dicts", "tuple", "dates and NaN", "records of a frame"],
)
def test_records_of_the_log_go_as_they_are(given: Any) -> None:
    assert [json.loads(line) for line in as_lines(given)] == RECORDS
    assert [json.loads(line) for line in as_lines(given[0])] == RECORDS[:1]


def test_records_are_predicted_one_or_many(predictor: Predictor, cloud: Cloud) -> None:
    cloud.answer = lambda body: answers(b"[0.1,0,0,0]\n" * body.count(b"\n"))
    assert predictor.predict([{"age": 1}, {"age": 2, "eligible": ("mail", "none")}]).actions == (1, 1)
    assert predictor.predict({"age": 1}).actions == (1,)
    bodies = [request["Body"] for request in cloud.invoked]
    assert bodies == [b'{"age":1}\n{"age":2,"eligible":["mail","none"]}\n', b'{"age":1}\n']


@pytest.mark.parametrize("value", [object(), float("inf"), {1, 2}])
def test_what_no_record_can_hold_is_named_with_its_row(predictor: Predictor, cloud: Cloud, value: object) -> None:
    with pytest.raises(InputError, match="row 2: it is no record"):
        predictor.predict([{"age": 1}, {"age": value}])
    assert cloud.invoked == []


def test_no_state_asks_nobody(predictor: Predictor, cloud: Cloud) -> None:
    assert len(predictor.predict([])) == 0
    assert cloud.invoked == []


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([[1, 2], [1]], "row 2: 1 features, and the first row has 2"),
        ([[]], "row 1: it has no features"),
        ([[1.0, float("nan")]], "row 1, feature 2: nan is not finite"),
        ([[1.0], [float("inf")]], "row 2, feature 1: inf is not finite"),
        ([[10**400]], "is not finite"),
        ([["a"]], "row 1, feature 1: 'a' is no number"),
        ([[True]], "is no number"),
        ([[None]], "row 1, feature 1: None is no number"),
        ([[1.0], "text"], "row 2: 'text' is no list of features"),
        ("[1, 2]", "a str holds no states"),
        (3, "a int holds no states"),
        ({1.5}, "a set holds no states"),
        (np.zeros((2, 2, 2)), "is no number"),
    ],
)
def test_what_is_no_state_is_refused_with_its_row_and_sends_nothing(
    predictor: Predictor, cloud: Cloud, states: Any, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        predictor.predict(states)
    assert cloud.invoked == []


def test_C182_many_states_go_in_several_requests(predictor: Predictor, cloud: Cloud) -> None:
    states = np.random.default_rng(0).normal(size=(150_000, 4))
    found = predictor.predict(states)
    assert len(cloud.invoked) == 2
    assert all(len(request["Body"]) <= MAX_INVOCATION_BYTES for request in cloud.invoked)
    assert b"".join(request["Body"] for request in cloud.invoked).count(b"\n") == len(states)
    assert found.values == tuple(float(value) for value in states[:, 0])


@given(st.lists(st.binary(max_size=8).filter(lambda line: b"\n" not in line), max_size=30), st.integers(9, 40))
def test_C182_bodies_hold_every_line_once_in_order_within_the_limit(lines: list[bytes], limit: int) -> None:
    made = list(bodies(lines, limit))
    assert b"".join(body.content for body in made) == b"".join(line + b"\n" for line in lines)
    assert all(len(body.content) <= limit for body in made)
    assert [body.first for body in made] == [sum(body.rows for body in made[:at]) for at in range(len(made))]
    for one, following in itertools.pairwise(made):
        assert len(one.content) + following.content.index(b"\n") + 1 > limit


def test_C182_a_line_that_no_request_can_hold_is_refused() -> None:
    with pytest.raises(InputError, match="row 2: 17 bytes"):
        list(bodies([b"1", b"2" * 16], 10))


def test_a_state_that_the_model_cannot_take_is_told_by_its_row(predictor: Predictor, cloud: Cloud) -> None:
    cloud.answer = lambda body: answers(body, lambda row: row[0] > 4)
    with pytest.raises(InputError, match="row 6: expected 4 features"):
        predictor.predict([[float(n)] for n in range(6)])
    found = predictor.predict([[float(n)] for n in range(6)], errors="keep")
    assert found.errors == (None,) * 5 + ("line 6: expected 4 features, got 1",)
    assert (found.actions[5], found.probabilities[5], found.values[5], found.masks[5]) == (None,) * 4
    with pytest.raises(InputError, match="'keep'"):
        predictor.predict([[1.0]], errors="ignore")


def test_the_row_of_an_error_counts_from_the_first_request(predictor: Predictor, cloud: Cloud) -> None:
    cloud.answer = lambda body: answers(body, lambda row: row[0] == -1.0)
    wide = [[1.0, *[0.123456789] * 50_000] for _ in range(19)] + [[-1.0, *[0.5] * 50_000]]
    with pytest.raises(InputError, match="row 20: expected"):
        predictor.predict(wide)
    assert len(cloud.invoked) == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "answered 1 rows, from row 1 on, with 0 lines"),
        (b"{}\n{}\n", "with 2 lines"),
        (b"<html>\n", "row 1 with no JSON"),
        (b"[1]\n", "no JSON object"),
        (b'{"action": 0}\n', "no action probabilities: None"),
        (b'{"predictions": [[0.5, NaN]], "action": 0}\n', "no action probabilities"),
        (b'{"predictions": [[0.5, 1' + b"0" * 400 + b']], "action": 0}\n', "no action probabilities"),
        (b'{"predictions": [[0.5, 0.6]], "action": 0}\n', "do not sum to 1"),
        (b'{"predictions": [[1.5, -0.5]], "action": 0}\n', "do not sum to 1"),
        (b'{"predictions": [[0.5, 0.5], [0.5, 0.5]], "action": 0}\n', "no action probabilities"),
        (b'{"predictions": [[0.5, 0.5]], "action": 2}\n', "the action 2; there are 2"),
        (b'{"predictions": [[0.5, 0.5]]}\n', "the action None"),
        (b'{"predictions": [[0.5, 0.5]], "action": true}\n', "the action True"),
        (b'{"predictions": [[0.5, 0.5]], "action": 0, "value": "x"}\n', "the value 'x'"),
        (b'{"predictions": [[0.5, 0.5]], "action": 0, "mask": [true]}\n', "needs 2 truth values"),
        (b'{"predictions": [[0.5, 0.5]], "action": 0, "mask": [1, 0]}\n', "needs 2 truth values"),
    ],
)
def test_an_answer_that_no_model_server_of_ours_gives_is_not_believed(
    predictor: Predictor, cloud: Cloud, line: bytes, said: str
) -> None:
    cloud.answer = lambda body: line
    with pytest.raises(DamagedContent) as caught:
        predictor.predict([[1.0, 2.0]])
    assert said in caught.value.message
    assert "the endpoint 'mine'" in caught.value.message


def test_a_value_and_a_mask_may_be_missing(predictor: Predictor, cloud: Cloud) -> None:
    cloud.answer = lambda body: b'{"predictions": [[0.5, 0.5]], "action": 0, "value": null, "mask": null}\n'
    found = predictor.predict([[1.0]])
    assert (found.values, found.masks) == ((None,), (None,))


def model_error(status: int, message: str) -> Exception:
    return refused(
        "ModelError",
        f'Received client error ({status}) from primary with message "{message}".',
        424,
        OriginalStatusCode=status,
        OriginalMessage=message,
        LogStreamArn="arn:aws:logs:here:0:log-group:x",
    )


def failing(error: Exception) -> Any:
    def fail(body: bytes) -> bytes:
        raise error

    return fail


def test_C184_a_refusal_of_the_model_server_is_wrong_input_with_its_row(predictor: Predictor, cloud: Cloud) -> None:
    cloud.answer = failing(model_error(400, json.dumps({"error": "line 2: expected 4 features, got 1", "line": 2})))
    with pytest.raises(InputError) as caught:
        predictor.predict([[1.0], [2.0]])
    assert caught.value.message.endswith("refuses the request with 400: row 2: expected 4 features, got 1")


def test_C184_the_text_of_any_other_server_is_shown_as_it_is(predictor: Predictor, cloud: Cloud) -> None:
    cloud.answer = failing(model_error(415, "Unsupported Media Type"))
    with pytest.raises(InputError, match="415: Unsupported Media Type"):
        predictor.invoke(b"x", "image/png")


def test_C184_a_failure_of_the_model_server_is_told_with_its_status_and_text(
    predictor: Predictor, cloud: Cloud
) -> None:
    cloud.answer = failing(model_error(500, "boo"))
    with pytest.raises(ModelFailed, match="answered 500: boo") as caught:
        predictor.predict(STATES)
    assert isinstance(caught.value, JobFailed)
    assert "batchrl logs mine" in str(caught.value.hint)


def test_an_endpoint_that_is_not_there_is_told_by_name(cloud: Cloud) -> None:
    with pytest.raises(InputError, match="no endpoint named 'nope'"):
        Predictor("nope", FakeSession(cloud)).predict(STATES)


def test_a_model_that_is_not_ready_can_be_asked_again(predictor: Predictor, cloud: Cloud) -> None:
    cloud.answer = failing(refused("ModelNotReadyException", "downloading", 429))
    with pytest.raises(Unreachable, match="is not ready: downloading"):
        predictor.predict(STATES)


def test_an_endpoint_that_is_not_in_service_says_why(predictor: Predictor, cloud: Cloud) -> None:
    cloud.answer = failing(refused("ValidationError", "Endpoint mine is Failed, not InService.", 400))
    cloud.endpoints["mine"] = {"EndpointName": "mine", "EndpointConfigName": "mine"}
    cloud.states["mine"] = lambda: ("Failed", "The server did not answer /ping.")
    with pytest.raises(InputError, match="is Failed, not in service: The server did not answer /ping") as caught:
        predictor.predict(STATES)
    assert caught.value.hint == "See: batchrl doctor mine"
    cloud.states["mine"] = lambda: ("InService", None)
    with pytest.raises(InputError, match="ValidationError"):
        predictor.predict(STATES)


def test_a_raw_request_is_what_it_says(predictor: Predictor, cloud: Cloud) -> None:
    cloud.answer = lambda body: b"0.5,0.5,0,\n"
    assert predictor.invoke("1,2\n", "text/csv", "text/csv") == b"0.5,0.5,0,\n"
    assert cloud.invoked[0]["Body"] == b"1,2\n"
    predictor.invoke(b"1,2\n", "text/csv")
    assert "Accept" not in cloud.invoked[1]


def test_numbers_arrive_as_they_were() -> None:
    rows = [[0.1, 1e-300, -1.7976931348623157e308, 3]]
    assert [json.loads(line) for line in encode(as_rows(rows))] == rows


def test_it_deletes_what_it_is_asked_to(predictor: Predictor, cloud: Cloud) -> None:
    cloud.configs["mine"] = {"EndpointConfigName": "mine", "ProductionVariants": [{"ModelName": "m"}]}
    cloud.models["m"] = {}
    predictor.delete_model()
    predictor.delete_endpoint()
    assert (cloud.models, cloud.configs, cloud.endpoints) == ({}, {}, {})


def test_a_session_of_boto3_means_aws() -> None:
    import boto3

    session = boto3.Session(aws_access_key_id="AKIATEST", aws_secret_access_key="x", region_name="eu-west-1")
    predictor = Predictor("mine", sagemaker_session=session)
    assert not predictor.session.is_local
    assert predictor.session.region == "eu-west-1"
    assert Predictor("mine").session.is_local
    with pytest.raises(InputError, match="is no session"):
        Predictor("mine", 3)
    with pytest.raises(TypeError, match="Did you mean 'session'"):
        Predictor("mine", sesion=None)


def test_asking_imports_neither_numpy_nor_pandas() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from serving_cloud import Cloud, FakeSession, answers\n"
        "from launcher import Predictor\n"
        "cloud = Cloud(); cloud.answer = answers; cloud.endpoints['mine'] = {}\n"
        "assert Predictor('mine', FakeSession(cloud)).predict([[1.0, 2.0]]).actions == (1,)\n"
        "assert not {'numpy', 'pandas', 'torch'} & set(sys.modules)"
    )
    support = next(path for path in sys.path if path.endswith("tests/support"))
    subprocess.run([sys.executable, "-c", code, support], check=True, timeout=60)
