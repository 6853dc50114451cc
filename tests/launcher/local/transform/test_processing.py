"""Filters, joins and error records."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from launcher.api.jsonpath import ROOT, JsonPath
from launcher.local.transform.jsonrecords import shown
from launcher.local.transform.outcome import RecordFault
from launcher.local.transform.payloads import packed, single, whole
from launcher.local.transform.processing import Processing
from launcher.local.transform.record_stream import line_blocks
from launcher.local.transform.settings import TransformSettings

LINES, DOCUMENT, CSV = "application/jsonlines", "application/json", "text/csv"


def settings_of(kind, **fields):
    for name in ("input_filter", "output_filter"):
        fields[name] = JsonPath.parse(fields[name]) if name in fields else ROOT
    return TransformSettings(**{"split": "Line", "content_type": kind, "assemble_lines": True, **fields})


def convert(data, answers, kind=LINES, reports=None, **fields):
    """What is stored of one object, and what was sent; ``answers`` makes a body of a body."""
    settings = settings_of(kind, **fields)
    processing = Processing(settings)
    if settings.split == "None":
        payloads = [processing.whole(payload) for batch in whole(iter([data]), None) for payload in batch]
    else:
        cut = single if settings.single_record else packed
        payloads = [p for batch in cut(map(processing.block, line_blocks(iter([data]), 100)), 100) for p in batch]
    sent, stored = [], []
    for payload in payloads:
        sent.append(b"".join(payload.body))
        answer = answers(sent[-1])
        pieces = [answer[at : at + 11] for at in range(0, len(answer), 11)]
        report = reports.append if reports is not None else print
        stored += processing.finish(payload, pieces, lambda where, text: report(f"{where}: {text}"))  # noqa: B023
    return b"".join(stored), sent


def numbered(answer=b'{"p":%d}'):
    """One line of answer for each line, with the line's length in it."""
    return lambda body: b"".join(answer % len(line) + b"\n" for line in body.splitlines())


def parsed(stored):
    return [json.loads(line) for line in stored.splitlines()]


@pytest.mark.parametrize("single_record", [True, False])
def test_B159_an_object_gets_SageMakerOutput_and_an_older_one_is_overwritten(single_record):
    data = b'{"id": 1, "x": [1]}\n{}\n{"SageMakerOutput": 5, "id": 3} \n'
    lengths = [len(line) for line in data.splitlines()]
    stored, _ = convert(data, numbered(), join=True, single_record=single_record)
    assert parsed(stored) == [
        {"id": 1, "x": [1], "SageMakerOutput": {"p": lengths[0]}},
        {"SageMakerOutput": {"p": lengths[1]}},
        {"SageMakerOutput": {"p": lengths[2]}, "id": 3},
    ]


def test_B159_a_key_is_recognised_however_it_is_spelled():
    stored, _ = convert(b'{"\\u0053ageMakerOutput": 1}\n', lambda body: b"5\n", join=True)
    assert json.loads(stored, object_pairs_hook=list) == [("SageMakerOutput", 5)]


@pytest.mark.parametrize("single_record", [True, False])
def test_B160_what_is_no_object_becomes_one(single_record):
    data = b'[0.5, -1]\n7\n"text"\nnull\n\n [1]\r\n'
    stored, _ = convert(data, numbered(), join=True, single_record=single_record)
    assert [entry["SageMakerInput"] for entry in parsed(stored)] == [[0.5, -1], 7, "text", None, [1]]
    assert all(set(entry) == {"SageMakerInput", "SageMakerOutput"} for entry in parsed(stored))
    assert stored.count(b"\n") == 5 and b"\r" not in stored


@pytest.mark.parametrize("number", [2**63, 2**64, 10**40, -(10**30)])
def test_B157_B159_whole_numbers_keep_all_their_digits(number):
    def told(body):
        return b'{"p":%d}\n' % number * body.count(b"\n")

    data = b'{"id":%d,"x":[%d]}\n{"id":%d,"SageMakerOutput":1}\n' % (number, number, number)
    stored, sent = convert(data, told, join=True, input_filter="$.id", output_filter="$['id','SageMakerOutput']")
    assert parsed(b"".join(sent)) == [number] * 2
    assert parsed(stored) == [{"id": number, "SageMakerOutput": {"p": number}}] * 2
    stored, _ = convert(data, told, join=True)
    assert parsed(stored)[1] == {"id": number, "SageMakerOutput": {"p": number}}


