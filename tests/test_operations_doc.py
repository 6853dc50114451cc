"""``docs/api-operations.md`` is what the code answers, and every operation that is answered has a test by a client."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import operations


def test_the_page_is_up_to_date() -> None:
    assert operations.PAGE.read_text() == operations.page(), "run: python docs/operations.py"


def test_every_operation_that_is_answered_is_tested_by_a_client() -> None:
    tested = operations.testers()
    names = [f"{service}:{name}" for service, found in operations.answered().items() for name in found]
    assert not [name for name in names if not tested[name]]
