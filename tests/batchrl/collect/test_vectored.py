"""``VectoredGymEnvironment`` does what the seed's notebook asks of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchrl.collect import VectoredGymEnvironment
from batchrl.contract.errors import InputError

COLUMNS = [
    *("action", "all_action_probabilities", "episode_id", "reward", "cumulative_rewards"),
    *(f"state_feature_{feature}" for feature in range(4)),
]


def made(n: int = 5, **options: Any) -> VectoredGymEnvironment:
    return VectoredGymEnvironment("CartPole-v0", n, **options)


def uniform(n: int = 5) -> list[list[float]]:
    return [[1 / 2, 1 / 2] for _ in range(n)]


def states_of(frame: pd.DataFrame) -> Any:
    return frame[[f"state_feature_{feature}" for feature in range(4)]].to_numpy(dtype=np.float32)


def test_the_lines_of_the_article_work() -> None:
    envs = VectoredGymEnvironment("CartPole-v0", 100)
    frame = envs.collect_rollouts_with_given_action_probs(action_probs=uniform(100), num_episodes=5)
    assert list(frame.columns) == COLUMNS
    assert sorted(frame["episode_id"].unique()) == list(range(500))
    # 500 episodes: the standard error is 0.53.
    assert abs(frame["cumulative_rewards"].sum() / 500 - 22.2) < 2.5


def test_rows_accumulate_and_episodes_are_numbered_on() -> None:
    envs = made()
    first = envs.collect_rollouts_with_given_action_probs(action_probs=uniform(), num_episodes=2)
    both = envs.collect_rollouts_with_given_action_probs(action_probs=uniform(), num_episodes=1)
    pd.testing.assert_frame_equal(both.iloc[: len(first)], first)
    assert sorted(both["episode_id"].unique()) == list(range(15))
    starts = both.groupby("episode_id").head(1)
    assert len(np.unique(states_of(starts), axis=0)) == 15


def test_probabilities_are_scaled_to_one() -> None:
    frame = made(2).collect_rollouts_with_given_action_probs(action_probs=[[1, 3], [1, 0]], num_episodes=1)
    assert set(frame["all_action_probabilities"]) == {"[0.25, 0.75]", "[1.0, 0.0]"}


@pytest.mark.parametrize("line", [{"predictions": [[0.2, 0.8]]}, {"SageMakerOutput": {"predictions": [[0.2, 0.8]]}}])
def test_probabilities_may_come_from_a_batch_transforms_output(tmp_path: Path, line: dict[str, Any]) -> None:
    path = tmp_path / "states.out"
    path.write_text(f"{json.dumps(line)}\n" * 3 + "\n")
    frame = made(3).collect_rollouts_with_given_action_probs(file_name=path, num_episodes=1)
    assert set(frame["all_action_probabilities"]) == {"[0.2, 0.8]"}


def test_a_line_without_predictions_is_named(tmp_path: Path) -> None:
    path = tmp_path / "states.out"
    path.write_text('{"predictions": [[0.2, 0.8]]}\n{"error": "no"}\n')
    with pytest.raises(InputError, match="line 2: no predictions"):
        made(2).collect_rollouts_with_given_action_probs(file_name=path, num_episodes=1)
    with pytest.raises(InputError, match="cannot be read"):
        made(2).collect_rollouts_with_given_action_probs(file_name=tmp_path / "none", num_episodes=1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_episodes": 1},
        {"action_probs": uniform()},
        {"action_probs": uniform(), "num_episodes": 1, "num_steps": 1},
        {"action_probs": uniform(4), "num_episodes": 1},
        {"action_probs": [[1.0]] * 5, "num_steps": 1},
        {"action_probs": uniform(), "file_name": "x", "num_steps": 1},
    ],
)
def test_arguments_that_do_not_go_together_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        made().collect_rollouts_with_given_action_probs(**arguments)


def test_steps_go_on_from_where_the_last_call_ended() -> None:
    envs = made(3)
    for _ in range(20):
        frame = envs.collect_rollouts_with_given_action_probs(action_probs=uniform(3), num_steps=4)
    assert len(frame) == 3 * 20 * 4
    assert list(frame.columns) == COLUMNS
    ended = frame.groupby("episode_id").tail(1)["cumulative_rewards"] > 0
    assert ended.sum() >= 3 and (~ended).sum() <= 3
    whole = frame[frame["episode_id"].isin(frame.loc[frame["cumulative_rewards"] > 0, "episode_id"])]
    for _, episode in whole.groupby("episode_id"):
        assert episode["cumulative_rewards"].iloc[-1] == len(episode)


def test_dumped_states_are_the_ones_that_are_acted_on(tmp_path: Path) -> None:
    envs = made(4)
    envs.collect_rollouts_with_given_action_probs(action_probs=uniform(4), num_episodes=1)
    envs.dump_environment_states(tmp_path, "states.jsonl")
    dumped = [json.loads(line) for line in (tmp_path / "states.jsonl").read_text().splitlines()]
    frame = envs.collect_rollouts_with_given_action_probs(action_probs=uniform(4), num_steps=1)
    np.testing.assert_array_equal(states_of(frame.tail(4)), np.array(dumped, dtype=np.float32))
    envs.dump_environment_states(str(tmp_path), "next.jsonl")
    dumped = [json.loads(line) for line in (tmp_path / "next.jsonl").read_text().splitlines()]
    frame = envs.collect_rollouts_with_given_action_probs(action_probs=uniform(4), num_episodes=1)
    begun = frame[frame["episode_id"] >= 4].groupby("episode_id").nth(1)
    np.testing.assert_array_equal(states_of(begun), np.array(dumped, dtype=np.float32))


def test_environments_can_be_stepped_one_by_one() -> None:
    envs = made(2)
    assert envs.is_initialized() and envs.get_environment_ids() == ["environment_0", "environment_1"]
    before = envs.get_environment_states()
    state, reward, done, info = envs.step("environment_1", 1)
    after = envs.get_environment_states()
    np.testing.assert_array_equal(after["environment_0"], before["environment_0"])
    np.testing.assert_array_equal(after["environment_1"], state)
    assert (reward, done, info) == (1.0, False, {})
    envs.reset_all_envs()
    assert not np.array_equal(envs.get_environment_states()["environment_0"], before["environment_0"])
    steps = 0
    while not done:
        _, _, done, _ = envs.step("environment_0", 0)
        steps += 1
    assert 7 < steps < 13
    envs.collect_rollouts_for_single_env_with_given_episodes("environment_1", [0.5, 0.5], 2)
    envs.reset("environment_0")
    envs.collect_rollouts_for_single_env_with_given_steps("environment_0", [0.5, 0.5], 3)
    envs.close("environment_0")
    with pytest.raises(InputError, match="environment_0 to environment_1"):
        envs.step("environment_2", 0)


def test_the_first_states_are_those_of_the_seeds_0_1_2() -> None:
    import gymnasium as gym

    states = made(3).get_environment_states()
    for index in range(3):
        expected, _ = gym.make("CartPole-v1").reset(seed=index)
        np.testing.assert_array_equal(states[f"environment_{index}"], expected)


def test_everything_is_seeded() -> None:
    def collected(seed: int) -> pd.DataFrame:
        envs = made(seed=seed)
        envs.collect_rollouts_with_given_action_probs(action_probs=uniform(), num_episodes=1)
        return envs.collect_rollouts_with_given_action_probs(action_probs=uniform(), num_steps=9)

    pd.testing.assert_frame_equal(collected(3), collected(3))
    assert not collected(3).equals(collected(4))