@pytest.mark.parametrize("text", [b"1" * 5000, b"[" * 1020 + b"1" * 30 + b"]" * 1020])
def test_B163_a_number_that_cannot_be_read_is_told_with_its_line(text):
    (block,) = line_blocks(iter([b"[1]\n[" + text + b"]\n"]), None)
    with pytest.raises(RecordFault, match="line 2: it is no valid JSON"):
        Processing(settings_of(LINES, input_filter="$[0]")).block(block)


def test_B161_a_column_may_be_of_any_length():
    long = b'"' + b"x" * 200_000 + b'",1'
    settings = settings_of(CSV, input_filter="$[0]")
    (block,) = line_blocks(iter([long + b"\n"]), None)
    assert Processing(settings).block(block).data == b"x" * 200_000 + b"\n"


def test_B169_what_is_joined_keeps_its_bytes():
    stored, _ = convert(b"[1.0, 1E2, 12345678901234567890123]\n", lambda body: b'{"p": 0.10}\n', join=True)
    assert stored == b'{"SageMakerInput":[1.0, 1E2, 12345678901234567890123],"SageMakerOutput":{"p": 0.10}}\n'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=4),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=3), one, max_size=3),
    max_leaves=6,
)


@given(st.lists(JSON, min_size=1, max_size=8), JSON, st.booleans())
def test_B157_B159_B160_any_records_are_joined_with_any_answers(records, answer, single_record):
    data = "".join(json.dumps(record) + "\n" for record in records).encode()
    given_answer = json.dumps(answer).encode() + b"\n"
    assume(max(map(len, data.splitlines())) < 100)
    stored, _ = convert(data, lambda body: given_answer * body.count(b"\n"), join=True, single_record=single_record)
    expected = [
        {**record, "SageMakerOutput": answer}
        if isinstance(record, dict)
        else {"SageMakerInput": record, "SageMakerOutput": answer}
        for record in records
    ]
    assert parsed(stored) == expected


def test_B157_B158_the_server_sees_the_filtered_record_and_the_join_the_original():
    data = b'{"id": 1, "features": [1, 2]}\n{"id": 2, "features": [3]}\n'
    stored, sent = convert(
        data, numbered(), input_filter="$.features", output_filter="$['id','SageMakerOutput']", join=True
    )
    assert b"".join(sent) == b"[1,2]\n[3]\n"
    assert parsed(stored) == [{"id": 1, "SageMakerOutput": {"p": 5}}, {"id": 2, "SageMakerOutput": {"p": 3}}]


@given(st.lists(st.integers(0, 10**30), min_size=1, max_size=40), st.booleans())
def test_B157_B158_payloads_hold_as_many_filtered_records_as_fit_and_the_joins_are_right(ids, single_record):
    data = b"".join(b'{"id": "%d", "x": [%d]}\n\n' % (number, number) for number in ids)
    stored, sent = convert(data, lambda body: body, input_filter="$.id", join=True, single_record=single_record)
    assert b"".join(sent) == b"".join(b'"%d"\n' % number for number in ids)
    assert all(len(body) <= 100 for body in sent)
    assert len(sent) == len(ids) if single_record else len(sent) <= 1 + len(b"".join(sent)) // 50
    assert [(entry["id"], entry["SageMakerOutput"]) for entry in parsed(stored)] == [(str(n), str(n)) for n in ids]


def test_B157_B165_the_output_filter_works_on_what_was_joined_or_on_the_answer_alone():
    data = b"[1]\n[2]\n"
    assert convert(data, numbered(), join=True, output_filter="$.SageMakerOutput")[0] == b'{"p":3}\n{"p":3}\n'
    assert convert(data, numbered(), output_filter="$.p")[0] == b"3\n3\n"


