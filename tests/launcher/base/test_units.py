"""Means as people read them."""

from __future__ import annotations

import pytest

from launcher.base.units import with_error


@pytest.mark.parametrize(
    ("mean", "error", "shown"),
    [
        (21.648, 0.4998, "21.65 +- 0.50 (s.e.)"),
        (200.0, 0.0, "200.00 +- 0.00 (s.e.)"),
        (0.0042, 0.0003, "0.00420 +- 0.00030 (s.e.)"),
        (21.648, None, "21.65"),
    ],
)
def test_a_mean_is_shown_in_digits_that_say_something(mean: float, error: float | None, shown: str) -> None:
    assert with_error(mean, error) == shown
