"""Examples with data from elsewhere: the commands of their pages run, and say what the pages show."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pages import quoted, ran, script
from services import wheels_folder

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
pytestmark = pytest.mark.wheels


def told(name: str, folder: Path) -> tuple[str, str]:
    """The page of an example, and what its commands say; the wheels come from the tests' folder, not from an index."""
    shutil.copytree(EXAMPLES, folder / "examples", ignore=shutil.ignore_patterns("obd", "tables", "__pycache__"))
    place = folder / "examples" / name
    page = (place / "README.md").read_text()
    environ = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels_folder())}
    return page, ran(script(page), place, folder / "home", environ)


def test_open_bandit_is_told_as_it_is(tmp_path: Path) -> None:
    page, said = told("open-bandit", tmp_path)
    lines = {line.strip() for line in said.splitlines()}
    assert [line for line in quoted(page) if line not in lines] == []
    assert "effective 655.7 of 10000 decisions, largest weight 0.0189, mean weight 0.9433" in quoted(page)
    assert "no evidence of improvement over the logging policy" in " ".join(said.split())
    # One verdict for each of the four questions.
    assert said.count("The log cannot tell") == 4
