"""Models and servers that tests of one session share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from modelservers import ModelServer, exported, policy_model, running

# Networks whose states take a while: a full body of theirs takes seconds.
HEAVY = (1024, 1024)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small exported model; read it only."""
    return exported(tmp_path_factory.mktemp("model"), policy_model())


@pytest.fixture(scope="session")
def heavy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model that takes its time; read it only."""
    return exported(tmp_path_factory.mktemp("heavy"), policy_model(hidden=HEAVY))


@pytest.fixture(scope="session")
def server(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """The small model, served by two workers; do not end it."""
    environ = {"SAGEMAKER_MODEL_SERVER_WORKERS": "2"}
    with running(model_folder, tmp_path_factory.mktemp("server"), environ) as one:
        yield one
