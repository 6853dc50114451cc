"""Names, files and values of presets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import presets
from presets.schema import EvaluatePreset, TrainPreset

TRAIN = "cartpole-ddqn-bcq"
EVALUATE = "cartpole-ddqn-bcq-env"


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_presets_of_the_product_have_the_seeds_numbers() -> None:
    preset = presets.resolve_train(TRAIN, {})
    assert (preset.epochs, preset.agent.batch_size, preset.agent.learning_rate, preset.agent.loss) == (
        50,
        128,
        1e-4,
        "mse",
    )
    assert (preset.agent.discount, preset.agent.target_update_every, preset.agent.l2) == (0.99, 50, 0)
    assert (preset.agent.adam_beta2, preset.agent.adam_epsilon) == (0.99, 1e-4)
    assert (preset.agent.embedder, preset.agent.middleware) == ((256,), (512,))
    assert (preset.reward_model.epochs, preset.data.train_ratio, preset.ope.softmax_temperature) == (30, 0.4, 1.0)
    assert (preset.bcq.mode, preset.bcq.average_dist_coefficient, preset.bcq.knn_capacity) == ("coach_knn", 1.0, 50_000)
    evaluation = presets.resolve_evaluate(EVALUATE, {})
    assert (evaluation.env.id, evaluation.env.max_episode_steps, evaluation.evaluate_steps) == (
        "CartPole-v0",
        200,
        1000,
    )


def test_every_preset_of_the_product_loads_and_is_named_after_its_file() -> None:
    assert [presets.load(name).name for name in presets.names()] == presets.names()
    assert set(presets.ALIASES.values()) <= set(presets.names())


@pytest.mark.parametrize("alias", [*presets.ALIASES, " preset-cartpole-ddqnbcq-env"])
def test_the_seeds_names_mean_our_presets(alias: str) -> None:
    assert presets.load(alias) == presets.load(presets.ALIASES[alias.strip()])


def test_every_preset_has_an_evaluation_in_the_simulator_of_its_problem() -> None:
    found = {name: presets.evaluation_of(name) for name in [*presets.names(), *presets.ALIASES]}
    assert found.pop("mail-bcq-knn") == found.pop("mail-env") == "mail-env"
    assert found.pop("acrobot-iql") == "acrobot-env"
    assert found.pop("cartpole-best") == found.pop("preset-cartpole-ddqnbcq") == EVALUATE
    # Nothing simulates the decisions of a log.
    assert {found.pop(name) for name in presets.names() if name.startswith(("decisions-", "generic-"))} == {None}
    assert all(isinstance(presets.load(name or ""), EvaluatePreset) for name in found.values())
    assert presets.evaluation_of("presets/mine.yaml") is presets.evaluation_of("mail") is None


def test_every_preset_says_in_a_short_line_what_it_is() -> None:
    said = {name: presets.summary(name) for name in presets.names()}
    assert all(line.endswith(".") and line[0].isupper() for line in said.values())
    assert max(max(map(len, said)) + 2 + len(line) for line in said.values()) <= 80
    # Within a problem they tell apart.
    for problem in ("cartpole-", "mail-", "acrobot-", "decisions-"):
        lines = [line for name, line in said.items() if name.startswith(problem)]
        assert len(lines) == len(set(lines)) > 1


def test_importing_the_package_loads_neither_pydantic_nor_yaml() -> None:
    program = "import presets, sys; presets.names(); print([m for m in ('pydantic', 'yaml') if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_path_works_wherever_a_name_does(tmp_path: Path) -> None:
    path = write(tmp_path, "kind: train\nepochs: 7\nagent:\n  learning_rate: 1e-3\n")
    preset = presets.resolve_train(str(path), {"agent.discount": "0.9"})
    assert (preset.name, preset.epochs, preset.agent.learning_rate, preset.agent.discount) == ("mine", 7, 1e-3, 0.9)
    assert presets.load(path) == presets.load(str(path))


@pytest.mark.parametrize(
    ("text", "is_path"), [("a", False), ("a.yaml", True), ("b/a", True), ("a.yml", True), (TRAIN, False)]
)
def test_what_looks_like_a_file_is_a_path(text: str, is_path: bool) -> None:
    assert presets.is_path(text) is is_path


def test_a_resolved_preset_is_a_preset_file_again(tmp_path: Path) -> None:
    preset = presets.resolve(TRAIN, {"agent.discount": 0.5, "data.state_columns": ["a", "b"], "legacy": True})
    assert presets.load(write(tmp_path, preset.to_json())) == preset
    assert list(json.loads(preset.to_json())) == sorted(json.loads(preset.to_json()))


def test_a_preset_of_the_other_kind_is_refused() -> None:
    with pytest.raises(presets.PresetError, match=f"(?s)not of kind 'train'.*{TRAIN}"):
        presets.resolve_train(EVALUATE, {})


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(presets.PresetError, match=r"(?s)'cartpole-ddqn-bqc'.*Did you mean 'cartpole-ddqn-bcq'"):
        presets.load("cartpole-ddqn-bqc")


@pytest.mark.parametrize("model", [TrainPreset, EvaluatePreset])
def test_every_setting_is_described_with_a_type(model: type) -> None:
    name = TRAIN if model is TrainPreset else EVALUATE
    settings = presets.describe(presets.load(name))
    assert all(setting.description and setting.type for setting in settings)
    assert {setting.key.partition(".")[0] for setting in settings} == set(model.model_fields)  # type: ignore[attr-defined]
    assert next(setting for setting in settings if setting.key == "seed").type == (
        "whole number, at least 0, at most 4294967295"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- a\n- b\n", "line 1: a preset is a mapping .* this is a list"),
        ("just words\n", "this is a single value"),
        ("kind: train\nepochs: [1, 2\nseed: 3\n", "line 3, column 5: not valid YAML"),
        ("kind: train\nepochs: 1\nepochs: 2\n", "line 3: 'epochs' is given twice; the first is line 2"),
        ("kind: train\nagent:\n  l2: 0\n  l2: 1\n", "line 4: 'agent.l2' is given twice"),
        ("epochs: 1\n", "'kind' is missing"),
        ("kind: tran\n", "line 1: 'kind' is 'tran'"),
        ("kind: train\nagent: 3\n", "line 2: 'agent' is a section"),
        ("kind: train\n? [a, b]\n: 1\n", "line 2: a key is a word"),
        (
            "kind: train\nagent:\n  discuont: 1\n",
            "(?s)line 3: unknown key 'agent.discuont'.*Did you mean 'agent.discount'",
        ),
        ("kind: train\nagent: {loss: hubr}\n", "line 2: 'agent.loss' got 'hubr', expected mse | huber"),
        ("kind: train\nx: !!python/object:os.system 1\n", "not valid YAML"),
        ("kind: train\nagent: &a {x: *a}\n", "unknown key 'agent.x'"),
        ("kind: train\n1: 2\n", "unknown key '1'"),
        ("kind: train\nname: 2024-02-31\n", "line 2, column 7: not valid YAML: '2024-02-31' is no timestamp"),
        ('kind: train\nepochs: !!int ""\n', "line 2, column 9: not valid YAML: '' is no int"),
        ("kind: train\nlegacy: !!bool x\n", "'x' is no bool"),
        ("kind: train\nname: !!timestamp x\n", "'x' is no timestamp"),
        (f"kind: train\nepochs: {'9' * 5000}\n", "line 2, column 9: not valid YAML: '9+.* is no int"),
        (f"kind: train\nepochs: 0x{'f' * 5000}\n", "'epochs' got a number of thousands of digits, expected whole"),
        (f"kind: train\nagent:\n  discount: 0x{'f' * 5000}\n", "'agent.discount' got"),
        ("kind: train\n? 2024-02-31\n: 1\n", "is no timestamp"),
        (f"kind: train\nepochs: {'[' * 2400}\n", "(nested too deeply|not valid YAML)"),
        (f"kind: 0x{'f' * 5000}\n", "'kind' is a number of thousands"),
        (
            "kind: train\na: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"{y}: &{y} [{','.join([f'*{x}'] * 10)}]\n" for x, y in zip("abcdefgh", "bcdefghi", strict=True)),
            "stands for more than 10,000 values",
        ),
        ("kind: train\nagent: \n", None),
    ],
)
def test_a_faulty_file_is_named_with_the_line_and_what_is_wrong(tmp_path: Path, text: str, says: str | None) -> None:
    path = write(tmp_path, text)
    if says is None:
        assert presets.load(path).name == "mine"
        return
    with pytest.raises(presets.PresetError, match=says) as caught:
        presets.load(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(presets.PresetError, match="there is no preset file"):
        presets.load(tmp_path / "none.yaml")
    with pytest.raises(presets.PresetError, match="is a folder"):
        presets.load(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"kind: \xff\xfe")
    with pytest.raises(presets.PresetError, match="byte 6 is not UTF-8"):
        presets.load(tmp_path / "bytes.yaml")
    (tmp_path / "big.yaml").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(presets.PresetError, match="larger than"):
        presets.load(tmp_path / "big.yaml")