def test_B158_an_object_that_is_not_split_is_filtered_as_a_whole():
    stored, sent = convert(
        b'{"id": 1,\n "x": [1, 2]}', lambda body: b'{"p": 3}', DOCUMENT, split="None", input_filter="$.x", join=True
    )
    assert sent == [b"[1,2]"]
    assert json.loads(stored) == {"id": 1, "x": [1, 2], "SageMakerOutput": {"p": 3}}
    assert stored.endswith(b"}")


def test_B157_JSON_Lines_that_are_not_split_are_joined_line_by_line():
    stored, sent = convert(b"[1]\n[2]", numbered(), split="None", join=True, input_filter="$[0]")
    assert sent == [b"1\n2\n"]
    assert [entry["SageMakerInput"] for entry in parsed(stored)] == [[1], [2]]


def test_B157_a_document_answered_over_several_lines_stays_on_one_line_of_the_output():
    def pretty(body):
        return json.dumps({"predictions": [json.loads(body)]}, indent=1).encode()

    stored, _ = convert(b"[1]\n[2]\n", pretty, DOCUMENT, single_record=True, join=True)
    assert stored.count(b"SageMakerInput") == 2
    assert json.loads(stored[: stored.index(b"}}") + 2]) == {
        "SageMakerInput": [1],
        "SageMakerOutput": {"predictions": [[1]]},
    }
    assert b"\n" not in stored  # the newlines are AssembleWith's


def test_B150_an_answer_keeps_its_last_newline_or_its_lack():
    for end in (b"", b"\n"):
        stored, _ = convert(b"[1]", lambda body, end=end: b'{"p":1}' + end, DOCUMENT, split="None", output_filter="$.p")
        assert stored == b"1" + end


def test_B161_columns_of_the_answer_come_after_those_of_the_row():
    stored, _ = convert(b'1,2\r\n"a, b",3\n', lambda body: b'0.5,x\r\n0.25,"y ""q"""\r\n', CSV, join=True)
    assert stored == b'1,2,0.5,x\n"a, b",3,0.25,"y ""q"""\n'


def test_B161_filters_of_CSV_take_indices():
    data = b'7,1,2\n8,"x,y",4\n'
    stored, sent = convert(data, numbered(b"%d,9"), CSV, input_filter="$[1:]", output_filter="$[0,-1]", join=True)
    assert b"".join(sent) == b'1,2\n"x,y",4\n'
    assert stored == b"7,9\n8,9\n"
    assert convert(data, numbered(b"%d,9"), CSV, output_filter="$[1]")[0] == b"9\n9\n"
    assert convert(b",1\n", numbered(), CSV, input_filter="$[0]")[1] == [b'""\n']


def test_B161_CSV_may_be_in_any_encoding():
    stored, sent = convert("é,1\n".encode("latin-1"), lambda body: b"\xff\n", CSV, input_filter="$[0]", join=True)
    assert (sent, stored) == ([b"\xe9\n"], b"\xe9,1,\xff\n")


@pytest.mark.parametrize(("had", "answer"), [(1, b"1\n"), (3, b"1\n2\n3"), (0, b"")])
@pytest.mark.parametrize("kind", [LINES, CSV])
def test_B167_joined_answers_must_be_as_many_as_records(kind, had, answer):
    with pytest.raises(RecordFault, match=f"lines 1 to 2: the answer holds {had} records for 2") as caught:
        convert(b"1\n\n2\n".replace(b"\n\n", b"\n"), lambda body: answer, kind, join=True)
    assert "use BatchStrategy SingleRecord" in caught.value.message
    assert caught.value.kind == "AlgorithmError"


def test_B167_without_a_join_nobody_counts():
    assert convert(b"1\n2\n", lambda body: b"all\n")[0] == b"all\n"
    assert convert(b"1\n2\n", lambda body: b"[3]\n", output_filter="$[0]")[0] == b"3\n"


