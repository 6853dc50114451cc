"""JSON of others: one ValueError for whatever is wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrl.contract import jsontext

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(VALUES)
def test_what_json_writes_is_read_back(value: object) -> None:
    assert jsontext.parsed(json.dumps(value)) == value
    assert jsontext.parsed(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(("opening", "end"), [("[", "]"), ('{"a":', "}")])
def test_so_many_levels_are_read_and_no_more(opening: str, end: str) -> None:
    jsontext.parsed(opening * 99 + "[1]" + end * 99)
    with pytest.raises(jsontext.DeepJson, match="deeper than 100 levels"):
        jsontext.parsed(opening * 100 + "[1]" + end * 100)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"{",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 5000,
        '"\\ud800"',
        '{"\\udc00": 1}',
        '"\ud800"',
        "nul",
    ],
    ids=range(10),
)
def test_whatever_is_wrong_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        jsontext.parsed(text)


def test_a_pair_of_surrogates_is_one_character_and_a_mark_of_the_byte_order_none() -> None:
    assert jsontext.parsed(b'\xef\xbb\xbf"\\ud83d\\ude00"') == "\N{GRINNING FACE}"
