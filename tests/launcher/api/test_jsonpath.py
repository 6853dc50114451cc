"""The JSONPath of DataProcessing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrl.contract.errors import InputError
from launcher.api.jsonpath import MAX_LENGTH, JsonPath, PathNotFound

RECORD = {
    "id": 7,
    "SageMakerOutput": {"predictions": [[0.25, 0.75]], "action": 1},
    "list": [10, 20, 30, 40],
    "a-b": "x",
}
ROW = [10, 20, 30, 40]


def select(path, value):
    return JsonPath.parse(path).select(value)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("$", RECORD, RECORD),
        ("$.id", RECORD, 7),
        ("$['id']", RECORD, 7),
        ('$["id"]', RECORD, 7),
        ("$.a-b", RECORD, "x"),
        ("$.SageMakerOutput.predictions[0]", RECORD, [0.25, 0.75]),
        ("$.SageMakerOutput.predictions[0][-1]", RECORD, 0.75),
        ("$[0]", ROW, 10),
        ("$[-1]", ROW, 40),
        ("$[0,2]", ROW, [10, 30]),
        ("$[-1,0]", ROW, [40, 10]),
        ("$[ 0 , 2: ]", ROW, [10, 30, 40]),
        ("$[0,2:]", ROW, [10, 30, 40]),
        ("$[2:]", ROW, [30, 40]),
        ("$[-2:]", ROW, [30, 40]),
        ("$[:]", ROW, ROW),
        ("$[3:2]", ROW, []),
        ("$[*]", ROW, ROW),
        ("$.*", {"a": 1, "b": 2}, [1, 2]),
        ("$[*].a", [{"a": 1}, {"a": 2}], [1, 2]),
        ("$[1:][0]", [[1], [2], [3]], [2, 3]),
        ("$.list[1]", RECORD, 20),
    ],
)
def test_B162_what_paths_select(path, value, expected):
    assert select(path, value) == expected


def test_B162_members_of_a_field_with_and_without_a_dot_before_the_bracket():
    value = {"field": {"a": 1, "b": 2, "c": 3}}
    assert select("$.field['a','b']", value) == select("$.field.['a', 'b']", value) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("path", "where", "what"),
    [
        ("id", 1, "begins with $"),
        ("$..id", 3, "'..' is not supported"),
        ("$[?(@.a > 1)]", 3, "filters and expressions"),
        ("$[(@.length-1)]", 3, "filters and expressions"),
        ("$['a.b']", 3, "holds no dot"),
        ("$['a'", 6, "expected ',' or ']'"),
        ("$[1:2:3]", 6, "expected ',' or ']'"),
        ("$[]", 3, "expected an index"),
        ("$[a]", 3, "expected an index"),
        ("$['a',1]", 7, "expected a name in quotes"),
        ("$.", 3, "expected a name"),
        ("$x", 2, "expected '.' or '['"),
        ("$.a b", 4, "expected '.' or '['"),
        ("", 1, "begins with $"),
    ],
)
def test_B162_what_is_not_supported_is_said_with_its_place(path, where, what):
    with pytest.raises(InputError) as caught:
        JsonPath.parse(path)
    assert what in caught.value.message
    assert f"(character {where})" in caught.value.message
    assert "A path is made of" in str(caught.value)


def test_B156_a_path_has_63_characters_at_most():
    JsonPath.parse("$." + "a" * (MAX_LENGTH - 2))
    with pytest.raises(InputError, match="64 characters"):
        JsonPath.parse("$." + "a" * (MAX_LENGTH - 1))


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        ("$[4]", ROW, "index 4 is out of range: the array has 4 elements"),
        ("$[-5]", ROW, "index -5 is out of range"),
        ("$[0,9]", ROW, "index 9"),
        ("$.name", RECORD, "no member 'name'"),
        ("$['id','name']", RECORD, "no member 'name'"),
        ("$.id.x", RECORD, "a number, which has no members"),
        ("$[0]", RECORD, "an object, which has no elements"),
        ("$.id[0]", RECORD, "a number, which has no elements"),
        ("$[*].a", [{"a": 1}, {"b": 2}], "no member 'a'"),
        ("$.*", "text", "a text, which has no parts"),
    ],
)
def test_B163_what_is_not_there_is_an_error(path, value, what):
    with pytest.raises(PathNotFound, match=what):
        select(path, value)


def test_B164_the_end_of_a_slice_is_not_in_it():
    assert select("$[1:3]", ROW) == [20, 30]
    assert select("$[0:99]", ROW) == ROW


def test_B165_several_names_are_an_object():
    assert select("$['id','list']", RECORD) == {"id": 7, "list": ROW}
    assert select("$.SageMakerOutput", RECORD) == RECORD["SageMakerOutput"]


def test_B161_rows_of_csv_have_columns_only():
    assert [JsonPath.parse(path).picks_columns for path in ("$", "$[0]", "$[0,2:]", "$[*]")] == [True] * 4
    assert [JsonPath.parse(path).picks_columns for path in ("$.a", "$['a']", "$[0][1]")] == [False] * 3


NAMES = st.text("abcXYZ_019é", min_size=1, max_size=6)
LEAVES = st.one_of(st.integers(), st.booleans(), st.none(), st.text(max_size=3))
VALUES = st.recursive(
    LEAVES, lambda one: st.lists(one, max_size=4) | st.dictionaries(NAMES, one, max_size=4), max_leaves=12
)


def parts(value, path="$"):
    """Every part of a value, with the path that names it."""
    yield path, value
    if isinstance(value, dict):
        for name, part in value.items():
            yield from parts(part, f"{path}.{name}")
            yield from parts(part, f"{path}['{name}']")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from parts(part, f"{path}[{index}]")
            yield from parts(part, f"{path}[{index - len(value)}]")


@given(VALUES)
def test_B162_every_part_of_any_value_is_found_by_its_path(value):
    for path, part in parts(value):
        if len(path) <= MAX_LENGTH:
            assert select(path, value) == part


@given(st.lists(st.integers(), max_size=8), st.integers(-10, 10) | st.none(), st.integers(-10, 10) | st.none())
def test_B162_B164_slices_are_pythons(values, start, end):
    text = f"$[{'' if start is None else start}:{'' if end is None else end}]"
    assert select(text, values) == values[start:end]


@given(st.text("$.[]*'\",:-0129ab ?()", max_size=12))
def test_B162_any_text_is_a_path_or_is_refused_in_a_sentence(text):
    try:
        path = JsonPath.parse(text)
    except InputError as error:
        assert error.message.startswith(f"'{text}'")
    else:
        assert path.text.startswith("$")
