"""``batchrl presets``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from command_line import Run

PRESET = "cartpole-ddqn-bcq"


def test_the_presets_are_listed_with_the_names_that_users_of_the_seed_know(run: Run) -> None:
    rows = {row["name"]: row for row in run("presets", "list", "--json").json()}

    summary = "Double DQN with action drop: the article's, default."
    assert rows[PRESET] == {
        "name": PRESET,
        "kind": "train",
        "aliases": ["preset-cartpole-ddqnbcq"],
        "summary": summary,
    }
    assert rows[f"{PRESET}-env"]["kind"] == "evaluate"
    assert run("presets", "list", "-q").out.splitlines() == list(rows)
    listed = run("presets", "list").out
    assert "preset-cartpole-ddqnbcq" in listed and re.search(rf"^{PRESET} +{summary}$", listed, re.MULTILINE)
    assert max(map(len, listed.splitlines())) <= 80


def test_what_show_prints_is_a_preset_file_that_means_the_same(run: Run, tmp_path: Path) -> None:
    shown = run("presets", "show", PRESET, "--set", "agent.discount=0.5")
    path = tmp_path / "mine.yaml"
    path.write_text(shown.out)

    again = run("presets", "show", str(path), "--json")

    assert again.code == 0
    assert again.json() == yaml.safe_load(shown.out)
    assert again.json()["agent"]["discount"] == 0.5


def test_every_key_is_described(run: Run) -> None:
    settings = run("presets", "show", PRESET, "--describe", "--json").json()

    assert {"key", "value", "type", "description"} <= set(settings[0])
    assert "agent.discount = 0.99" in run("presets", "show", PRESET, "--describe").out


def test_check_says_that_a_right_preset_is_one(run: Run) -> None:
    assert run("presets", "check", "preset-cartpole-ddqnbcq").out.startswith("ok: ")
    assert run("presets", "check", PRESET, "--json").json() == {"name": PRESET, "kind": "train", "valid": True}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((PRESET, "--set", "agent.dicount=0.9"), "agent.discount"),
        ((PRESET, "--set", "agent.discount=much"), "agent.discount"),
        ((PRESET, "--set", "agent.discount"), "--set agent.discount=0.98"),
        ((PRESET, "--set", "epochs=1", "--set", "epochs=2"), "given twice"),
        (("cartpole-ddqn-bqc",), PRESET),
        (("no/such/file.yaml",), "no/such/file.yaml"),
        (("/",), "/"),
        (("",), "preset"),
        (("\udcff.yaml",), ".yaml"),
    ],
)
def test_a_wrong_preset_gets_exit_code_2_and_what_would_be_right(
    arguments: tuple[str, ...], said: str, run: Run
) -> None:
    ended = run("presets", "check", *arguments)

    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not ended.out


@pytest.mark.parametrize(
    "text", ["kind: train\nepochs: 1\nepoch: 2\n", "- 1\n", "kind: [", "\x00", "kind: train\nagent: 3\n"]
)
def test_a_damaged_file_gets_exit_code_2_and_is_named(text: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)

    ended = run("presets", "check", str(path))

    assert ended.code == 2
    assert "mine.yaml" in ended.err
