"""docs/security.md: each test that it names exists, each row has one, and each attacker has rows."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = (ROOT / "docs" / "security.md").read_text()
STOPPED = DOCUMENT.partition("## What is not stopped")[0]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
ATTACKERS = (
    "Another user of this computer",
    "A script in a container",
    "A container on the same bridge",
    "A script that runs as a process",
    "A web page in the owner's browser",
    "Whoever writes to the bucket",
    "A model or a data set from a stranger",
    "Secrets that leave by themselves",
)
# Modules and functions that execute, or may execute, what they read.
EXECUTING = frozenset({"eval", "exec", "pickle.load", "pickle.loads", "dill.load", "joblib.load", "marshal.loads"}) | {
    *("pickle.Unpickler", "shelve.open", "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle"),
    *("pandas.read_pickle", "os.system"),
}


# yaml's own, and the one of presets/reading.py, which derives from it.
SAFE_LOADERS = ("yaml.SafeLoader", "_Loader")


@functools.cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def rows() -> list[str]:
    """The rows of its tables, without their heads."""
    lines = [line for line in STOPPED.splitlines() if line.startswith("|")]
    return [line for line in lines if not line.startswith("|---") and not line.endswith("| shown by |")]


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED.findall(DOCUMENT))))
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    assert (ROOT / path).exists(), f"{path} is not there"
    assert name in names_in(path), f"{path} has no {name}"


def test_every_row_names_a_test() -> None:
    assert len(rows()) > 20
    assert [row for row in rows() if not NAMED.search(row)] == []


def test_every_attacker_has_rows() -> None:
    sections = {part.splitlines()[0]: part for part in STOPPED.split("\n### ")[1:]}
    assert tuple(sections) == ATTACKERS
    assert all(NAMED.search(part) for part in sections.values())


def executing_calls(source: str) -> list[str]:
    """Calls in a source that may execute what they read."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        settings = {word.arg: ast.unparse(word.value) for word in node.keywords}
        unsafe_load = name in ("torch.load", "torch.jit.load") and settings.get("weights_only") != "True"
        unsafe_load |= name == "yaml.load" and settings.get("Loader") not in SAFE_LOADERS
        shell = name.startswith("subprocess.") and settings.get("shell", "False") != "False"
        if name in EXECUTING or unsafe_load or shell or settings.get("allow_pickle", "False") != "False":
            found.append(f"{node.lineno}: {name}")
    return found


def test_nothing_that_is_read_is_executed() -> None:
    bad = ("torch.load(f)", "np.load(f, allow_pickle=True)", "pickle.loads(b)", "subprocess.run(c, shell=True)")
    assert len(executing_calls("\n".join([*bad, "yaml.load(f)", "torch.load(f, weights_only=True)"]))) == 5
    found = {
        str(path.relative_to(ROOT)): calls
        for folder in ("launcher", "entrypoints", "presets")
        for path in (ROOT / folder).rglob("*.py")
        if (calls := executing_calls(path.read_text()))
    }
    assert found == {}
