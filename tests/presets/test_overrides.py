"""Overrides of single settings: how they are typed, whose names they may use, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import presets
from presets.coach import COACH_KEYS
from presets.schema import LEGACY_VALUES

TRAIN = "cartpole-ddqn-bcq"
KEYS = [setting.key for setting in presets.describe(presets.load(TRAIN))]


def value(key: str, given_value: object, at: str | None = None) -> object:
    """What a setting is after one override."""
    preset = presets.resolve(TRAIN, {key: given_value})
    return next(setting.value for setting in presets.describe(preset) if setting.key == (at or key))


@pytest.mark.parametrize(
    ("key", "text", "read"),
    [
        ("agent.discount", "0.98", 0.98),
        ("agent.discount", "1", 1.0),
        ("agent.learning_rate", "1e-3", 1e-3),
        ("epochs", "20", 20),
        ("epochs", 20.0, 20),
        ("agent.embedder", "[64, 64]", [64, 64]),
        ("agent.embedder", [64], [64]),
        ("agent.middleware", "[]", []),
        ("bcq.mask_at_action_time", "False", False),
        ("bcq.mask_at_action_time", "0", False),
        ("bcq.mask_at_action_time", 1, True),
        ("data.max_transitions", "null", None),
        ("data.max_transitions", "500", 500),
        ("data.state_columns", '["x", "y"]', ["x", "y"]),
        ("data.state_columns", str(["x", "it's", "a\\b"]), ["x", "it's", "a\\b"]),  # as SageMaker's toolkit writes it
        ("data.state_columns", "[x, y z]", ["x", "y z"]),
        ("agent.loss", "huber", "huber"),
        ("name", 7, "7"),
    ],
)
def test_a_value_is_read_as_the_schema_types_it(key: str, text: object, read: object) -> None:
    assert value(key, text) == read


@pytest.mark.parametrize(
    ("key", "wrong", "expected"),
    [
        ("agent.discount", "high", "number, at least 0, at most 1"),
        ("agent.discount", 1.5, "number, at least 0, at most 1"),
        ("agent.discount", "nan", "number"),
        ("agent.discount", None, "number"),
        ("agent.discount", True, "number"),
        ("epochs", "1.5", "whole number, at least 1"),
        ("epochs", 0, "whole number, at least 1"),
        ("epochs", "True", "whole number"),
        ("agent.embedder", "[0]", "list of \\(whole number, at least 1"),
        ("agent.embedder", 64, "list of"),
        ("agent.embedder", "[1, ", "list of"),
        ("bcq.mask_at_action_time", "yes", "true | false"),
        ("bcq.mode", "knn", "coach_knn | coach_nn | discrete_bcq | none"),
        ("agent.learning_rate", 0, "above 0"),
        ("seed", -1, "at least 0"),
    ],
)
def test_a_wrong_value_is_answered_with_what_it_may_be(key: str, wrong: object, expected: str) -> None:
    with pytest.raises(presets.PresetError, match=expected.replace(" | ", " \\| ")) as caught:
        presets.resolve(TRAIN, {key: wrong})
    assert caught.value.key == key
    assert f"'{key}' got {wrong!r}" in str(caught.value) or key == "agent.embedder"


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(presets.PresetError, match=r"train_ratio 0.4 and test_ratio 0.7 must sum to less than 1"):
        presets.resolve(TRAIN, {"data.test_ratio": 0.7})


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("agent.discuont", "agent.discount"),
        ("discout", "agent.discount"),
        ("agent.discount.value", "agent.discount"),
        ("epoch", "epochs"),
        ("learning_rate", "agent.learning_rate"),
        ("bcq.knn_capacty", "bcq.knn_capacity"),
        ("rl.agent_params.algorithm.discont", "discount"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(key: str, nearest: str) -> None:
    with pytest.raises(presets.UnknownKeyError, match=f"(?s)unknown key '{key}'.*{nearest}"):
        presets.resolve(TRAIN, {key: 1})


def test_a_section_is_no_setting_but_may_be_given_as_a_mapping() -> None:
    with pytest.raises(presets.PresetError, match=r"'agent' is a section.* such as 'agent.algorithm'"):
        presets.resolve(TRAIN, {"agent": 1})
    assert value("agent", {"discount": 0.5}, at="agent.discount") == 0.5


def test_the_kind_cannot_be_overridden() -> None:
    with pytest.raises(presets.PresetError, match="choose another preset"):
        presets.resolve(TRAIN, {"kind": "evaluate"})


@pytest.mark.parametrize("name", [name for name, key in COACH_KEYS.items() if key in KEYS])
def test_coachs_names_change_our_settings(name: str) -> None:
    key = COACH_KEYS[name]
    sample = "True" if key in ("agent.loss", "bcq.embedding") else "1"
    expected = {"agent.loss": "huber", "bcq.embedding": "reward_model"}.get(key, 1)
    if key == "data.train_ratio":
        sample, expected = "0.25", 0.25
    elif key == "agent.adam_beta2":
        sample, expected = "0.5", 0.5
    assert value(name, sample, at=key) == expected


@pytest.mark.parametrize(
    "name",
    [
        "improve_steps:TrainingSteps",
        "rl.improve_steps:TrainingSteps",
        "rl.improve_steps.num_steps",
        "rl.agent_params.algorithm.num_steps_between_copying_online_weights_to_target:TrainingSteps",
    ],
)
def test_coachs_units_are_accepted_where_they_are_right(name: str) -> None:
    preset = presets.resolve_train(TRAIN, {name: "3"})
    assert 3 in (preset.epochs, preset.agent.target_update_every)


@pytest.mark.parametrize(
    "name", ["improve_steps:EnvironmentSteps", "discount:TrainingSteps", "rl.improve_steps:Fortnights"]
)
def test_a_unit_that_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(presets.PresetError, match="does not fit this setting"):
        presets.resolve(TRAIN, {name: 3})


def test_the_number_of_evaluation_steps_or_episodes_may_be_given_in_coachs_words() -> None:
    name = "cartpole-ddqn-bcq-env"
    assert presets.resolve_evaluate(name, {"evaluation_episodes": "7"}).min_episodes == 7
    assert presets.resolve_evaluate(name, {"rl.evaluation_steps:EnvironmentEpisodes": 7}).min_episodes == 7
    assert presets.resolve_evaluate(name, {"rl.evaluation_steps:EnvironmentSteps": 7}).evaluate_steps == 7
    with pytest.raises(presets.PresetError, match="unknown key 'evaluation_episodes'"):
        presets.resolve(TRAIN, {"evaluation_episodes": 7})


def test_two_names_of_one_setting_must_agree() -> None:
    with pytest.raises(presets.PresetError, match=r"'agent.discount' is overridden twice, with 0.9 and 0.8"):
        presets.resolve(TRAIN, {"discount": 0.9, "agent.discount": 0.8})


def test_legacy_brings_coachs_behaviour_unless_a_setting_says_otherwise(tmp_path) -> None:  # type: ignore[no-untyped-def]
    def settings(preset: presets.Preset) -> dict[str, object]:
        return {setting.key: setting.value for setting in presets.describe(preset) if setting.key in LEGACY_VALUES}

    assert settings(presets.resolve(TRAIN, {"legacy": "true"})) == LEGACY_VALUES
    assert settings(presets.resolve(TRAIN, {"legacy": "false"})) == settings(presets.load(TRAIN))
    mixed = settings(presets.resolve(TRAIN, {"legacy": True, "bcq.fallback": "most_likely"}))
    assert mixed == {**LEGACY_VALUES, "bcq.fallback": "most_likely"}
    own = tmp_path / "own.yaml"
    own.write_text("kind: train\nlegacy: true\nbcq: {knn_source: train}\n")
    assert settings(presets.load(own)) == {**LEGACY_VALUES, "bcq.knn_source": "train"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*KEYS, *COACH_KEYS, "agent"]) | st.text(max_size=20), json_values, max_size=3))
def test_whatever_is_given_ends_in_a_preset_or_a_preset_error(overrides: dict[str, object]) -> None:
    try:
        preset = presets.resolve(TRAIN, overrides)
    except presets.PresetError as error:
        assert str(error)
    else:
        assert preset.to_json()


@pytest.mark.parametrize(
    "given_value",
    ["[" * 2400, "9" * 5000, "[2024-02-31]", '[!!int ""]', "[!!bool x]", 16**6000, f"[{'9' * 5000}]", "1e999"],
    ids=range(8),
)
@pytest.mark.parametrize("key", ["agent.embedder", "agent.discount", "epochs", "legacy", "agent.l2"])
def test_a_value_beyond_all_reason_is_refused_with_its_key(key: str, given_value: object) -> None:
    with pytest.raises(presets.PresetError, match=f"'{key}' got") as caught:
        presets.resolve(TRAIN, {key: given_value})
    assert len(str(caught.value)) < 500
