"""Examples with data from elsewhere: the commands of their pages run, and say what the pages show."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from pages import quoted, ran, script
from services import wheels_folder

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
pytestmark = pytest.mark.wheels


def told(name: str, folder: Path, smaller: Mapping[str, str] | None = None) -> tuple[str, str]:
    """The page of an example, and what its commands say; the wheels come from the tests' folder, not from an index.

    Args:
        name: of the example.
        folder: where it runs.
        smaller: what takes the place of what in the commands, so that they end sooner; each has to be there.
    """
    shutil.copytree(EXAMPLES, folder / "examples", ignore=shutil.ignore_patterns("obd", "tables", "__pycache__"))
    place = folder / "examples" / name
    page = (place / "README.md").read_text()
    commands = script(page)
    for words, others in (smaller or {}).items():
        assert words in commands
        commands = commands.replace(words, others)
    environ = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels_folder())}
    return page, ran(commands, place, folder / "home", environ)


def test_open_bandit_is_told_as_it_is(tmp_path: Path) -> None:
    page, said = told("open-bandit", tmp_path)
    lines = {line.strip() for line in said.splitlines()}
    assert [line for line in quoted(page) if line not in lines] == []
    assert "effective 655.7 of 10000 decisions, largest weight 0.0189, mean weight 0.9433" in quoted(page)
    assert "no evidence of improvement over the logging policy" in " ".join(said.split())
    # One verdict for each of the four questions.
    assert said.count("The log cannot tell") == 4


def test_icu_sepsis_is_told_as_it_is(tmp_path: Path) -> None:
    smaller = {
        "--episodes 50": "--episodes 10",
        "--episodes 20": "--episodes 4",
        "--preset sepsis.yaml": "--preset sepsis.yaml --set epochs=1 --set agent.updates_per_epoch=300",
        "--preset sepsis-env.yaml": "--preset sepsis-env.yaml --set min_episodes=100",
        "truth.py double-dqn one-step": "truth.py double-dqn one-step --episodes 4",
    }
    page, said = told("icu-sepsis", tmp_path, smaller)
    exact = {
        name: float(value) for name, value in re.findall(r"^(\S.*?) {2,}(\d\.\d+)  \d\.\d+ \+-", said, re.MULTILINE)
    }
    shown = dict(re.findall(r"^(\S.*?) {2,}(\d\.\d+)  \d\.\d+ \+-", page, re.MULTILINE))
    assert list(exact) == list(shown) == ["optimum", "uniform", "clinicians of the log", "double-dqn", "one-step"]
    # What needs no training is what the page shows; what was trained, on less, earns no more than the best.
    assert all(exact[name] == float(shown[name]) for name in ("optimum", "uniform", "clinicians of the log"))
    assert all(0.7 < exact[name] < exact["optimum"] for name in ("double-dqn", "one-step"))
    assert re.search(r"^evaluation episodes=\d+00 ", said, re.MULTILINE)
    # Only eligible actions count, in training and in estimates.
    assert "no evidence of improvement over the logging policy" in " ".join(said.split())
    assert "where it is not eligible, any that is" in " ".join(said.split())
