"""Evaluation in a simulator, as a library and as the script of a job."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scripts import script_module

from batchrl.checkpoints.finding import find_policy
from batchrl.collect import EnvId, collect, make_simulator, to_frame, write_table
from batchrl.collect.evaluation import Evaluation, check_fit, evaluate, record_gif
from batchrl.contract.errors import InputError
from batchrl.contract.paths import JobPaths
from batchrl.policies import Floats32, Floats64, GreedyPolicy, UniformPolicy

CARTPOLE = EnvId("CartPole-v0", 200)
PRESET = ["--preset", "cartpole-ddqn-bcq-env"]
SMALL = ["--num_envs", "5", "--min_episodes", "5", "--evaluate_steps", "20"]


class Balance:
    """A controller that keeps the pole up, 0.6 to 0.4: only greedily does it always succeed."""

    def action_probabilities(self, states: Floats32) -> Floats64:
        right = np.where(states @ np.array([0.1, 0.5, 10.0, 2.0]) > 0, 0.6, 0.4)
        return np.stack([1 - right, right], axis=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short training job."""
    from batchrl.commandline.arguments import run_script

    folder = tmp_path_factory.mktemp("trained")
    rollouts = collect(make_simulator(CARTPOLE, 10), UniformPolicy(2), episodes=5)
    write_table(to_frame(rollouts), folder / "data.csv")
    settings = ["--epochs", "2", "--reward_model.epochs", "1", "--ope.bootstrap_resamples", "10"]
    arguments = ["--preset", "cartpole-ddqn-bcq", "--training", str(folder / "data.csv"), "--output", str(folder)]
    assert run_script(script_module("train").train, [*arguments, *settings, "--agent.embedder", "[8]"], "") == 0
    return folder


@pytest.fixture(scope="module")
def evaluate_script() -> ModuleType:
    return script_module("evaluate")


def run(module: ModuleType, *argv: str) -> int:
    from batchrl.commandline.arguments import run_script

    return run_script(module.main, [*PRESET, *SMALL, *argv], "", module.OPTIONS)


def small(policy: Any, **options: Any) -> Evaluation:
    arguments = {"evaluate_steps": 1, "min_episodes": 1, "num_envs": 10, "seed": 0} | options
    return evaluate(policy, options.pop("env", CARTPOLE), **{k: v for k, v in arguments.items() if k != "env"})


def test_the_most_probable_action_is_taken() -> None:
    result = small(Balance(), num_envs=20)
    assert (result.mean_return, result.standard_error, result.min_return) == (200, 0, 200)
    assert (result.episodes, result.steps) == (20, 4000)


def test_the_figures_are_those_of_the_episodes() -> None:
    result = small(UniformPolicy(2), min_episodes=200)
    returns = np.array(result.returns)
    assert result.episodes == len(returns) == 200 and result.steps == returns.sum()
    assert result.mean_return == pytest.approx(returns.mean())
    assert result.standard_error == pytest.approx(returns.std(ddof=1) / np.sqrt(200))
    assert (result.min_return, result.max_return) == (returns.min(), returns.max())
    assert abs(result.mean_return - 22.2) < 5 * (result.standard_error or 0)
    assert json.loads(json.dumps(result.to_dict()))["returns"] == list(result.returns)
    assert str(result).startswith(f"evaluation episodes=200 steps={result.steps} mean_return={result.mean_return:.2f} ")


@pytest.mark.parametrize(("steps", "episodes", "envs"), [(1000, 1, 10), (1, 25, 10), (3000, 40, 7), (1, 1, 1)])
def test_at_least_so_many_steps_and_whole_episodes_are_played(steps: int, episodes: int, envs: int) -> None:
    result = small(UniformPolicy(2), evaluate_steps=steps, min_episodes=episodes, num_envs=envs)
    assert result.steps >= steps and result.episodes >= episodes
    assert result.episodes % envs == 0
    assert len(set(result.returns)) > 1 or result.episodes == 1


def test_the_discounted_return_is_that_of_the_same_episodes() -> None:
    result = small(UniformPolicy(2), min_episodes=50, discount=0.9)
    # CartPole pays 1 a step: the plain return of an episode is its length.
    discounted = (1 - 0.9 ** np.array(result.returns)) / (1 - 0.9)
    assert result.discounted_return == pytest.approx(discounted.mean())
    assert result.discounted_standard_error == pytest.approx(discounted.std(ddof=1) / np.sqrt(len(discounted)))
    assert str(result).endswith(f"discounted_return={discounted.mean():.2f} discount=0.9")
    assert small(UniformPolicy(2), min_episodes=5).discounted_return is None


def test_one_episode_has_no_standard_error() -> None:
    result = small(UniformPolicy(2), num_envs=1)
    assert result.standard_error is None and "standard_error=n/a" in str(result)


def test_the_same_seed_repeats_an_evaluation() -> None:
    first, again, other = (small(UniformPolicy(2), min_episodes=30, seed=seed) for seed in (1, 1, 2))
    assert first.returns == again.returns != other.returns


def test_the_gif_shows_one_episode_and_stays_small() -> None:
    content = record_gif(Balance(), CARTPOLE, seed=0)
    image = Image.open(io.BytesIO(content))
    assert image.format == "GIF" and 60 < image.n_frames <= 121  # type: ignore[attr-defined]
    assert image.size == (600, 432) and len(content) < 1_000_000
    assert GreedyPolicy(Balance()).action_probabilities(np.zeros((1, 4), dtype=np.float32)).max() == 1


