"""The example ICU-Sepsis: its simulator is the package's own, its values those of another computation."""

from __future__ import annotations

import importlib
import shutil
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scripts import script_module
from services import wheel_of

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
pytestmark = pytest.mark.wheels


@pytest.fixture(scope="module")
def wheel() -> Path:
    fetch = script_module("fetch", EXAMPLES)
    return wheel_of(fetch.WHEELS["icu-sepsis"].requirement)


@pytest.fixture(scope="module")
def truth(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """truth.py, and by its imports sepsis.py, beside tables that were fetched."""
    fetch = script_module("fetch", EXAMPLES)
    folder = tmp_path_factory.mktemp("example") / "icu-sepsis"
    shutil.copytree(EXAMPLES / "icu-sepsis", folder, ignore=shutil.ignore_patterns("tables", "__pycache__"))
    (folder / "tables").mkdir()
    for name, content in fetch.contents(fetch.WHEELS["icu-sepsis"], wheel).items():
        (folder / "tables" / name).write_bytes(content)
    sys.path.insert(0, str(folder))
    try:
        return script_module("truth", folder)
    finally:
        sys.path.remove(str(folder))


def survival(truth: ModuleType, policy: np.ndarray) -> float:
    """Share of patients who survive 500 steps, step by step from the first state."""
    known = truth.tables()
    among = np.einsum("sa,sat->st", policy, known.transitions)
    where, survived = known.start, 0.0
    for _ in range(500):
        where = where @ among
        survived += where[truth.SURVIVAL]
        where = np.where(np.arange(truth.STATES) < truth.FIRST_END, where, 0)
    return float(survived)


def test_values_are_those_of_patients_followed_step_by_step(truth: ModuleType) -> None:
    known = truth.tables()
    uniform = np.full((truth.STATES, truth.ACTIONS), 1 / truth.ACTIONS)
    eligible = known.eligible / known.eligible.sum(axis=1, keepdims=True)
    for policy in (uniform, eligible, truth.clinicians(), truth.optimum()):
        assert truth.value(policy) == pytest.approx(survival(truth, policy), abs=1e-9)
    # The package's own page: random 0.78, expert 0.78, optimal 0.88.
    published = known.clinicians.copy()
    published[truth.FIRST_END :] = eligible[truth.FIRST_END :]
    assert [round(truth.value(policy), 2) for policy in (uniform, published, truth.optimum())] == [0.78, 0.78, 0.88]


def test_no_eligible_action_of_any_state_does_better_than_the_optimum(truth: ModuleType) -> None:
    known, best = truth.tables(), truth.optimum()
    assert (best * known.eligible).sum(axis=1).min() == 1
    highest = truth.value(best)
    random = np.random.default_rng(0)
    for state in random.choice(truth.FIRST_END, 12, replace=False):
        for action in np.flatnonzero(known.eligible[state]):
            other = best.copy()
            other[state] = np.eye(truth.ACTIONS)[action]
            assert truth.value(other) <= highest + 1e-12


def test_clinicians_take_eligible_actions_alone_and_each_of_them(truth: ModuleType) -> None:
    assert ((truth.clinicians() > 0) == truth.tables().eligible).all()
    np.testing.assert_allclose(truth.clinicians().sum(axis=1), 1)


def test_the_simulator_is_the_packages_own(
    truth: ModuleType, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path)
    # The package itself wants gym beside gymnasium; its environment does not.
    package = ModuleType("icu_sepsis")
    package.__path__ = [str(tmp_path / "icu_sepsis")]
    monkeypatch.setitem(sys.modules, "icu_sepsis", package)
    theirs = importlib.import_module("icu_sepsis.envs.sepsis").ICUSepsisEnv()
    ours = sys.modules["sepsis"].ICUSepsis()
    random = np.random.default_rng(0)
    ends = 0
    for seed in range(30):
        (state, info), (other, their_info) = ours.reset(seed=seed), theirs.reset(seed=seed)
        assert state == other
        assert np.flatnonzero(info["action_mask"]).tolist() == their_info["admissible_actions"]
        done = False
        while not done:
            action = int(random.integers(truth.ACTIONS))
            found, expected = ours.step(action)[:4], theirs.step(np.array(divmod(action, 5)))[:4]
            assert found == expected
            done = found[2]
        ends += found[1] == 1
    assert 10 < ends < 30
