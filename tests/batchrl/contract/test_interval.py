"""Intervals, and figures with them."""

from __future__ import annotations

import math

import pytest

from batchrl.contract.interval import Interval, in_digits, with_interval


@pytest.mark.parametrize(
    ("value", "interval", "shown"),
    [
        (19.26, Interval(17.2, 21.54), "19.3 [17.2, 21.5]"),
        (19.26, Interval(), "19.3"),
        (19.26, Interval(17.2, None), "19.3"),
        (19.26, Interval(17.2, math.nan), "19.3"),
        (19.26, Interval(17.2, math.inf), "19.3 [17.2, inf]"),
        (19.26, Interval(-math.inf, math.inf), "19.3"),
        (None, Interval(17.2, 21.5), "-"),
        (math.nan, Interval(17.2, 21.5), "-"),
    ],
)
def test_a_figure_is_written_with_what_is_known_of_it(value: float | None, interval: Interval, shown: str) -> None:
    assert with_interval(value, interval, ".1f") == shown


def test_ends_may_have_a_format_of_their_own() -> None:
    assert with_interval(2.0, Interval(1.0, 3.0), "+.3g", ".2f") == "+2 [1.00, 3.00]"
    assert (f"{Interval(1.0, 3.0):.3g}", f"{Interval():.3g}") == ("[1, 3]", "-")


def test_an_end_that_is_null_is_none_or_no_bound() -> None:
    figure = {"value": 1.0, "lower": 0.5, "upper": None}
    assert Interval.of(figure) == Interval(0.5, None) and Interval.of(figure).bounds == [0.5]
    assert Interval.one_sided(figure) == Interval(0.5, math.inf) and Interval.one_sided(figure).bounds == [0.5]


def test_what_is_undefined_contains_nothing_and_overlaps_nothing() -> None:
    assert Interval(0.0, 2.0).contains(1) and Interval(-math.inf, math.inf).contains(1)
    assert not any(one.contains(1) for one in (Interval(), Interval(0.0), Interval(math.nan, 2.0), Interval(2.0, 3.0)))
    assert Interval(0.0, 2.0).overlaps(Interval(2.0, 3.0))
    assert not any(Interval(0.0, 2.0).overlaps(other) for other in (Interval(), Interval(1.0), Interval(2.5, 3.0)))


@pytest.mark.parametrize(
    ("value", "interval", "least", "shown"),
    [
        (0.00421, Interval(0.0030123, 0.0055), 1, "0.0042 [0.0030, 0.0055]"),
        (0.0042, Interval(0.0041, 0.0043), 0, "0.00420 [0.00410, 0.00430]"),
        (19.26, Interval(17.2, 21.54), 1, "19.3 [17.2, 21.5]"),
        (19.26, Interval(17.2, 21.54), 3, "19.260 [17.200, 21.540]"),
        (1234.5, Interval(1100, 1400), 0, "1234 [1100, 1400]"),
        (0.0042, Interval(), 1, "0.0042"),
        (2.5, Interval(2.5, 2.5), 2, "2.50 [2.50, 2.50]"),
        (-0.001, Interval(-0.004, 0.4), 0, "0.00 [0.00, 0.40]"),
        (2.5, Interval(-math.inf, 3.0), 2, "2.50 [-inf, 3.00]"),
        (None, Interval(1, 2), 2, "-"),
    ],
)
def test_digits_are_those_that_the_interval_leaves(
    value: float | None, interval: Interval, least: int, shown: str
) -> None:
    assert in_digits(value, interval, least) == shown


def test_a_width_that_is_arithmetic_alone_asks_for_no_digits() -> None:
    """Every episode returned -45.284335760924..., summed in another order."""
    found = Interval(-45.284335760924001, -45.284335760923987)
    assert found.decimals(3) == 3
    assert Interval(0.0, 0.0).decimals(2) == 2
    assert Interval(1e6, 1e6 + 1).decimals() == 1
