from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrl.data.probabilities import UnreadableProbabilities, parse_probabilities


@pytest.mark.parametrize(
    "text",
    [
        "[0.25, 0.75]",
        "[0.25,0.75]",
        " [0.25, 0.75] ",
        "(0.25, 0.75)",
        "[np.float64(0.25), np.float64(0.75)]",
        "[numpy.float32(0.25), np.float32(0.75)]",
        "[float64(0.25), 7.5e-1]",
        "array([0.25, 0.75])",
        "np.array([0.25, 0.75], dtype=float32)",
        "[0.25 0.75]",
        "[0.25\n 0.75]",
        "[0.25, 0.75,]",
    ],
)
def test_every_spelling_seen_in_the_wild_is_read(text: str) -> None:
    expected = [[0.25, 0.75], [0.5, 0.5], [0.25, 0.75]]
    assert parse_probabilities([text, "[0.5, 0.5]", text]).tolist() == expected


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=30))
def test_the_repr_of_any_floats_is_read_back_exactly(vectors: list[list[float]]) -> None:
    assert parse_probabilities([str(vector) for vector in vectors]).tolist() == vectors
    scalars = [str([np.float64(value) for value in vector]) for vector in vectors]
    assert parse_probabilities(scalars).tolist() == vectors


@pytest.mark.parametrize(
    ("texts", "position", "reason"),
    [
        (["[0.5, 0.5]", "[0.5, x]"], 1, "'[0.5, x]' is not a list of numbers"),
        (["[0.5, 0.5]", "[0.5, 0.5]", "[1.0]"], 2, "1 numbers, but 2 in the first row"),
        (["0.5"], 0, "not a list of numbers"),
        (["[]"], 0, "not a list of numbers"),
        (["[0.5, 0.5], [0.5, 0.5]", "[0.5, 0.5]"], 0, "not a list of numbers"),
        (["[0.5", "0.5]"], 0, "not a list of numbers"),
        (["__import__('os').system('true')"], 0, "not a list of numbers"),
    ],
)
def test_the_first_unreadable_text_is_named(texts: list[str], position: int, reason: str) -> None:
    with pytest.raises(UnreadableProbabilities) as caught:
        parse_probabilities(texts)
    assert caught.value.position == position
    assert reason in caught.value.reason
