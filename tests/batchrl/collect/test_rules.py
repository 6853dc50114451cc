"""Tables of rules: which states a condition holds in, and that the first rule decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from batchrl.collect.actions import ActingOn
from batchrl.collect.rules import RulesPolicy

ACTING_ON = ActingOn(3, ("age", "visits"), action_names=("mail", "coupon", "none"))


def policy(tmp_path: Path, text: str) -> RulesPolicy:
    path = tmp_path / "rules.csv"
    path.write_text(text)
    return RulesPolicy.read(path, ACTING_ON)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("<2", [True, True, False, False]),
        ("<=2", [True, True, True, False]),
        (">2", [False, False, False, True]),
        (">= 2", [False, False, True, True]),
        ("2", [False, False, True, False]),
        ("=2", [False, False, True, False]),
        ("1..3", [False, True, True, False]),
        ("-1..0.5", [True, False, False, False]),
        ("", [True, True, True, True]),
    ],
)
def test_conditions(tmp_path: Path, condition: str, holds: list[bool]) -> None:
    states = np.array([[0, 9], [1, 9], [2, 9], [3, 9]], dtype=np.float32)
    found = policy(tmp_path, f"age,action\n{condition},1\n,0\n").action_probabilities(states)
    assert (found[:, 1] == 1).tolist() == holds
    np.testing.assert_array_equal(found.sum(axis=1), 1)


def test_the_first_rule_decides_all_of_its_conditions_must_hold_and_actions_have_names(tmp_path: Path) -> None:
    text = "# what marketing does\nvisits,age,action\n>=3,<30,coupon\n>=3,,1\n# the rest\n,,mail\n"
    found = policy(tmp_path, text.replace(">=3,,1", ">=3,,none"))
    states = np.array([[20, 5], [40, 5], [20, 1]], dtype=np.float32)  # age, visits
    assert found.action_probabilities(states).argmax(axis=1).tolist() == [1, 2, 0]


def test_a_rule_may_act_by_chance(tmp_path: Path) -> None:
    found = policy(tmp_path, 'age,all_action_probabilities\n<1,"[0.2, 0.3, 0.5]"\n,"[1, 1, 2]"\n')
    states = np.array([[0, 0], [1, 0]], dtype=np.float32)
    np.testing.assert_allclose(found.action_probabilities(states), [[0.2, 0.3, 0.5], [0.25, 0.25, 0.5]])


def test_as_a_spreadsheet_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "rules.csv"
    path.write_bytes("\ufeffage,action\r\n>1,2\r\n,0\r\n".encode())
    found = RulesPolicy.read(path, ACTING_ON).action_probabilities(np.array([[0, 0], [2, 0]], dtype=np.float32))
    assert found.argmax(axis=1).tolist() == [0, 2]
