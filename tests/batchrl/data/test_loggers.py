"""Logs of several policies: who logged an episode is read, told apart, and never mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from batchrl.contract.errors import InputError
from batchrl.data import storage
from batchrl.data.contradictions import contradiction, contradictions
from batchrl.data.dataset import Dataset
from batchrl.data.loader import LoadedData, load_dataset
from batchrl.data.loggers import figures_of_loggers
from batchrl.data.proposing import proposed
from presets.dataschema import DataSettings
from presets.dataspec import changed, overrides_of

COLUMNS = {
    "episode": "visit",
    "action": "offer",
    "reward": "click",
    "propensity": "p",
    "logger": "variant",
}
# How each policy chooses among three offers, whatever the context.
POLICIES = {"control": (0.8, 0.2, 0.0), "explore": (0.2, 0.3, 0.5)}
OFFERS = np.array(["x", "y", "z"])


def log_of(
    n: int = 400, steps: int = 1, seed: int = 0, policies: dict[str, tuple[float, ...]] = POLICIES
) -> pd.DataFrame:
    """Episodes of policies that take turns at random; the reward of offer number k is k or k + 1, at even chances."""
    rng = np.random.default_rng(seed)
    names = np.array(list(policies))
    logger = np.repeat(rng.integers(0, len(names), n), steps)
    chances = np.array(list(policies.values()))[logger]
    action = (chances.cumsum(axis=1) < rng.random((n * steps, 1))).sum(axis=1)
    return pd.DataFrame(
        {
            "visit": np.repeat([f"v{number}" for number in range(n)], steps),
            "variant": names[logger],
            "offer": OFFERS[action],
            "click": action + rng.integers(0, 2, n * steps),
            "p": chances[np.arange(n * steps), action],
            "age": rng.normal(size=n * steps).round(3),
        }
    )


def read(path: Path, frame: pd.DataFrame, **settings: object) -> LoadedData:
    """Write the frame and load it."""
    frame.to_csv(path / "log.csv", index=False)
    more = {"columns": COLUMNS, "state_columns": ("age",), **settings}
    return load_dataset(path / "log.csv", DataSettings.model_validate(more))


def refusal(path: Path, frame: pd.DataFrame, **settings: object) -> str:
    """Why the frame is refused, with the hint."""
    with pytest.raises(InputError) as caught:
        read(path, frame, **settings)
    return f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("kind", ["csv", "parquet", "numbers"])
def test_the_logger_of_each_episode_is_read(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "CHUNK_ROWS", 7)
    frame = log_of(60, steps=3).sample(frac=1, random_state=1)
    if kind == "numbers":
        frame["variant"] = (frame["variant"] == "explore").astype(int) + 7
    names = ("7", "8") if kind == "numbers" else ("control", "explore")
    if kind == "parquet":
        frame.to_parquet(tmp_path / "log.parquet")
        given = DataSettings.model_validate({"columns": COLUMNS, "state_columns": ("age",)})
        data = load_dataset(tmp_path / "log.parquet", given).dataset
    else:
        data = read(tmp_path, frame).dataset
    assert data.logger_names == names and data.loggers is not None
    expected = frame.groupby("visit")["variant"].first().astype(str)
    assert [data.logger_names[logger] for logger in data.loggers] == [expected[name] for name in data.episode_ids]
    some = data.select(np.array([5, 2, 40]))
    assert some.loggers is not None and some.loggers.tolist() == data.loggers[[5, 2, 40]].tolist()


def test_naming_the_loggers_makes_it_no_other_log(tmp_path: Path) -> None:
    frame = log_of(60)
    unnamed = {name: column for name, column in COLUMNS.items() if name != "logger"}
    without = read(tmp_path, frame, columns=unnamed).dataset
    assert without.loggers is None
    assert read(tmp_path, frame).dataset.sha256() == without.sha256()


def test_an_episode_of_two_loggers_is_refused_with_its_rows_and_what_would_be_right(tmp_path: Path) -> None:
    frame = log_of(60, steps=3)
    frame.loc[[4, 5, 31], "variant"] = "third"
    said = refusal(tmp_path, frame)
    assert "2 of 60 episodes have more than one logger in column 'variant'; 3 rows" in said
    assert "line 6, episode v1; line 7, episode v1; line 33, episode v10" in said
    assert "took turns within an episode, leave data.columns.logger out" in said and "data.state_columns" in said


def test_a_row_without_its_logger_is_refused(tmp_path: Path) -> None:
    frame = log_of(60)
    frame.loc[[7, 9], "variant"] = ["", " "]
    said = refusal(tmp_path, frame)
    assert "line 9, episode v7, column 'variant': the cell is empty (1 more row like it: line 11)" in said
    assert "the name of the policy that logged the episode" in said


def test_a_log_without_the_column_is_told_how_to_be_read(tmp_path: Path) -> None:
    said = refusal(tmp_path, log_of(60).drop(columns="variant"))
    assert "column 'variant' is missing, which is named by data.columns.logger" in said
    written = said[said.index("{") : said.rindex("}") + 1]
    (tmp_path / "data.yaml").write_text(written)
    balanced = DataSettings.model_validate({"columns": COLUMNS, "state_columns": ("age",), "loggers": "balanced"})
    settings = changed(balanced, overrides_of(tmp_path / "data.yaml", None, None))
    assert load_dataset(tmp_path / "log.csv", settings).dataset.loggers is None


def test_the_row_that_closes_an_episode_needs_no_logger(tmp_path: Path) -> None:
    frame = log_of(40, steps=3)
    closing = frame.index % 3 == 2
    frame["offer"] = frame["offer"].astype(object)
    frame.loc[closing, ["offer", "click", "p", "variant"]] = None
    data = read(tmp_path, frame).dataset
    assert data.n_transitions == 80 and set(data.logger_names) == set(POLICIES)


def test_a_column_of_ids_names_no_loggers(tmp_path: Path) -> None:
    said = refusal(tmp_path, log_of(200), columns={**COLUMNS, "logger": "visit"})
    assert "more than 100 values" in said and "ids or amounts" in said


def test_figures_of_each_logger_are_those_of_its_own_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "CHUNK_ROWS", 31)
    frame = log_of(200, steps=2)
    found = {each.logger: each for each in figures_of_loggers(read(tmp_path, frame).dataset)}
    assert set(found) == set(POLICIES)
    for name, rows in frame.groupby("variant"):
        figures, returns = found[str(name)], rows.groupby("visit")["click"].sum()
        assert (figures.episodes, figures.transitions) == (len(returns), len(rows))
        assert figures.mean_return == pytest.approx(returns.mean())
        assert figures.standard_error == pytest.approx(returns.sem())
        assert figures.mean_propensity == pytest.approx(rows["p"].mean())
        shares = rows["offer"].value_counts(normalize=True)
        assert dict(figures.shares) == pytest.approx({offer: shares.get(offer, 0.0) for offer in OFFERS})


def test_a_contradiction_is_told_of_the_logger_that_it_is_of(tmp_path: Path) -> None:
    frame = log_of(6000, seed=3, policies={"control": (0.5, 0.25, 0.25), "explore": (0.3, 0.3, 0.4)})
    assert contradictions(read(tmp_path, frame).dataset) == ()
    # Too high in one policy and too low in the other: the whole log shows nothing of it.
    wrong = {"control": {"x": 0.4, "y": 0.3, "z": 0.3}, "explore": {"x": 0.4, "y": 0.25, "z": 0.35}}
    text = {name: str(list(chances.values())) for name, chances in wrong.items()}
    vectors = frame.assign(all_action_probabilities=frame["variant"].map(text))
    known = {name: column for name, column in COLUMNS.items() if name != "propensity"}
    loaded = read(tmp_path, vectors, columns=known)
    told = [note for note in loaded.notes if "chance does not explain that" in note]
    assert len(told) == 2 and told[0].startswith("logger control: ") and told[1].startswith("logger explore: ")
    unnamed = {name: column for name, column in known.items() if name != "logger"}
    assert not [note for note in read(tmp_path, vectors, columns=unnamed).notes if "chance" in note]


def test_the_taken_actions_probabilities_contradict_by_logger(tmp_path: Path) -> None:
    frame = log_of(6000, seed=4)
    frame.loc[frame["variant"] == "control", "p"] /= 1.2
    (told,) = contradictions(read(tmp_path, frame).dataset)
    assert told.startswith("logger control: action x was taken")


def test_false_alarms_are_shared_among_the_loggers() -> None:
    n = 10_000
    taken = np.zeros(n, np.int64)
    taken[: n // 2 + 245] = 1
    states, ends = np.zeros((n, 1), np.float32), np.ones(n, np.bool_)
    policy = np.full((n, 2), 0.5)
    data = Dataset(states, taken, np.zeros(n), states, ends, policy, np.arange(n + 1), ("",) * n, ("x",), ("a", "b"))
    assert contradiction(data) is not None and contradiction(data, tests=100) is None


def test_each_loggers_policy_is_estimated_from_its_own_episodes(tmp_path: Path) -> None:
    frame = log_of(300, steps=2)
    loaded = read(tmp_path, frame.drop(columns="p"), columns={**COLUMNS, "propensity": None})
    data = loaded.dataset
    assert "one for each logger" in loaded.notes[0] and "estimated propensities" in loaded.notes[0]
    assert data.loggers is not None and data.behavior_policy is not None and data.estimated_on == 300
    for number, name in enumerate(data.logger_names):
        mine = data.loggers == number
        alone = read(
            tmp_path,
            frame[frame["variant"] == name].drop(columns="p"),
            columns={**COLUMNS, "propensity": None, "logger": None},
        )
        part = data.select(np.flatnonzero(mine))
        assert part.behavior_policy is not None and alone.dataset.behavior_policy is not None
        here = {name: number for number, name in enumerate(part.action_names)}
        for action, there in enumerate(alone.dataset.action_names):
            if len(alone.dataset.action_names) == 3:
                np.testing.assert_allclose(
                    part.behavior_policy[:, here[there]], alone.dataset.behavior_policy[:, action], atol=1e-12
                )
        mean = part.behavior_policy.mean(axis=0)
        np.testing.assert_allclose(mean, POLICIES[name], atol=0.06)


def test_a_logger_of_one_episode_cannot_be_estimated(tmp_path: Path) -> None:
    frame = log_of(50).drop(columns="p")
    frame.loc[3, "variant"] = "once"
    said = refusal(tmp_path, frame, columns={**COLUMNS, "propensity": None})
    assert "One episode of logger once is too few to estimate" in said


@pytest.mark.parametrize("name", ["logger", "policy_id", "logging_policy", "variant", "Policy"])
def test_a_column_that_looks_like_a_logger_is_proposed_and_asked_about(tmp_path: Path, name: str) -> None:
    log_of(60).rename(columns={"variant": name, "click": "reward", "offer": "action"}).to_csv(
        tmp_path / "log.csv", index=False
    )
    text = proposed(tmp_path / "log.csv")
    description = yaml.safe_load(text)
    assert description["columns"]["logger"] == name and name not in description["state_columns"]
    assert f"# Does '{name}' name the policy that logged an episode" in text


def test_a_column_of_many_values_is_proposed_as_no_logger(tmp_path: Path) -> None:
    frame = log_of(60).assign(policy=np.arange(60)).drop(columns="variant")
    frame.rename(columns={"click": "reward", "offer": "action"}).to_csv(tmp_path / "log.csv", index=False)
    assert "logger" not in yaml.safe_load(proposed(tmp_path / "log.csv"))["columns"]
