"""Whole jobs on a local cloud of their own, in both executors, through the product's own surface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from jobs import run_command

from launcher.session.session import LocalSession, Session
from launcher.training.estimator import RLEstimator

Command = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with a space in its path; its cloud is taken down with all jobs."""
    folder = tmp_path_factory.mktemp("data folder")
    yield folder
    run_command(folder, "cloud", "down", "--stop-jobs")


@pytest.fixture(scope="session")
def command(home: Path) -> Command:
    return partial(run_command, home)


@pytest.fixture(scope="session")
def session(home: Path) -> LocalSession:
    return Session.local(home)


@pytest.fixture(scope="session")
def dataset(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seed's 500 random episodes, as a csv."""
    file = tmp_path_factory.mktemp("data") / "cartpole.csv"
    command(
        *("collect", "--env", "CartPole-v0", "--num-envs", "100", "--episodes", "5"),
        *("--seed", "7", "--output", str(file)),
    )
    return file


@pytest.fixture(scope="session")
def trained(dataset: Path, session: LocalSession) -> RLEstimator:
    """An estimator whose job has left a policy for CartPole."""
    estimator = RLEstimator(
        preset="cartpole-ddqn-bcq",
        hyperparameters={"epochs": 1, "reward_model.epochs": 1, "ope.bootstrap_resamples": 20},
        instance_type="local_process",
        base_job_name="trained",
        session=session,
    )
    estimator.fit({"training": str(dataset)}, logs=False)
    return estimator


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Make a source folder with one script, ``main.py``."""

    def make(text: str) -> Path:
        folder = tmp_path / "source"
        folder.mkdir(exist_ok=True)
        (folder / "main.py").write_text(text)
        return folder

    return make
