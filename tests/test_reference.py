"""``docs/reference.md`` is what the options say about themselves."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import reference


def test_the_page_is_up_to_date() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run: python docs/reference.py"


@pytest.mark.parametrize("section", reference.SECTIONS, ids=lambda section: section.title)
def test_every_option_is_on_the_page(section: reference.Section) -> None:
    text = reference.page().partition(f"\n## {section.title}\n")[2].partition("\n## ")[0]
    rows = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert [name for name in rows if name != "*"] == [each.name for each in fields(section.kind)]
