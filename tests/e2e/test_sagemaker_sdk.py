"""The ``sagemaker`` SDK, both major versions, unmodified, against the local cloud: each check a process of its own."""

from __future__ import annotations

import ast
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import services

from launcher.local.engine.image import default_image

SUPPORT = Path(services.__file__).parent


def checks(version: int) -> Iterator[str]:
    """Names of the functions of a script that are checks."""
    for node in ast.parse((SUPPORT / f"sdk_v{version}.py").read_text()).body:
        if isinstance(node, ast.FunctionDef) and any("check(" in ast.unparse(one) for one in node.decorator_list):
            yield node.name


@pytest.fixture(scope="module")
def model(trained) -> str:
    """The archive of a policy for CartPole."""
    return str(trained.model_data)


def run_check(version: int, name: str, folder: Path, exports: str, model: str) -> dict[str, object]:
    (folder / "model.txt").write_text(model)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BATCHRL_"))}
    script = f'{exports}\nexec "$@"'
    words = (services.sdk_python(version), SUPPORT / f"sdk_v{version}.py", name, folder)
    done = subprocess.run(
        ["bash", "-c", script, "sdk", *map(str, words)], env=kept, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.fixture(scope="module")
def exports(command) -> str:
    """What a user's shell is told; batchrl's image serves where one of TensorFlow is named."""
    command("cloud", "up", "--image-alias", f"*/sagemaker-tensorflow-serving:*={default_image()}")
    return str(command("cloud", "env").stdout)


@pytest.mark.sdk_v2
@pytest.mark.parametrize("name", checks(2))
def test_version_2(name: str, tmp_path: Path, exports: str, model: str) -> None:
    assert run_check(2, name, tmp_path, exports, model)["check"] == name


@pytest.mark.sdk_v3
@pytest.mark.parametrize("name", checks(3))
def test_version_3(name: str, tmp_path: Path, exports: str, model: str) -> None:
    assert run_check(3, name, tmp_path, exports, model)["check"] == name