def test_an_environment_without_pictures_says_so() -> None:
    import gymnasium as gym

    class Blind(gym.Env[Any, Any]):
        observation_space = gym.spaces.Box(-1, 1, (4,))
        action_space = gym.spaces.Discrete(2)

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
            return np.zeros(4, dtype=np.float32), {}

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            return np.zeros(4, dtype=np.float32), 1.0, True, False, {}

    gym.register("Blind-v0", Blind, disable_env_checker=True)
    with pytest.raises(InputError, match=r"render|made"):
        record_gif(UniformPolicy(2), EnvId("Blind-v0"), seed=0)


def test_E222_the_script_evaluates_the_checkpoint_channel(
    trained: Path,
    evaluate_script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BATCHRL_ML_ROOT", str(tmp_path))
    monkeypatch.setenv("TRAINING_JOB_NAME", "evaluation-1")
    paths = JobPaths(tmp_path)
    shutil.copytree(trained / "checkpoints", paths.channel("checkpoint"))
    assert run(evaluate_script) == 0
    printed = capsys.readouterr().out
    result = json.loads((paths.output_data / "evaluation.json").read_text())
    assert f"evaluation episodes={result['episodes']} steps={result['steps']} mean_return=" in printed
    assert result["job"] == "evaluation-1" and result["policy"]["n_actions"] == 2 and result["env"] == "CartPole-v0"
    best = json.loads((trained / "checkpoints" / "best.json").read_text())
    assert result["policy"]["epoch"] == best["epoch"]
    assert json.loads((paths.output_data / "resolved_preset.json").read_text())["num_envs"] == 5
    assert (result["num_envs"], result["copies"]) == (5, 5)
    assert (paths.intermediate / "gifs" / "episode.gif").stat().st_size > 0
    assert [path.name for path in (paths.intermediate / "gifs").iterdir()] == ["episode.gif"]


def packed(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, ".")
    return archive


@pytest.mark.parametrize(
    "what", ["checkpoints", "nested", "file", "model", "archive", "folder with archive", "output archive"]
)
def test_a_policy_is_found_in_every_form_that_a_job_leaves(
    what: str, trained: Path, evaluate_script: ModuleType, tmp_path: Path
) -> None:
    # "nested" is what the raw prefix .../checkpoints without a slash downloads as (contract 48).
    given = {
        "checkpoints": lambda: trained / "checkpoints",
        "nested": lambda: shutil.copytree(trained / "checkpoints", tmp_path / "in" / "checkpoints").parent,
        "file": lambda: trained / "checkpoints" / "epoch_0001.pt",
        "model": lambda: trained / "model",
        "archive": lambda: packed(trained / "model", tmp_path / "model.tar.gz"),
        "folder with archive": lambda: packed(trained / "model", tmp_path / "model.tar.gz").parent,
        # Of a job without a place for checkpoints: they lie beside its summary and its csv.
        "output archive": lambda: packed(
            shutil.copytree(trained / "checkpoints", tmp_path / "data" / "checkpoint").parent,
            tmp_path / "output.tar.gz",
        ),
    }[what]()
    assert run(evaluate_script, "--checkpoint", str(given), "--output", str(tmp_path / "out"), "--gif", "0") == 0
    assert not (tmp_path / "out" / "output" / "intermediate").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--checkpoint", "nowhere"], "nowhere does not exist"),
        (["--env.id", "Acrobot-v1"], "takes states of 4 features and has 2 actions; Acrobot-v1 has 6 features"),
        (["--env.id", "Nope-v0"], "there is no environment 'Nope-v0'"),
        (["--evaluate_step", "3"], "Did you mean 'evaluate_steps'?"),
        (["--evaluate_steps", "few"], "'evaluate_steps' got 'few'"),
        (["--preset", "cartpole-ddqn-bcq"], "not of kind 'evaluate'"),
    ],
)
def test_a_mistake_is_a_message_exit_code_2_and_nothing_written(
    trained: Path,
    evaluate_script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    says: str,
) -> None:
    output = tmp_path / "out"
    assert run(evaluate_script, "--checkpoint", str(trained / "checkpoints"), "--output", str(output), *options) == 2
    assert says in capsys.readouterr().err
    assert not output.exists()


def test_a_channel_without_a_policy_says_what_it_holds(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it holds nothing"):
        find_policy(tmp_path, tmp_path / "scratch")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"it holds notes\.txt"):
        find_policy(tmp_path, tmp_path / "scratch")
    for name in ("one", "two"):
        shutil.copytree(trained / "model", tmp_path / name)
    with pytest.raises(InputError, match="several policies: one, two"):
        find_policy(tmp_path, tmp_path / "scratch")


def test_a_policy_for_other_actions_does_not_fit(trained: Path) -> None:
    class Other:
        n_actions, n_features = 3, 4

        def action_probabilities(self, states: Floats32) -> Floats64:
            return np.full((len(states), 3), 1 / 3)

    with pytest.raises(InputError, match="has 3 actions; CartPole-v0 has 4 features and 2 actions"):
        check_fit(Other(), make_simulator(CARTPOLE, 1), CARTPOLE, trained)  # type: ignore[arg-type]
