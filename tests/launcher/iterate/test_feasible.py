"""What a loop's settings alone rule out, and what it is said to be about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fake_loops import settings_of

from batchrl.contract.errors import InputError
from launcher.iterate.feasible import check_division, check_eligible, check_fits, check_names
from launcher.iterate.settings import LoopSettings
from launcher.iterate.work import linked


def settings(*pairs: str) -> LoopSettings:
    return settings_of(dict(pair.split("=") for pair in pairs))


@pytest.mark.parametrize("data", [None, "logged.csv"])
@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        (("collect.episodes=10", "gate.holdout=0.9"), "10 episodes, of which gate.holdout=0.9 leaves 1"),
        (("collect.episodes=12", "collect.num_envs=8", "gate.holdout=0.9"), "16 episodes, of which .* leaves 2"),
        (("train.data.max_transitions=2",), "max_transitions is 2: the training divides its episodes into 3 parts"),
    ],
)
def test_episodes_too_few_for_the_parts_of_a_round_are_refused(
    data: str | None, pairs: tuple[str, ...], says: str
) -> None:
    overrides = dict(pair.split("=") for pair in pairs) | {"train.data.test_ratio": "0.1"}
    with pytest.raises(InputError, match=says):
        check_division(replace(settings_of(overrides), data=data))


def test_episodes_that_just_suffice_are_not() -> None:
    check_division(settings("collect.episodes=10", "gate.holdout=0.8", "train.data.test_ratio=0"))
    check_division(settings("train.data.max_transitions=2", "train.data.test_ratio=0"))
    check_division(settings())


@pytest.mark.parametrize("section", ["gate", "train.ope"])
def test_fits_too_short_for_the_longest_episodes_are_refused(section: str) -> None:
    asked = (f"{section}.q_function=fqe", "train.agent.discount=0.99")
    short = settings(*asked, f"{section}.fqe_updates=499")
    with pytest.raises(InputError, match=rf"{section}.fqe_updates is 499: .* at least 500 .* over 100 steps"):
        check_fits(short, longest=200)
    check_fits(settings(*asked, f"{section}.fqe_updates=500"), longest=200)
    check_fits(short, longest=99)
    check_fits(short, longest=None)
    check_fits(settings(f"{section}.fqe_updates=1"), longest=200)


def test_what_is_wrong_with_a_file_is_told_of_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "loop" / "round_01" / "episodes.parquet"
    path.parent.mkdir(parents=True)
    path.write_text("episodes")
    for whole, told in ((False, str(path)), (True, f"the episodes in {tmp_path / 'loop'}")):
        with pytest.raises(InputError) as caught, linked({"round_01-episodes.parquet": path}) as folder:
            assert (folder / "round_01-episodes.parquet").read_text() == "episodes"
            raise InputError(f"{folder if whole else folder / 'round_01-episodes.parquet'}: no.", "Do.")
        assert (caught.value.message, caught.value.hint) == (f"{told}: no.", "Do.")


def test_lists_of_what_can_be_taken_are_refused_before_anything_is_started() -> None:
    check_eligible(False, "CartPole-v0")
    with pytest.raises(InputError, match="Taxi-v4 lists the actions that can be taken; a loop asks"):
        check_eligible(True, "Taxi-v4")


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("train.data.columns.action=treatment", r"train\.data\.columns\.action: a loop's own episodes"),
        ('train.data.state_columns=["age"]', r"train\.data\.state_columns: a loop's own"),
    ],
)
def test_descriptions_of_logs_are_refused(pair: str, says: str) -> None:
    check_names(settings())
    with pytest.raises(InputError, match=says):
        check_names(settings(pair))
