"""Order and identity are doubted: each oddity is told with its count and first rows, and what settles it works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchrl.contract.errors import InputError
from batchrl.data.loader import LoadedData, load_dataset
from presets.dataschema import DataSettings

EPISODES, STEPS = 60, 4


def log(seed: int = 0, **columns: Any) -> pd.DataFrame:
    """60 episodes of 4 steps with continuous states, as good as it gets."""
    rng = np.random.default_rng(seed)
    n = EPISODES * STEPS
    frame = pd.DataFrame(
        {
            "action": rng.integers(0, 2, n),
            "all_action_probabilities": "[0.5, 0.5]",
            "episode_id": [f"u{number}" for number in np.repeat(np.arange(EPISODES), STEPS)],
            "reward": rng.normal(0.5, 1, n).round(3),
            "state_feature_0": rng.normal(size=n).round(3),
            "state_feature_1": rng.normal(size=n).round(3),
        }
    )
    return frame.assign(**columns)


def with_next(frame: pd.DataFrame) -> pd.DataFrame:
    """With the states of the next rows, empty at the ends."""
    after = frame.groupby("episode_id", sort=False)[["state_feature_0", "state_feature_1"]].shift(-1)
    return frame.assign(**{f"next_{name}": after[name] for name in after})


def closed(frame: pd.DataFrame, pays: float) -> pd.DataFrame:
    """In schema A, with closing rows that pay."""
    last = frame.groupby("episode_id", sort=False).tail(1)
    last = last.assign(action=np.nan, all_action_probabilities=np.nan, reward=pays)
    return pd.concat([frame, last]).sort_index(kind="stable")


def loaded(path: Path, frame: pd.DataFrame, **settings: Any) -> LoadedData:
    frame.to_csv(path / "log.csv", index=False)
    return load_dataset(path / "log.csv", DataSettings(**settings))


def refused(path: Path, frame: pd.DataFrame, **settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        loaded(path, frame, **settings)
    return str(caught.value)


def test_a_good_log_is_not_doubted(tmp_path: Path) -> None:
    for frame in (log(), with_next(log()), closed(log(), 0.0), closed(log(), np.nan)):
        assert loaded(tmp_path, frame).doubts == ()


def test_rows_logged_twice_are_refused_and_can_be_dropped(tmp_path: Path) -> None:
    frame = log()
    expected = loaded(tmp_path, frame).dataset
    copied = frame.loc[np.sort(np.concatenate([np.arange(len(frame)), np.arange(80)]))]
    again = pd.concat([frame, frame.head(80)])
    for doubled, line in ((copied, 3), (again, len(frame) + 2)):
        message = refused(tmp_path, doubled)
        assert "80 of 320 rows are exact copies of one before in their episode (first rows: line " in message
        assert f"first rows: line {line}, episode u0; line" in message and "data.repair=[duplicates]" in message
        assert (
            loaded(tmp_path, doubled, repair=["duplicates"], accept=["reused_ids"]).dataset.sha256()
            == expected.sha256()
        )
        kept = loaded(tmp_path, doubled, accept=["duplicates"])
        assert kept.dataset.n_transitions == 320 and kept.doubts[0].kind == "duplicates"


def test_copies_go_in_both_schemas_and_with_next_states(tmp_path: Path) -> None:
    for frame in (with_next(log()), closed(log(), 0.0)):
        expected = loaded(tmp_path, frame).dataset.sha256()
        steps = frame[frame["action"].notna()]
        doubled = pd.concat([frame, steps.iloc[[5, 9, 9]]]).sort_index(kind="stable")
        dropped = loaded(tmp_path, doubled, repair=["duplicates"])
        assert dropped.dataset.sha256() == expected and dropped.doubts == ()


def test_states_that_repeat_by_themselves_are_no_copies(tmp_path: Path) -> None:
    """Users with unchanging features, and few discrete states: rows are equal by chance."""
    rng = np.random.default_rng(1)
    static = log().assign(state_feature_0=np.repeat(np.arange(EPISODES), STEPS), state_feature_1=1.0)
    clicks = static.assign(reward=rng.integers(0, 2, len(static)))
    assert clicks.duplicated().sum() > 10
    assert [doubt.kind for doubt in loaded(tmp_path, clicks).doubts] == []
    discrete = log().assign(
        state_feature_0=rng.integers(0, 2, EPISODES * STEPS), state_feature_1=0, reward=rng.integers(0, 2, 240)
    )
    assert discrete.duplicated().sum() > 10
    assert [doubt.kind for doubt in loaded(tmp_path, discrete).doubts] == []
    # A certain policy going round in circles: whatever has the same state is the same row.
    circles = log(action=0, all_action_probabilities="[0.99, 0.01]", reward=0.0, state_feature_1=0)
    circles["state_feature_0"] = (np.arange(240) + np.repeat(np.arange(60), 4)) % 2
    assert circles.duplicated().sum() == 120
    assert [doubt.kind for doubt in loaded(tmp_path, circles).doubts] == ["no_rewards"]


def test_days_with_several_rows_of_an_unchanging_user_are_no_copies(tmp_path: Path) -> None:
    """Where times are coarse, equal rows of one time are likely."""
    rng = np.random.default_rng(2)
    static = log(
        state_feature_0=np.repeat(np.arange(EPISODES), STEPS), state_feature_1=1.0, t=np.tile([0, 0, 0, 1], 60)
    )
    clicks = static.assign(reward=(rng.random(240) < 0.2).astype(int))
    assert clicks.duplicated().sum() > 10
    assert loaded(tmp_path, clicks, columns={"time": "t"}).doubts == ()


def test_ids_used_again_are_told_and_can_be_kept_apart(tmp_path: Path) -> None:
    days = pd.concat([log(0), log(1)])
    told = loaded(tmp_path, days)
    assert told.dataset.n_episodes == 60
    [doubt] = told.doubts
    assert (doubt.kind, doubt.rows) == ("reused_ids", 60)
    assert "60 of 60 ids come back after other ids, 60 times in all (first rows: line 242, episode u0;" in doubt.message
    apart = loaded(tmp_path, days, episode_ids="per_run")
    assert apart.dataset.n_episodes == 120 and apart.doubts == ()
    assert apart.dataset.episode_ids[0] == "u0" and apart.dataset.episode_ids[60] == "u0#2"
    expected = np.concatenate([log(seed).groupby("episode_id", sort=False)["reward"].sum() for seed in (0, 1)])
    np.testing.assert_allclose(apart.dataset.returns, expected)
    assert loaded(tmp_path, days, accept=["reused_ids"]).doubts == ()


def test_ids_that_come_back_are_no_doubt_where_time_sorts(tmp_path: Path) -> None:
    days = pd.concat([log(0, t=np.arange(240)), log(1, t=np.arange(240, 480))])
    assert loaded(tmp_path, days, columns={"time": "t"}).doubts == ()


def test_copies_of_one_time_are_copies_even_where_states_repeat(tmp_path: Path) -> None:
    static = log(state_feature_0=np.repeat(np.arange(EPISODES), STEPS), state_feature_1=1.0, t=np.arange(240))
    assert loaded(tmp_path, static, columns={"time": "t"}).doubts == ()
    doubled = pd.concat([static, static.iloc[[5, 50]]]).sample(frac=1, random_state=0)
    message = refused(tmp_path, doubled, columns={"time": "t"})
    assert "2 of 242 rows are exact copies" in message
    mended = loaded(tmp_path, doubled, columns={"time": "t"}, repair=["duplicates"])
    assert mended.doubts == () and mended.dataset.n_transitions == 240
    plain = loaded(tmp_path, static, columns={"time": "t"}).dataset
    ours = dict(zip(mended.dataset.episode_ids, mended.dataset.discounted_returns(0.9), strict=True))
    theirs = dict(zip(plain.episode_ids, plain.discounted_returns(0.9), strict=True))
    assert ours == pytest.approx(theirs)


@pytest.mark.parametrize(("first", "second"), [("u{}", " u{}"), (" u{}", "u{}"), ("{}", "{}.0"), ("{}.00", "{} ")])
def test_ids_that_are_spelled_in_two_ways_are_refused_and_can_be_one(tmp_path: Path, first: str, second: str) -> None:
    numbers = np.repeat(np.arange(EPISODES), STEPS)
    frame = log(episode_id=[(first, first, second, second)[i % 4].format(number) for i, number in enumerate(numbers)])
    message = refused(tmp_path, frame)
    assert "60 ids differ from others by spaces or by '.0' alone" in message or "120 ids differ" in message
    assert "data.repair=[id_spellings]" in message and "first rows: line" in message
    one = loaded(tmp_path, frame, repair=["id_spellings"])
    assert one.dataset.n_episodes == 60 and one.doubts == ()
    expected = log().groupby("episode_id", sort=False)["reward"].sum()
    np.testing.assert_allclose(one.dataset.returns, expected)
    assert loaded(tmp_path, frame, accept=["id_spellings"]).dataset.n_episodes == 120


def test_ids_that_are_all_spelled_alike_are_left_alone(tmp_path: Path) -> None:
    for spell in (" u{}", "{}.0", "00{}"):
        numbers = np.repeat(np.arange(EPISODES), STEPS)
        frame = log(episode_id=[spell.format(number) for number in numbers])
        found = loaded(tmp_path, frame, repair=["id_spellings"])
        assert found.doubts == () and found.dataset.episode_ids[7] == spell.format(7)


def test_rewards_of_closing_rows_are_refused_and_can_be_counted(tmp_path: Path) -> None:
    frame = closed(log(), 10.0)
    message = refused(tmp_path, frame)
    assert "60 rows without an action, which close their episodes, carry rewards of 600 in all" in message
    assert "first rows: line 6, episode u0; line 11, episode u1; line 16, episode u2" in message
    added = loaded(tmp_path, frame, repair=["closing_rewards"])
    assert added.doubts == ()
    np.testing.assert_allclose(added.dataset.returns, log().groupby("episode_id", sort=False)["reward"].sum() + 10)
    left = loaded(tmp_path, frame, accept=["closing_rewards"])
    np.testing.assert_allclose(left.dataset.returns, log().groupby("episode_id", sort=False)["reward"].sum())
    assert [doubt.kind for doubt in left.doubts] == ["closing_rewards"]


def test_next_states_that_contradict_the_next_row_are_refused(tmp_path: Path) -> None:
    frame = with_next(log())
    shuffled = frame.copy()
    shuffled.iloc[[0, 1, 2]] = frame.iloc[[2, 0, 1]]
    message = refused(tmp_path, shuffled)
    # Rows 2, 0, 1, 3: only 0 stands before the row that followed it.
    assert "the next state of 2 of 180 rows is not the state of their episode's next row" in message
    assert "first rows: line 2, episode u0; line 4, episode u0" in message and "sort them by time" in message
    assert [doubt.kind for doubt in loaded(tmp_path, shuffled, accept=["next_states"]).doubts] == ["next_states"]
    rounded = frame.assign(next_state_feature_0=frame["next_state_feature_0"] + 4e-4)
    assert loaded(tmp_path, rounded).doubts == ()


TOLD: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str, list[str]]] = {
    "no rewards": (lambda frame: frame.assign(reward=0.0), "no_rewards", ["every reward of 240 rows is 0"]),
    "one return": (lambda frame: frame.assign(reward=1.0), "equal_returns", ["all 60 episodes return 4"]),
    "one return of other rewards": (
        lambda frame: frame.assign(reward=np.tile([0.1, 0.2, 0.3, 0.4], 60)),
        "equal_returns",
        ["all 60 episodes return 1"],
    ),
    "huge rewards": (
        lambda frame: frame.assign(reward=frame["reward"].where(frame.index != 7, -2.5e12)),
        "huge_rewards",
        ["1 rewards are 1,000,000 or more, up to 2.5e+12", "first row: line 9, episode u1"],
    ),
    "an id that is a word for nothing": (
        lambda frame: frame.replace({"episode_id": {"u1": "NA"}}),
        "missing_ids",
        ["4 rows have the id 'NA'", "line 6, episode NA"],
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_may_be_meant_is_told(tmp_path: Path, name: str) -> None:
    change, kind, words = TOLD[name]
    frame = change(log())
    found = loaded(tmp_path, frame)
    assert [doubt.kind for doubt in found.doubts] == [kind]
    for word in [*words, f"data.accept=[{kind}]"]:
        assert word in f"{found.doubts[0].message} {found.doubts[0].advice}"
    assert loaded(tmp_path, frame, accept=[kind]).doubts == ()


def test_a_reward_that_is_constant_in_episodes_of_other_lengths_is_none(tmp_path: Path) -> None:
    assert loaded(tmp_path, log(reward=1.0).drop(index=7)).doubts == ()


def test_everything_that_is_wrong_comes_at_once(tmp_path: Path) -> None:
    frame = log()
    frame.loc[[9, 20, 30], "action"] = 5
    frame.loc[[40, 41], "reward"] = np.nan
    frame.loc[50, "state_feature_1"] = np.inf
    frame.loc[60, "all_action_probabilities"] = "[0.5, 0.6]"
    frame.loc[70, "all_action_probabilities"] = "[0.5, -0.5]"
    frame.loc[[100, 101], "episode_id"] = " u25"
    frame = pd.concat([frame, frame.iloc[[200]]]).sort_index(kind="stable")
    message = refused(tmp_path, frame)
    lines = message.splitlines()
    assert "line 52, episode u12, column 'state_feature_1': the value is inf" in lines[0]
    assert lines[2] == "Also wrong:" and len(lines) == 9
    for words in (
        "line 42, episode u10, column 'reward': the value is empty (1 more row like it: line 43). Right is: a finite",
        "line 72, episode u17, column 'all_action_probabilities': [0.5, -0.5] has a negative entry.",
        "line 62, episode u15, column 'all_action_probabilities': [0.5, 0.6] does not sum to 1.",
        "line 11, episode u2, column 'action': there is no action 5 (2 more rows like it: line 22, line 32).",
        "1 ids differ from others by spaces or by '.0' alone, in 2 rows",
        "1 of 241 rows are exact copies",
    ):
        assert words in message
    # A row is named for the first thing that is wrong in its cell only, and for no probability of a wrong action.
    assert message.count("line 72") == 1 and "probability 0" not in message


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_cells_that_cannot_be_read_come_with_everything_else(tmp_path: Path, kind: str) -> None:
    frame = log(terminal=0).astype({"reward": object, "terminal": object})
    frame.loc[[40, 41, 200], "reward"] = "high"
    frame.loc[[60, 61], "terminal"] = 7
    frame.loc[70, "all_action_probabilities"] = "[0.5, 0.6]"
    frame.loc[[80, 81], "action"] = 9
    if kind == "parquet":
        text = {"reward": str, "terminal": int}
        frame.astype(text).to_parquet(tmp_path / "log")
    elif kind == "jsonl":
        frame.to_json(tmp_path / "log", orient="records", lines=True)
    else:
        frame.to_csv(tmp_path / "log", index=False)
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path / "log", DataSettings())
    message, (unit, ahead) = str(caught.value), {"csv": ("line", 2), "jsonl": ("line", 1), "parquet": ("row", 1)}[kind]
    for row, words, more in (
        (40, "episode u10, column 'reward': 'high' is not a number", [41, 200]),
        (60, "episode u15, column 'terminal': 7 is no flag", [61]),
        (70, "episode u17, column 'all_action_probabilities': [0.5, 0.6] does not sum to 1", []),
        (80, "episode u20, column 'action': there is no action 9", [81]),
    ):
        places = ", ".join(f"{unit} {other + ahead}" for other in more)
        further = f" ({len(more)} more row{'s' if len(more) > 1 else ''} like it: {places})" if more else ""
        assert f"{unit} {row + ahead}, {words}{further}." in message
    assert len(message.splitlines()) == 6
    frame.loc[90, "all_action_probabilities"] = "half"
    frame.to_csv(tmp_path / "log", index=False)
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path / "log", DataSettings())
    for words in ("'high' is not a number (2 more", "line 92", "'half' is not a list of numbers"):
        assert words in str(caught.value)


def test_doubts_are_the_same_in_mapped_files(tmp_path: Path) -> None:
    days = pd.concat([log(0), log(1)])
    assert loaded(tmp_path, days, storage="mapped").doubts == loaded(tmp_path, days).doubts
    doubled = pd.concat([log(), log().head(3)])
    assert refused(tmp_path, doubled, storage="mapped") == refused(tmp_path, doubled)


def test_no_fault_is_named_by_chance(tmp_path: Path) -> None:
    """Places of doubts in a folder name the file that the rows lie in."""
    (tmp_path / "logs").mkdir()
    log().to_csv(tmp_path / "logs" / "a.csv", index=False)
    second = log(1).assign(episode_id=lambda frame: "v" + frame["episode_id"])
    pd.concat([second, second.iloc[[3]]]).sort_index(kind="stable").to_csv(tmp_path / "logs" / "b.csv", index=False)
    with pytest.raises(InputError, match=r"first row: .*b\.csv, line 6, episode vu0"):
        load_dataset(tmp_path / "logs", DataSettings())
