"""What a loop is, written down, read back and compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_loops import JOBS, settings_of

import presets
from batchrl.contract.errors import InputError
from launcher.api.joboptions import JobOptions
from launcher.api.names import check_job_name
from launcher.base.pairs import parse_settings
from launcher.iterate.settings import LONGEST_NAME, LoopSettings, check_name
from launcher.iterate.state import LOOP, LoopFolder, publish_json
from launcher.iterate.steps import Actor
from launcher.iterate.work import behavior_of


def jobs(*settings: str, preset: str | None = None, **changes: object) -> JobOptions:
    return replace(JOBS, preset=preset, hyperparameters=parse_settings(settings), **changes)  # type: ignore[arg-type]


def test_a_loop_is_read_back_as_it_was_written() -> None:
    settings = LoopSettings.of("loop", jobs("train.epochs=3", dependencies=(Path("a.py"),), tags={"a": "b"}), None)
    again = LoopSettings.from_json(json.loads(json.dumps(settings.to_json())))
    assert again == settings
    assert settings.differences(again) == []
    assert (settings.train.epochs, settings.jobs.preset, settings.jobs.hyperparameters) == (3, None, None)


@pytest.mark.parametrize(
    ("settings", "changes", "says"),
    [
        (("gate.alpha=0.1",), {}, "loop.gate.alpha is 0.1, there 0.05"),
        (("train.epochs=3",), {}, "train.epochs is 3, there 12"),
        (("evaluate.seed=9",), {}, "evaluate.seed is 9, there 0"),
        (("evaluate.candidates=promoted",), {}, "loop.evaluate.candidates is 'promoted', there 'all'"),
        ((), {"instance_type": "local"}, "jobs.instance_type is 'local', there 'local_process'"),
        ((), {"tags": {"a": "b"}}, "jobs.tags is ['a=b'], there []"),
    ],
)
def test_what_differs_is_named(settings: tuple[str, ...], changes: dict[str, object], says: str) -> None:
    asked = LoopSettings.of("loop", jobs(*settings, **changes), None)
    assert asked.differences(settings_of()) == [says]


def test_the_same_settings_in_other_words_are_the_same_loop(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(presets.resolve_iterate("cartpole-iterate", {}).to_json())
    for asked in (jobs("train.epochs=12"), jobs("train.agent.discount=0.99"), jobs(preset=str(file))):
        assert LoopSettings.of("loop", asked, None).differences(settings_of()) == []


def test_data_counts_by_its_content(tmp_path: Path) -> None:
    first, second, folder = tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "folder"
    first.write_text("x")
    second.write_text("x")
    folder.mkdir()
    (folder / "part.csv").write_text("x")
    of_file = LoopSettings.of("loop", jobs(), str(first))
    assert of_file.data == str(first)
    assert LoopSettings.of("loop", jobs(), str(second)).differences(of_file) == []
    of_folder = LoopSettings.of("loop", jobs(), str(folder))
    (folder / "part.csv").write_text("y")
    assert LoopSettings.of("loop", jobs(), str(folder)).data_sha256 != of_folder.data_sha256
    second.write_text("y")
    assert "data_sha256" in LoopSettings.of("loop", jobs(), str(second)).differences(of_file)[0]


def test_data_that_was_changed_or_removed_since_the_loop_began_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "a.csv"
    data.write_text("x")
    settings = LoopSettings.of("loop", jobs(), str(data))
    settings.check_data()
    data.write_text("y")
    with pytest.raises(InputError, match=rf"data of the first round was changed .*{data}.*{settings.data_sha256}"):
        settings.check_data()
    data.unlink()
    with pytest.raises(InputError, match="data of the first round is not there"):
        settings.check_data()
    LoopSettings.of("loop", jobs(), None).check_data()


def test_a_trained_first_policy_is_pinned_wherever_a_run_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("1")
    (tmp_path / "uniform").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = LoopSettings.of("loop", jobs("collect.behavior=model"), None)
    assert behavior_of(settings) == Actor("model", str(model), softened=True)
    again = LoopSettings.from_json(json.loads(json.dumps(settings.to_json())))
    monkeypatch.chdir("/")
    assert behavior_of(again) == behavior_of(settings)
    again.check_behavior()
    (model / "weights").write_text("2")
    with pytest.raises(InputError, match=rf"policy of the first round was changed .*{model}"):
        again.check_behavior()
    monkeypatch.chdir(tmp_path)
    for text in ("uniform", "[0.5, 0.5]", "some.module:Rules"):
        plain = LoopSettings.of("loop", jobs(f"collect.behavior={text}"), None)
        assert plain.preset.collect.behavior == text and not behavior_of(plain).softened
        plain.check_behavior()


def test_code_that_travels_is_found_wherever_a_run_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = LoopSettings.of("loop", jobs(source_dir=Path("src"), dependencies=(Path("a.py"),)), None)
    assert settings.jobs.source_dir == tmp_path / "src" and settings.jobs.dependencies == (tmp_path / "a.py",)
    assert LoopSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_presets_of_the_users_own_are_kept_as_they_were(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("kind: train\nepochs: 2\n")
    settings = LoopSettings.of("loop", jobs(f"train.preset={own}", "train.seed=4"), None)
    files = settings.preset_files()
    assert list(files) == ["train.yaml"]
    own.unlink()
    kept = tmp_path / "train.yaml"
    kept.write_text(files["train.yaml"])
    job = settings.training_job(tmp_path)
    assert (job.preset, job.hyperparameters) == (str(kept), None)
    assert presets.resolve_train(kept, {}) == settings.train
    assert (settings.train.epochs, settings.train.seed) == (2, 4)


def test_presets_of_the_product_go_by_their_names(tmp_path: Path) -> None:
    settings = LoopSettings.of("loop", jobs("train.agent.embedder=[8, 8]", "evaluate.seed=3"), None)
    assert settings.preset_files() == {}
    job, evaluation = settings.training_job(tmp_path), settings.evaluation_job(tmp_path)
    assert (job.preset, job.hyperparameters) == ("generic-discrete", {"agent.embedder": "[8, 8]"})
    assert evaluation is not None and evaluation.hyperparameters == {"seed": "3"}
    assert LoopSettings.of("loop", jobs("evaluate.preset=null"), None).evaluation_job(tmp_path) is None


@pytest.mark.parametrize(
    ("settings", "data", "says"),
    [
        (("train.data.csv_schema=A",), None, "train.data.csv_schema is A"),
        (("train.data.state_columns=[a, b]",), None, "train.data.state_columns"),
        ((), "nowhere.csv", "there is no such file"),
        ((), "s3://bucket/data.csv", "divided on this computer"),
    ],
)
def test_what_cannot_be_a_loop_is_refused(settings: tuple[str, ...], data: str | None, says: str) -> None:
    with pytest.raises(InputError, match=says):
        LoopSettings.of("loop", jobs(*settings), data)


def test_no_two_loops_take_the_same_jobs_whatever_they_are_called() -> None:
    first, second = (LoopSettings.of("loop", jobs(), None) for _ in range(2))
    assert first.differences(second) == [] and first.name == second.name
    assert first.jobs_name != second.jobs_name and first.jobs_name.startswith("loop-")
    assert LoopSettings.from_json(first.to_json()).jobs_name == first.jobs_name


def test_names_leave_the_jobs_room() -> None:
    check_name("a" * LONGEST_NAME)
    longest = LoopSettings.of("a" * LONGEST_NAME, jobs(), None).jobs_name + "-r999-canary-99999-99"
    check_job_name(longest)
    with pytest.raises(InputError, match=f"at most {LONGEST_NAME}"):
        check_name("a" * (LONGEST_NAME + 1))
    with pytest.raises(InputError, match="cannot be the name"):
        check_name("a_b")


def test_a_loop_is_evaluated_where_it_acts() -> None:
    asked = jobs("env.id=Acrobot-v1", "env.max_episode_steps=50", "train.epochs=2")
    settings = LoopSettings.of("loop", asked, None)
    assert settings.evaluate is not None
    assert settings.evaluate.env == settings.preset.env
    evaluation = settings.evaluation_job(Path("folder"))
    assert evaluation is not None
    given = evaluation.hyperparameters or {}
    assert {"env.id": "Acrobot-v1", "env.max_episode_steps": "50"}.items() <= given.items()
    assert LoopSettings.from_json(settings.to_json()).evaluation_job(Path("folder")) == evaluation
    with pytest.raises(InputError, match=r"evaluate\.env\.id is CartPole-v1, but the loop acts where .* CartPole-v0"):
        LoopSettings.of("loop", jobs("evaluate.env.id=CartPole-v1"), None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda values: {"format": values["format"]}, "it has no jobs"),
        (lambda values: {**values, "jobs": {**values["jobs"], "speed": 3}}, "speed"),
        (lambda values: {**values, "jobs": None}, "NoneType"),
        (lambda values: {**values, "preset": {**values["preset"], "gait": {}}}, "gait: Extra inputs"),
        (lambda values: {**values, "train": {**values["train"], "epochs": "many"}}, "epochs: "),
    ],
)
def test_a_file_that_describes_no_loop_is_named(tmp_path: Path, change: Callable[[Any], Any], says: str) -> None:
    publish_json(tmp_path / LOOP, change(settings_of().to_json()))
    with pytest.raises(InputError, match=f"{tmp_path / LOOP} describes no loop: .*{says}"):
        LoopSettings.of_folder(LoopFolder(tmp_path))


def test_a_file_of_a_loop_that_an_older_version_wrote_is_read_and_written_alike() -> None:
    written = {
        "entry_point": "",
        "source_dir": "/srv/me/src",
        "dependencies": ["/srv/me/a.py"],
        "preset": None,
        "settings": [],
        "instance_type": "ml.m5.large",
        "instance_count": 2,
        "image": "x:1",
        "role": "jobs",
        "output_path": "s3://bucket/x",
        "environment": ["A=b"],
        "tags": ["team=rl"],
        "spot": True,
        "max_run": 60,
        "max_wait": 90,
    }
    values = {**settings_of().to_json(), "jobs": written}
    settings = LoopSettings.from_json(json.loads(json.dumps(values)))
    assert settings.jobs == JobOptions(
        "",
        source_dir=Path("/srv/me/src"),
        dependencies=(Path("/srv/me/a.py"),),
        instance_type="ml.m5.large",
        instance_count=2,
        image_uri="x:1",
        role="jobs",
        output_path="s3://bucket/x",
        environment={"A": "b"},
        tags={"team": "rl"},
        use_spot_instances=True,
        max_run=60,
        max_wait=90,
    )
    assert settings.to_json()["jobs"] == written
