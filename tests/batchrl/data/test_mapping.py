"""The log as the company has it: its names of columns and actions, its propensities, its order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchrl.contract.errors import InputError
from batchrl.data.dataset import Dataset
from batchrl.data.loader import LoadedData, load_dataset
from presets.dataschema import ColumnSettings, DataSettings

EPISODES, STEPS = 60, 4
MARKETING = ColumnSettings(episode="user_id", time="sent_at", action="treatment", reward="margin", propensity="p")


def base(seed: int = 0) -> pd.DataFrame:
    """60 episodes of 4 steps, two actions, uniform logging; in the order of the steps."""
    rng = np.random.default_rng(seed)
    n = EPISODES * STEPS
    action = rng.integers(0, 2, n)
    return pd.DataFrame(
        {
            "action": action,
            "all_action_probabilities": ["[0.5, 0.5]"] * n,
            "episode_id": np.repeat(np.arange(EPISODES), STEPS),
            "reward": np.round(action + rng.normal(0, 0.1, n), 3),
            "state_feature_0": np.round(rng.normal(size=n), 3),
            "state_feature_1": np.round(rng.normal(size=n), 3),
            "t": np.tile(np.arange(STEPS), EPISODES),
        }
    )


def marketing(seed: int = 0) -> pd.DataFrame:
    """The same as a campaign logs it, in an order of its own."""
    frame = base(seed)
    sent = pd.Timestamp("2026-03-01T08:00:00Z") + pd.to_timedelta(frame["t"] * 36 + frame["episode_id"], unit="h")
    return pd.DataFrame(
        {
            "user_id": "u" + frame["episode_id"].astype(str),
            "sent_at": sent.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "treatment": np.array(["none", "coupon"])[frame["action"]],
            "margin": frame["reward"],
            "p": 0.5,
            "age": frame["state_feature_0"],
            "visits": frame["state_feature_1"],
        }
    ).sample(frac=1, random_state=seed)


def read(path: Path, frame: pd.DataFrame, **settings: object) -> LoadedData:
    """Write the frame and load it."""
    frame.to_csv(path / "log.csv", index=False)
    return load_dataset(path / "log.csv", DataSettings.model_validate(settings))


def refusal(path: Path, frame: pd.DataFrame, **settings: object) -> str:
    """Why the frame is refused, with the hint."""
    with pytest.raises(InputError) as caught:
        read(path, frame, **settings)
    return f"{caught.value.message} {caught.value.hint}"


def by_id(data: Dataset) -> dict[str, list[float]]:
    """The rewards of every episode."""
    parts = np.split(data.rewards, data.offsets[1:-1])
    return {name: part.tolist() for name, part in zip(data.episode_ids, parts, strict=True)}


def test_a_campaigns_log_is_read_as_it_is(tmp_path: Path) -> None:
    plain = read(tmp_path, base()).dataset
    loaded = read(tmp_path, marketing(), columns=MARKETING, state_columns=("age", "visits"))
    data = loaded.dataset
    assert data.action_names == ("coupon", "none") and data.state_columns == ("age", "visits")
    assert data.behavior_policy is None and np.all(data.propensities == 0.5)
    found, expected = by_id(data), by_id(plain)
    assert found == {f"u{name}": rewards for name, rewards in expected.items()}
    at = data.episode_ids.index("u7")
    steps, there = slice(*data.offsets[at : at + 2]), slice(*plain.offsets[7:9])
    assert np.array_equal(data.states[steps], plain.states[there])
    assert [data.action_names[a] for a in data.actions[steps]] == [("none", "coupon")[a] for a in plain.actions[there]]


@pytest.mark.parametrize("time", ["steps", "dates", "stamps"])
def test_rows_are_sorted_by_their_time(tmp_path: Path, time: str) -> None:
    frame = base()
    plain = read(tmp_path, frame).dataset
    when = {
        "steps": frame["t"],
        "dates": (pd.Timestamp("2026-01-01") + pd.to_timedelta(frame["t"], unit="D")).dt.strftime("%Y-%m-%d"),
        "stamps": pd.Timestamp("2026-01-01") + pd.to_timedelta(frame["t"], unit="ms"),
    }[time]
    shuffled = frame.assign(when=when).sample(frac=1, random_state=1)
    settings = DataSettings(columns=ColumnSettings(time="when"))
    shuffled.to_parquet(tmp_path / "log.parquet")
    shuffled.to_csv(tmp_path / "shuffled.csv", index=False)
    for name in ("log.parquet", "shuffled.csv"):
        data = load_dataset(tmp_path / name, settings).dataset
        assert by_id(data) == by_id(plain), name
        assert data.discounted_returns(0.9).sum() == pytest.approx(plain.discounted_returns(0.9).sum(), abs=1e-12)


def test_a_wrong_time_is_named(tmp_path: Path) -> None:
    frame = base().astype({"t": object})
    frame.loc[5, "t"] = "soon"
    said = refusal(tmp_path, frame, columns=ColumnSettings(time="t"))
    assert "line 7, episode 1, column 't': 'soon' is no time" in said


def test_the_taken_actions_propensity_is_enough(tmp_path: Path) -> None:
    whole = read(tmp_path, base()).dataset
    frame = base().drop(columns="all_action_probabilities").assign(propensity=0.5)
    taken = read(tmp_path, frame).dataset
    assert taken.behavior_policy is None and np.array_equal(taken.propensities, whole.propensities)
    assert np.array_equal(taken.actions, whole.actions) and taken.action_names == whole.action_names
    part = taken.select(np.array([3, 1]))
    assert np.array_equal(part.propensities, np.full(2 * STEPS, 0.5))
    assert taken.sha256() != whole.sha256()


def test_one_number_in_the_column_of_all_is_the_taken_actions(tmp_path: Path) -> None:
    loaded = read(tmp_path, base().assign(all_action_probabilities=0.5))
    assert np.all(loaded.dataset.propensities == 0.5) and loaded.dataset.behavior_policy is None
    (note,) = loaded.notes
    assert "'all_action_probabilities' holds one number a row" in note
    base().assign(all_action_probabilities=0.5).to_parquet(tmp_path / "log.parquet")
    assert np.all(load_dataset(tmp_path / "log.parquet", DataSettings()).dataset.propensities == 0.5)


@pytest.mark.parametrize(("propensity", "words"), [(0.0, "0.0 is no prob"), (1.5, "1.5 is no prob"), ("", "is empty")])
def test_a_propensity_that_is_none_is_refused(tmp_path: Path, propensity: object, words: str) -> None:
    frame = base().drop(columns="all_action_probabilities").assign(chance=0.5).astype({"chance": object})
    frame.loc[2, "chance"] = propensity
    said = refusal(tmp_path, frame, columns=ColumnSettings(propensity="chance"))
    assert "line 4, episode 0, column 'chance'" in said and words in said


def test_rounded_probabilities_are_normalised_and_counted(tmp_path: Path) -> None:
    frame = base()
    frame.loc[:9, "all_action_probabilities"] = "[0.33, 0.66]"
    frame.loc[10, "all_action_probabilities"] = "[1.0, -1e-17]"
    frame.loc[10, "action"] = 0
    loaded = read(tmp_path, frame)
    policy = loaded.dataset.behavior_policy
    assert policy is not None and np.allclose(policy[:10], [1 / 3, 2 / 3]) and policy[10].tolist() == [1, 0]
    assert "11 rows" in loaded.notes[0] and "0.01 away" in loaded.notes[0]
    frame.loc[0, "all_action_probabilities"] = "[0.5, 0.4]"
    assert "line 2" in refusal(tmp_path, frame)


@pytest.mark.parametrize("kind", ["text", "lists", "booleans", "numbers"])
def test_actions_keep_their_names(tmp_path: Path, kind: str) -> None:
    frame, codes = base().drop(columns="all_action_probabilities").assign(propensity=0.5), base()["action"].to_numpy()
    cells, names = {
        "text": (np.array(["skip", "offer"])[codes], ("offer", "skip")),
        "lists": ([[1 - c, c] for c in codes.tolist()], ("0", "1")),
        "booleans": (codes == 1, ("False", "True")),
        "numbers": (np.array([-3, 40])[codes], ("-3", "40")),
    }[kind]
    table = pa.Table.from_pandas(frame.drop(columns="action")).append_column("action", pa.array(list(cells)))
    pq.write_table(table, tmp_path / "log.parquet")
    frame.assign(action=[str(cell) for cell in cells]).to_csv(tmp_path / "log.csv", index=False)
    for name in ("log.parquet", "log.csv"):
        data = load_dataset(tmp_path / name, DataSettings()).dataset
        assert data.action_names == names, name
        first = np.array([1, 0] if kind == "text" else [0, 1])
        assert np.array_equal(data.actions, first[codes]), name


def test_names_follow_the_order_of_the_probabilities(tmp_path: Path) -> None:
    frame = base().assign(action=np.array(["skip", "offer"])[base()["action"]])
    loaded = read(tmp_path, frame)
    assert loaded.dataset.action_names == ("offer", "skip") and "offer, skip, in this order" in loaded.notes[0]
    given = read(tmp_path, frame, actions=("skip", "offer"))
    assert np.array_equal(given.dataset.actions, base()["action"]) and not given.notes
    assert "names 3 actions (a, b, c), but there are 2 prob" in refusal(tmp_path, frame, actions=("a", "b", "c"))
    said = refusal(tmp_path, frame.replace({"offer": "ofer"}), actions=("skip", "offer"))
    assert "there is no action ofer" in said and "offer, perhaps" in said
    assert "holds 2 actions (offer, skip), but" in refusal(
        tmp_path, frame.assign(all_action_probabilities="[0.2, 0.3, 0.5]")
    )


def test_names_may_be_given_to_numbers(tmp_path: Path) -> None:
    data = read(tmp_path, base(), actions=("wait", "send")).dataset
    assert data.action_names == ("wait", "send") and np.array_equal(data.actions, base()["action"])
    frame = base().assign(action=base()["action"] * 10)
    data = read(tmp_path, frame, actions=("10", "0")).dataset
    assert np.array_equal(data.actions, 1 - base()["action"])


def test_quantities_and_broken_vectors_are_refused(tmp_path: Path) -> None:
    frame = base().drop(columns="all_action_probabilities").assign(propensity=0.5)
    said = refusal(tmp_path, frame.assign(action=0.25))
    assert "0.25 is a quantity" in said and "batchrl data convert DATA ranges.parquet --bin action=5" in said
    vectors = frame.assign(action=[str([1, 0])] * 4 + [str([1, 1])] * (len(frame) - 4))
    assert "line 6" in refusal(tmp_path, vectors) and "no one-hot vector" in refusal(tmp_path, vectors)
    assert "every row has the action" in refusal(tmp_path, frame.assign(action=1))


@pytest.mark.parametrize(
    ("rule", "episodes", "mean"), [("per_run", 120, 1.0), ("unique", 60, 2.0), ("per_row", 480, 0.25)]
)
def test_ids_that_come_back(tmp_path: Path, rule: str, episodes: int, mean: float) -> None:
    day = base().assign(reward=0.25)
    found = read(tmp_path, pd.concat([day, day]), episode_ids=rule, accept=["duplicates"]).dataset
    assert found.n_episodes == episodes and found.returns.mean() == pytest.approx(mean)
    assert len(set(found.episode_ids)) == episodes


def test_episodes_that_span_files_are_joined_or_kept_apart(tmp_path: Path) -> None:
    frame = base()
    folder = tmp_path / "days"
    folder.mkdir()
    frame[frame["t"] >= 2].to_csv(folder / "a.csv", index=False)
    frame[frame["t"] < 2].to_csv(folder / "b.csv", index=False)
    with pytest.raises(InputError, match="Are they one episode"):
        load_dataset(folder, DataSettings())
    joined = DataSettings(episode_ids="global", columns=ColumnSettings(time="t"))
    assert by_id(load_dataset(folder, joined).dataset) == by_id(read(tmp_path, frame).dataset)
    apart = load_dataset(folder, DataSettings(episode_ids="per_file")).dataset
    assert apart.n_episodes == 2 * EPISODES and apart.lengths.tolist() == [2] * (2 * EPISODES)


def test_a_log_without_ids_may_be_rows_of_their_own(tmp_path: Path) -> None:
    frame = base().drop(columns="episode_id")
    assert "column 'episode_id' is missing" in refusal(tmp_path, frame)
    assert read(tmp_path, frame, episode_ids="per_row").dataset.n_episodes == len(frame)


def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    said = refusal(tmp_path, marketing(), columns=MARKETING.model_copy(update={"reward": "margn"}))
    assert "column 'margn' is missing, which is named by data.columns.reward" in said and "'margin'" in said
    said = refusal(tmp_path, marketing(), columns=MARKETING, state_columns=("agee", "visits"))
    assert "column 'agee' is missing" in said and "Did you mean 'age'" in said


def test_features_of_any_name_have_next_states_too(tmp_path: Path) -> None:
    frame = base().rename(columns={"state_feature_0": "obs_0", "state_feature_1": "obs_1"})
    frame["after_0"], frame["after_1"] = frame["obs_0"] + 1, frame["obs_1"] + 1
    both = {
        "state_columns": ("obs_0", "obs_1"),
        "next_state_columns": ("after_0", "after_1"),
        "accept": ["next_states"],
    }
    data = read(tmp_path, frame.assign(truncated=(frame["t"] == 3).astype(int)), **both).dataset
    assert not data.terminal.any() and np.allclose(data.next_states, data.states + 1, atol=1e-6)
    assert "names 1 columns" in refusal(tmp_path, frame, **(both | {"next_state_columns": ("after_0",)}))


def test_two_of_our_own_names_may_change_places(tmp_path: Path) -> None:
    frame = base().rename(columns={"reward": "action", "action": "reward"})
    swapped = read(tmp_path, frame, columns=ColumnSettings(action="reward", reward="action")).dataset
    plain = read(tmp_path, base()).dataset
    assert np.array_equal(swapped.actions, plain.actions) and np.array_equal(swapped.rewards, plain.rewards)


def test_actions_that_are_numbers_here_and_names_there_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "days"
    folder.mkdir()
    frame = base().drop(columns="all_action_probabilities").assign(propensity=0.5)
    frame.to_parquet(folder / "a.parquet")
    named = frame.assign(action=np.array(["skip", "offer"])[frame["action"]], episode_id=frame["episode_id"] + 100)
    named.to_parquet(folder / "b.parquet")
    with pytest.raises(InputError, match="numbers in some files or rows, and names in others"):
        load_dataset(folder, DataSettings())
