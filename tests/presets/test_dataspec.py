"""Descriptions of data as files and as words of a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

import presets
from presets.dataschema import DataSettings
from presets.dataspec import changed, overrides_of
from presets.errors import PresetError

DESCRIPTION = """\
columns: {episode: user_id, action: treatment}
state_columns: [age, "a, b"]
episode_ids: global
train_ratio: 0.5
"""


def test_a_file_and_words_make_overrides_and_words_go_before(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text(DESCRIPTION)
    found = overrides_of(tmp_path / "data.yaml", "episode=client, time=t", None)
    settings = changed(DataSettings(), found)
    assert (settings.columns.episode, settings.columns.time, settings.columns.action) == ("client", "t", "treatment")
    assert (settings.state_columns, settings.episode_ids, settings.train_ratio) == (("age", "a, b"), "global", 0.5)
    assert presets.resolve_train("cartpole-ddqn", found).data.columns == settings.columns
    assert changed(settings, overrides_of(None, None, "x,y")).state_columns == ("x", "y")
    assert changed(settings, {}) == settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colums: {episode: a}", ("line 1: unknown key 'colums.episode'", "'columns.episode'")),
        ("columns:\n  episod: a", ("line 2: unknown key 'columns.episod'", "'columns.episode'")),
        ("[1, 2]", ("a list",)),
        ("columns: {episode: [", ("not valid YAML",)),
        ("", ("the file is empty",)),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    path = tmp_path / "data.yaml"
    path.write_text(text)
    with pytest.raises(PresetError) as caught:
        overrides_of(path, None, None)
    said = f"{caught.value.message} {caught.value.hint}"
    assert str(path) in said and all(word in said for word in words)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("episode", "no name and column"),
        ("episode=", "no name and column"),
        ("tme=t", "Did you mean time"),
        ("features=a", "--state-columns A,B"),
        ("time=a,time=b", "given twice"),
    ],
)
def test_a_wrong_mapping_is_refused(mapping: str, words: str) -> None:
    with pytest.raises(PresetError) as caught:
        overrides_of(None, mapping, None)
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_wrong_names_and_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match="stands twice"):
        overrides_of(None, None, "a,a")
    (tmp_path / "data.yaml").write_text("train_ratio: 2")
    with pytest.raises(PresetError, match=r"data.train_ratio: '2'"):
        changed(DataSettings(), overrides_of(tmp_path / "data.yaml", None, None))
