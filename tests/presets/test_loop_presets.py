"""Presets of loops: sections that name another preset, and settings of that one."""

from __future__ import annotations

from pathlib import Path

import pytest

import presets

LOOP = "cartpole-iterate"
LOOPS = [name for name in presets.names() if name.endswith("-iterate")]


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", LOOPS)
def test_the_loops_of_the_product_name_presets_of_their_problem(name: str) -> None:
    loop = presets.resolve_iterate(name, {})
    problem = name.partition("-")[0]
    assert loop.train.preset.startswith((problem, "generic")) and presets.resolve_train(loop.train.preset, {})
    assert loop.evaluate.preset == presets.evaluation_of(name)
    evaluation = presets.resolve_evaluate(loop.evaluate.preset or "", {})
    assert evaluation.env.id == loop.env.id
    # Long episodes leave the log alone unable to decide.
    assert loop.gate.undecided == "canary"


def test_a_loop_keeps_the_policy_in_place_unless_it_says_otherwise(tmp_path: Path) -> None:
    loop = presets.resolve_iterate(write(tmp_path, "kind: iterate\ntrain: {preset: generic-discrete}\n"), {})
    assert (loop.gate.undecided, loop.gate.alpha, loop.collect.collector) == ("keep", 0.05, "policy")
    assert (loop.collect.target_policy, loop.collect.epsilon, loop.evaluate.preset) == ("epsilon_greedy", 0.1, None)


def test_further_keys_of_a_section_are_settings_of_the_preset_that_it_names(tmp_path: Path) -> None:
    text = "kind: iterate\ntrain:\n  preset: generic-discrete\n  epochs: 3\n  agent:\n    discount: 0.9\n"
    loop = presets.resolve_iterate(write(tmp_path, text), {"train.agent.l2": "0.5", "evaluate.preset": None})
    assert loop.train.overrides == {"epochs": 3, "agent.discount": 0.9, "agent.l2": "0.5"}
    train = presets.resolve_train(loop.train.preset, loop.train.overrides)
    assert (train.epochs, train.agent.discount, train.agent.l2) == (3, 0.9, 0.5)


def test_an_override_comes_after_the_file(tmp_path: Path) -> None:
    text = "kind: iterate\ntrain: {preset: generic-discrete, agent: {discount: 0.9}}\n"
    loop = presets.resolve_iterate(write(tmp_path, text), {"train.agent.discount": "0.8"})
    assert loop.train.overrides == {"agent.discount": "0.8"}


def test_a_resolved_loop_is_a_preset_file_again(tmp_path: Path) -> None:
    loop = presets.resolve_iterate(LOOP, {"train.agent.discount": 0.5, "evaluate.seed": 3, "gate.alpha": "0.01"})
    assert presets.load(write(tmp_path, loop.to_json())) == loop


def test_settings_of_the_other_preset_are_described_with_the_rest() -> None:
    loop = presets.resolve_iterate(LOOP, {"train.epochs": 3})
    settings = {setting.key: setting for setting in presets.describe(loop)}
    assert settings["train.epochs"].value == 3 and "train.preset" in settings["train.epochs"].description
    assert all(setting.description and setting.type for setting in settings.values())


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"train.agent.dicount": 1}, r"(?s)'train\.agent\.dicount': unknown key.*Did you mean 'agent\.discount'"),
        ({"train.agent.discount": 2}, r"'train\.agent\.discount': 'agent\.discount' got 2"),
        ({"train.preset": "generic-discret"}, r"(?s)'train\.preset': there is no preset.*generic-discrete"),
        ({"train.preset": "cartpole-ddqn-bcq-env"}, r"'train\.preset': .* not of kind 'train'"),
        ({"evaluate.preset": "generic-discrete"}, r"'evaluate\.preset': .* not of kind 'evaluate'"),
        ({"evaluate.preset": None, "evaluate.seed": 1}, r"'evaluate\.seed' is a setting of no preset"),
        ({"gate.undecided": "canery"}, r"'gate\.undecided' got 'canery', expected keep \| canary"),
        ({"gate.alpha": 0.6}, "expected number, above 0, below 0.5"),
        ({"gate.alhpa": 0.1}, r"(?s)unknown key 'gate\.alhpa'.*gate\.alpha"),
        ({"collect.epsilon": 0}, "above 0"),
        ({"train": "x"}, "'train' is a section"),
    ],
)
def test_a_wrong_setting_is_named(overrides: dict[str, object], says: str) -> None:
    with pytest.raises(presets.PresetError, match=says):
        presets.resolve_iterate(LOOP, overrides)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: iterate\n", "train: Field required"),
        ("kind: iterate\ntrain: {}\n", "train: Field required"),
        (
            "kind: iterate\ntrain:\n  preset: generic-discrete\n  agent:\n    dicount: 1\n",
            "line 5: 'train.agent.dicount'",
        ),
        ("kind: iterate\ntrain:\n  preset: generic-discrete\n  epochs: many\n", "line 4: 'train.epochs': 'epochs' got"),
        ("kind: iterate\ntrain: {preset: none.yaml}\n", "there is no preset file none.yaml"),
        (
            "kind: iterate\ntrain:\n  preset: generic-discrete\n  agent:\n    l2: 1\n    l2: 2\n",
            "line 6: 'train.agent.l2' is given twice",
        ),
    ],
)
def test_a_faulty_file_is_named_with_the_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(presets.PresetError, match=says):
        presets.load(write(tmp_path, text))


def test_a_loop_is_no_preset_of_a_job() -> None:
    with pytest.raises(presets.PresetError, match="not of kind 'train'"):
        presets.resolve_train(LOOP, {})
    with pytest.raises(presets.PresetError, match=f"(?s)not of kind 'iterate'.*{LOOP}"):
        presets.resolve_iterate("generic-discrete", {})
