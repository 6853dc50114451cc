"""Bodies as states and faults: every line is one record or one fault, never another line's."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchrl.serving import parsing
from batchrl.serving.media import Media
from batchrl.serving.parsing import Unreadable, read_document, read_lines

LINES, CSV = Media.JSON_LINES, Media.CSV


def read(body: bytes, media: Media = LINES, n_features: int = 2) -> list[list[float] | str]:
    """Each record as its features or its fault."""
    found: list[list[float] | str] = []
    for block in read_lines(body, media, n_features):
        found += [block.faults.get(position, row) for position, row in enumerate(block.states.tolist())]
    return found


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[1,2]\n[3,4]\n", [[1, 2], [3, 4]]),
        (b"[1,2]\n[3,4]", [[1, 2], [3, 4]]),
        (b"[1,2]\r\n[3,4]\r\n", [[1, 2], [3, 4]]),
        (b" [1, 2] \n\t[3, 4]", [[1, 2], [3, 4]]),
        (b"\xef\xbb\xbf[1,2]\n", [[1, 2]]),
        (b'{"features":[1,2]}\n[3,4]\n{"instances":[[5,6]]}\n', [[1, 2], [3, 4], [5, 6]]),
        (b'{"id":7,"features":[1,2]}', [[1, 2]]),
        (b"[1,-2.5e-3]", [[1, -0.0025]]),
        (b"[3.4028235e38,0]", [[3.4028234663852886e38, 0]]),
    ],
)
def test_B139_lines_of_json_are_states(body: bytes, expected: list[list[float]]) -> None:
    assert read(body) == [pytest.approx(row, rel=1e-6) for row in expected]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"not json", "not JSON"),
        (b"[1,2", "not JSON"),
        (b"[1,2],[3,4]", "not JSON"),
        (b"[1,2] [3,4]", "not JSON"),
        (b"[1,2]]", "not JSON"),
        (b"1,2]", "not JSON"),
        (b"[NaN,1]", "no NaN and Infinity"),
        (b"[1,-Infinity]", "no NaN and Infinity"),
        (b"[1e400,1]", "not JSON"),
        (b"[1e39,1]", "feature 1 is 1e+39, beyond float32"),
        (b"[1,-3.5e38]", "feature 2 is -3.5e+38, beyond float32"),
        (b"[1]", "expected 2 features, got 1"),
        (b"[1,2,3]", "expected 2 features, got 3"),
        (b"[]", "expected 2 features, got 0"),
        (b"[true,1]", "feature 1 is true, not a number"),
        (b"[1,null]", "feature 2 is null, not a number"),
        (b'["1",2]', "feature 1 is the text '1', not a number"),
        (b"[[1],2]", "feature 1 is a list, not a number"),
        (b"[{},2]", "feature 1 is an object, not a number"),
        (b"[[1,2]]", "expected 2 features, got 1"),
        (b"{}", "got an empty object"),
        (b'{"state":[1,2]}', "got an object with state"),
        (b'{"features":[1,2],"instances":[[1,2]]}', "got an object with features, instances"),
        (b'{"features":5}', "expected a list of 2 numbers, got a number"),
        (b'{"instances":[[1,2],[3,4]]}', "expected one row in"),
        (b'{"instances":7}', "expected one row in"),
        (b"5", "expected a list of 2 numbers, got a number"),
        (b'"text"', "got the text 'text'"),
        (b"null", "got null"),
        (b"", "the line is blank"),
        (b"   ", "the line is blank"),
        (b'["\xff",1]', "not JSON"),
        (b"\x00", "not JSON"),
    ],
)
def test_a_bad_line_has_a_fault_and_its_neighbours_are_read(line: bytes, says: str) -> None:
    before, found, after = read(b"[1,2]\n" + line + b"\n[3,4]\n")
    assert (before, after) == ([1, 2], [3, 4])
    assert isinstance(found, str)
    assert says in found
    assert len(found) < 200


def test_a_line_of_a_megabyte_is_one_fault_in_few_words() -> None:
    for line in (b"[" + b"1," * 350_000 + b"1]", b'"' + b"x" * 1_000_000 + b'"', b"x" * 1_000_000, b"[" * 1_000_000):
        before, found, after = read(b"[1,2]\n" + line + b"\n[3,4]")
        assert (before, after) == ([1, 2], [3, 4])
        assert isinstance(found, str)
        assert len(found) < 200


def test_B146_no_body_has_no_record_and_an_empty_line_is_a_record_with_a_fault() -> None:
    assert read(b"") == read(b"\xef\xbb\xbf") == []
    assert read(b"\n") == ["the line is blank"]
    assert read(b"[1,2]\n\n") == [[1, 2], "the line is blank"]
    assert read(b"\n\n", CSV) == ["the line is blank", "the line is blank"]


@pytest.mark.parametrize(
    "body",
    [
        b"[1\n2]\n[3,4],[5,6]\n",
        b"[1,2],[3,4]\n\n",
        b"1,2]\n[[3,4]",
        b"[1,2]\n[3,[4]\n[]]",
        b"]\n[",
        b"[1,2],\n[3,4]",
        b"[[1,2]\n[3,4]]",
    ],
)
def test_lines_that_are_json_only_together_are_faults(body: bytes) -> None:
    for line, found in zip(body.split(b"\n"), read(body), strict=False):
        try:
            alone = json.loads(line)
        except ValueError:
            assert isinstance(found, str), line
        else:
            assert found == alone or isinstance(found, str)


NUMBERS = st.floats(-1e30, 1e30).map(repr) | st.integers(-10, 10).map(str)
ROWS = st.lists(NUMBERS, min_size=2, max_size=2).map(lambda row: f"[{','.join(row)}]".encode())
NOISE = st.sampled_from(
    [b"[", b"]", b",", b"[1,2]", b" ", b'"', b"true", b"{}", b"1", b"[1", b"2]", b"],[", b"null", b"\r"]
)
LINE = ROWS | st.lists(NOISE, max_size=4).map(b"".join)


@given(st.lists(LINE, min_size=1, max_size=6))
@example([b"[\r", b""])
def test_any_body_gives_for_each_line_what_the_line_alone_gives(lines: list[bytes]) -> None:
    together = read(b"\n".join([*lines, b""]))
    assert together == [read(line + b"\n")[0] for line in lines]


@given(st.lists(st.text("0123456789.,-+e \"'x", max_size=8), min_size=1, max_size=6))
def test_any_csv_body_gives_for_each_line_what_the_line_alone_gives(lines: list[str]) -> None:
    encoded = [line.encode() for line in lines]
    assert read(b"\n".join([*encoded, b""]), CSV) == [read(line + b"\n", CSV)[0] for line in encoded]


def test_large_bodies_are_read_in_blocks_without_losing_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "BLOCK_BYTES", 50)
    lines = [f"[{number},{-number}]" for number in range(100)]
    lines[37] = "[1]"
    body = "\n".join(lines).encode()
    assert len(list(read_lines(body, LINES, 2))) > 10
    found = read(body)
    assert found[37] == "expected 2 features, got 1"
    assert found[:37] + found[38:] == [[n, -n] for n in range(100) if n != 37]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"1,2", [1, 2]),
        (b" 1 , 2 ", [1, 2]),
        (b'"1","2"', [1, 2]),
        (b".5,+3.", [0.5, 3]),
        (b"1E2,-0", [100, 0]),
        (b"nan,1", "feature 1 is the text 'nan', not a number"),
        (b"1,inf", "feature 2 is the text 'inf', not a number"),
        (b"1_0,1", "feature 1 is the text '1_0', not a number"),
        (b"true,1", "feature 1 is the text 'true', not a number"),
        (b",1", "feature 1 is the text '', not a number"),
        (b"1,2,3", "expected 2 features, got 3"),
        (b'"1,2', "not CSV"),
        (b"\xff,1", "not UTF-8"),
        (b"1e39,1", "beyond float32"),
        (b"1e999,1", "beyond float32"),
        (b"x,y", "feature 1 is the text 'x', not a number"),
        ("\u0661,1".encode(), "not a number"),
        (b"[1,2]", "not a number"),
    ],
)
def test_lines_of_csv_are_states_or_faults(line: bytes, expected: list[float] | str) -> None:
    before, found, after = read(b"1,2\n" + line + b"\r\n3,4\n", CSV)
    assert (before, after) == ([1, 2], [3, 4])
    if isinstance(expected, str):
        assert isinstance(found, str)
        assert expected in found
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"instances":[[1,2],[3,4]]}', [[1, 2], [3, 4]]),
        (b"[[1,2],[3,4]]", [[1, 2], [3, 4]]),
        (b"[1,2]", [[1, 2]]),
        (b"[]", []),
        (b'{"instances":[]}', []),
        (b"[[1,2],[3]]", [[1, 2], "expected 2 features, got 1"]),
        (b"[[1,2],[true,4]]", [[1, 2], "feature 1 is true, not a number"]),
        (b"[[1,2],5]", [[1, 2], "expected a list of 2 numbers, got a number"]),
        (b'{"instances":[["1",2]]}', ["feature 1 is the text '1', not a number"]),
        (b'{"instances":[[1,null]]}', ["feature 2 is null, not a number"]),
        (b'{"instances":[[1,[2]]]}', ["feature 2 is a list, not a number"]),
        (b'{"instances":[[1,2],[1e39,2]]}', [[1, 2], "feature 1 is 1e+39, beyond float32 (at most 3.4e+38)"]),
    ],
)
def test_a_json_document_is_rows(body: bytes, expected: list[list[float] | str]) -> None:
    found = read_document(body, 2)
    rows: list[list[float] | str] = [found.faults.get(at, row) for at, row in enumerate(found.states.tolist())]
    assert rows == expected


@pytest.mark.parametrize("body", [b"", b"{}", b'{"rows":[]}', b'{"instances":5}', b"5", b"null", b"[1,2]\n[3,4]"])
def test_B168_a_body_that_is_no_such_document_is_refused_in_words(body: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        read_document(body, 2)
    assert "JSON" in str(refused.value) or "instances" in str(refused.value)


def test_states_are_the_float32_that_is_nearest_to_the_text() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    body = b"".join(json.dumps(row).encode() + b"\n" for row in rows.tolist())
    (block,) = read_lines(body, LINES, 2)
    np.testing.assert_array_equal(block.states, rows)


def named(body: bytes, columns: tuple[str, ...] = ("age", "visits")) -> list[list[float] | str]:
    """Each record as its features or its fault, of a policy whose columns have names."""
    found: list[list[float] | str] = []
    for block in read_lines(body, LINES, len(columns), columns):
        found += [block.faults.get(position, row) for position, row in enumerate(block.states.tolist())]
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"age":1,"visits":2}', [1, 2]),
        (b' {"visits": 2.5, "age": -1e3}\r', [-1000, 2.5]),
        (b'{"age":1,"visits":2,"plan":"gold","more":{"x":[1]}}', [1, 2]),
        (b'{"features":[5,6],"age":1,"visits":2}', [5, 6]),
        (b'{"instances":[[5,6]],"age":1}', [5, 6]),
        (b"[1,2]", [1, 2]),
        (b'{"age":1}', '\'visits\' is missing; expected {"age": 1.5, "visits": 1.5}'),
        (b'{"age":null,"visits":2}', "'age' is null, not a number"),
        (b'{"age":1,"visits":"2"}', "'visits' is the text '2', not a number"),
        (b'{"age":1,"visits":true}', "'visits' is true, not a number"),
        (b'{"age":[1],"visits":2}', "'age' is a list, not a number"),
        (b'{"age":1e39,"visits":2}', "feature 1 is 1e+39, beyond float32"),
        (b'{"Age":1,"Visits":2}', 'an object with "age", "visits", "features" or "instances", got an object with Age'),
        (b"{}", "got an empty object"),
        (b'{"age":1,"visits":2}}', "not JSON"),
        (b'{"age":1},{"visits":2}', "not JSON"),
    ],
)
def test_objects_that_name_the_columns_are_states(line: bytes, expected: list[float] | str) -> None:
    for one, other in ((b"[7,8]", b'{"age":9,"visits":0}'), (b'{"age":7,"visits":8}', b'{"visits":0,"age":9}')):
        before, found, after = named(one + b"\n" + line + b"\n" + other + b"\n")
        assert (before, after) == ([7, 8], [9, 0])
        if isinstance(expected, str):
            assert isinstance(found, str) and expected in found
        else:
            assert found == expected
    if isinstance(expected, list):
        document = read_document(b'{"instances":[[7,8],%b]}' % line, 2, ("age", "visits"))
        assert document.states.tolist() == [[7, 8], expected] and not document.faults


OBJECTS = st.sampled_from(
    [b'{"age":1,"visits":2}', b'{"visits":3,"age":4,"x":"{"}', b'{"age":1}', b'{"age":null,"visits":2}', b'{"age":1e39,'
     b'"visits":0}', b'{"features":[1,2],"age":3,"visits":4}', b'{"age":1', b'"visits":2}', b'{"x":{}}']
)  # fmt: skip


@given(st.lists(OBJECTS | LINE, min_size=1, max_size=6))
def test_any_body_of_objects_gives_for_each_line_what_the_line_alone_gives(lines: list[bytes]) -> None:
    together = named(b"\n".join([*lines, b""]))
    assert together == [named(line + b"\n")[0] for line in lines]


def test_a_policy_of_one_column_takes_objects_too() -> None:
    assert named(b'{"age":1}\n{"age":2.5}\n{"x":2}\n', ("age",))[:2] == [[1], [2.5]]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"age":1,"visits":2}', [[1, 2]]),
        (b'{"features":[1,2]}', [[1, 2]]),
        (b'[{"age":1,"visits":2},{"visits":4,"age":3}]', [[1, 2], [3, 4]]),
        (b'{"instances":[{"age":1,"visits":2},[3,4],{"features":[5,6]}]}', [[1, 2], [3, 4], [5, 6]]),
        (b'{"instances":[{"age":1,"visits":2},{"age":3}]}', [[1, 2], "'visits' is missing"]),
    ],
)
def test_a_document_of_objects_is_rows(body: bytes, expected: list[list[float] | str]) -> None:
    found = read_document(body, 2, ("age", "visits"))
    assert len(found) == len(expected)
    for at, (row, wanted) in enumerate(zip(found.states.tolist(), expected, strict=True)):
        if isinstance(wanted, str):
            assert wanted in found.faults[at]
        else:
            assert row == wanted and at not in found.faults


def test_a_document_that_names_no_column_is_refused_with_an_example() -> None:
    with pytest.raises(Unreadable, match=r'objects, as \{"age": 1.5, "visits": 1.5\}'):
        read_document(b'{"plan":"gold"}', 2, ("age", "visits"))