@pytest.mark.parametrize(
    ("data", "answer", "fields", "what"),
    [
        (b"[1]\n\n[NaN]\n", b"1\n1\n", {"join": True}, "line 3: it is no valid JSON .*: \\[NaN\\]"),
        (b"[1]\n\nrubbish\n", b"1\n1\n", {"input_filter": "$[0]"}, "line 3: it is no valid JSON"),
        (b"[1]\n\n[2]\n", b"1\noops\n", {"join": True}, "line 3: the answer is no valid JSON .*: oops"),
        (b"[1]\n\n[2]\n", b"1\noops\n", {"output_filter": "$[0]"}, "line 1: OutputFilter"),
        (b"[1]\n[2]\n", b"[1]\noops\n", {"output_filter": "$[0]"}, "line 2: the answer is no valid JSON"),
        (b"[1]\n[]\n", b"1\n1\n", {"input_filter": "$[0]"}, "line 2: InputFilter \\$\\[0\\]: index 0 is out of range"),
        (b"[1]\n[2]\n", b"[5]\n[]\n", {"output_filter": "$[0]"}, "line 2: OutputFilter \\$\\[0\\]: index 0 is out of"),
        (b"[1]\n{}\n", b"1\n1\n", {"output_filter": "$.SageMakerInput", "join": True}, "line 2: .* no member"),
    ],
)
def test_B163_what_cannot_be_joined_or_filtered_is_told_with_its_line(data, answer, fields, what):
    with pytest.raises(RecordFault, match=what):
        convert(data, lambda body: answer, **fields)


def test_B161_B163_what_is_no_row_or_has_too_few_columns():
    for fields, what in (
        ({"join": True}, "line 2: it is no row of CSV"),
        ({"input_filter": "$[0]"}, "line 2: it is no row of CSV"),
    ):
        with pytest.raises(RecordFault, match=what):
            convert(b'1\n"open\n', lambda body: b"1\n1\n", CSV, **fields)
    with pytest.raises(RecordFault, match="line 1: the answer is no row of CSV"):
        convert(b"1\n2\n", lambda body: b'"open\nend"\n', CSV, join=True)
    with pytest.raises(RecordFault, match=r"line 1: OutputFilter .*index 3 is out of range"):
        convert(b"1\n", lambda body: b"2\n", CSV, join=True, output_filter="$[3]")


def test_where_nothing_is_asked_for_bodies_go_through_untouched():
    answer = b"any\r\n\n bytes \xff\x00"
    assert convert(b"1\n2\n", lambda body: answer)[0] == answer
    assert convert(b"1", lambda body: answer, "image/png", split="None")[0] == answer


@pytest.mark.parametrize("fields", [{}, {"join": True}, {"output_filter": "$.line"}, {"single_record": True}])
def test_B175_error_records_of_our_server_are_reported_with_the_line_of_the_object(fields):
    def answers(body):
        if body.count(b"\n") == 1:
            return b'{"error":"line 1: too short","line":1}\n' if b"[2]" in body else b'{"line":0}\n'
        return b'{"line":0}\n{"error":"line 2: too short","line":2}\n'

    reports = []
    stored, _ = convert(b"\n[1]\n\n[2]\n", answers, reports=reports, **fields)
    assert reports == ["line 4: too short"]
    assert stored


@pytest.mark.parametrize("fields", [{}, {"join": True}, {"output_filter": "$[:]"}])
def test_B175_so_are_error_rows_of_CSV(fields):
    reports = []
    answers = b'0.5,1,\n"error: line 2: expected ""4"" features",,\n'
    convert(b"1\n\n2\n", lambda body: answers, CSV, reports=reports, **fields)
    assert reports == ['line 3: expected "4" features']


def test_B175_an_error_of_somebody_elses_form_is_none_of_ours():
    reports = []
    answers = lambda body: b'{"error":"a"}\n["error"]\n{"error":5,"line":1}\n"error"\n'  # noqa: E731
    convert(b"1\n2\n3\n4\n", answers, reports=reports)
    assert reports == []


def test_binary_records_are_named_without_what_a_terminal_would_obey():
    assert shown(b"PAR1\x15\x1b[2J\x00 caf\xc3\xa9\n").replace("\N{REPLACEMENT CHARACTER}", "?") == "PAR1??[2J? café"
