"""The exported model: what it holds, that it is whole by itself, and that AWS's toolkit can serve it."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from modelservers import CSV, FACTS, JSON, JSON_LINES, as_lines, exported, network, parsed, policy_model, states

from batchrl.agents.masks import ImitationMask
from batchrl.checkpoints.export import TOOLKIT_NEEDS, import_model
from batchrl.checkpoints.policy import load_policy
from batchrl.contract.archive import pack
from batchrl.contract.errors import DamagedContent
from batchrl.contract.files import file_sha256
from batchrl.contract.inference import CODE_FOLDER, InferenceCode, digest
from batchrl.contract.nofollow import JobFolder
from batchrl.data.dataset import default_names
from batchrl.serving import toolkit
from batchrl.serving.invocation import Service
from batchrl.serving.predictor import Predictor

STATES = states(10)
ROOT = Path(__file__).parents[3]


def description(folder: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((folder / "model.json").read_bytes())
    return content


def test_the_description_says_what_the_model_is_and_where_it_comes_from(tmp_path: Path) -> None:
    mask = ImitationMask(network(3, 2, seed=5), 0.55, relative=True, absent=[1])
    found = description(exported(tmp_path, policy_model(mask=mask)))
    assert found.items() >= FACTS.items()
    assert (found["n_features"], found["n_actions"]) == (3, 2)
    assert found["target_policy"] == "softmax of values at temperature 1"
    policy = found["policy"]
    assert isinstance(policy, dict)
    assert policy["preferences"] == {
        "network": {"n_features": 3, "n_outputs": 2, "hidden": [8], "ensemble": 1},
        "scale": 2.0,
    }
    assert policy["mask"].items() >= {"kind": "imitation", "threshold": 0.55, "relative": True, "absent": [1]}.items()
    assert policy["target"] == {"kind": "softmax", "temperature": 1.0, "epsilon": 0.1}
    assert found["weights_sha256"] == file_sha256(tmp_path / "model.safetensors")
    versions = found["versions"]
    assert isinstance(versions, dict)
    assert versions["torch"] == torch.__version__
    assert set(versions) == {"python", "torch", "numpy", "safetensors"}


def test_C180_the_code_is_the_library_the_presets_and_the_scripts(model_folder: Path) -> None:
    code = model_folder / CODE_FOLDER
    files = {path.relative_to(code).as_posix(): path for path in code.rglob("*") if path.is_file()}
    assert {path.suffix for path in files.values()} == {".py", ".yaml", ".txt"}
    assert files.keys() > {
        "serve.py",
        "inference.py",
        "requirements.txt",
        "batchrl/serving/app.py",
        "presets/schema.py",
    }
    for name, path in files.items():
        if name == "requirements.txt":
            assert path.read_text() == TOOLKIT_NEEDS
        else:
            own = ROOT / name if name.startswith("presets/") else ROOT / "entrypoints" / name
            assert path.read_bytes() == own.read_bytes()
    assert {f"presets/{path.name}" for path in (ROOT / "presets").glob("*.yaml")} < files.keys()
    said = description(model_folder)["code"]
    contents = {name: path.read_bytes() for name, path in files.items()}
    assert said == {"folder": "code", "server": "serve.py", "files": len(files), "sha256": digest(contents)}
    listed = subprocess.run(["sha256sum", *sorted(files)], cwd=code, capture_output=True, check=True).stdout
    assert (
        subprocess.run(["sha256sum"], input=listed, capture_output=True, check=True).stdout.split()[0].decode()
        == (said["sha256"])
    )


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        exported(tmp_path / name, policy_model())
        pack(JobFolder(tmp_path / name), tmp_path / f"{name}.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_code_of_an_earlier_export_does_not_stay(tmp_path: Path) -> None:
    exported(tmp_path, policy_model())
    left = tmp_path / CODE_FOLDER / "batchrl" / "left.py"
    left.write_text("")
    exported(tmp_path, policy_model())
    assert not left.exists()


def test_nothing_is_unpickled(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **settings: object) -> None:
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)
    wanted = policy_model().action_probabilities(STATES)
    np.testing.assert_array_equal(load_policy(model_folder).action_probabilities(STATES), wanted)


@pytest.mark.parametrize("how", ["cut", "other", "missing"])
def test_weights_that_are_not_the_described_ones_are_refused(tmp_path: Path, how: str) -> None:
    weights = exported(tmp_path, policy_model()) / "model.safetensors"
    content = weights.read_bytes()
    if how == "missing":
        weights.unlink()
    else:
        weights.write_bytes(content[:-4] if how == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DamagedContent, match=str(tmp_path)):
        import_model(tmp_path)


def test_a_model_of_old_without_code_is_still_read(tmp_path: Path) -> None:
    exported(tmp_path, policy_model())
    shutil.rmtree(tmp_path / CODE_FOLDER)
    old = description(tmp_path)
    for name in ("code", "versions", "n_features", "n_actions", "target_policy"):
        del old[name]
    (tmp_path / "model.json").write_text(json.dumps(old))
    assert load_policy(tmp_path).n_features == 3


def test_E224_the_code_serves_the_model_without_this_checkout(model_folder: Path) -> None:
    """As in AWS's image: the folder of the code first on the path, the working directory elsewhere."""
    code = model_folder / CODE_FOLDER
    program = (
        "import batchrl, inference, sys\n"
        f"service = inference.model_fn({str(model_folder)!r})\n"
        f"incoming = inference.input_fn(b'[1,2,3]', {JSON_LINES!r})\n"
        f"body, kind = inference.output_fn(inference.predict_fn(incoming, service), {JSON!r})\n"
        "print(body.decode(), file=sys.stderr)\n"
        "print(batchrl.__file__)\n"
    )
    environ = os.environ | {"PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environ, cwd="/", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(code)
    expected = policy_model().action_probabilities(np.array([[1, 2, 3]], dtype=np.float32)).tolist()
    assert json.loads(done.stderr)["predictions"] == [pytest.approx(expected[0])]


def test_only_whole_copies_of_the_code_are_the_same(model_folder: Path, tmp_path: Path) -> None:
    own = InferenceCode.own()
    copy = tmp_path / "copy"
    shutil.copytree(model_folder / CODE_FOLDER, copy)
    assert InferenceCode.below(copy).same_as(own)
    changed = copy / "presets" / "generic-discrete.yaml"
    changed.write_bytes(changed.read_bytes() + b"#")
    assert not InferenceCode.below(copy).same_as(own)
    changed.unlink()
    assert not InferenceCode.below(copy).same_as(own)


@pytest.mark.parametrize("accept", [JSON_LINES, JSON, CSV])
@pytest.mark.parametrize("content_type", [JSON_LINES, JSON, CSV])
def test_the_toolkits_handlers_answer_as_the_server_does(model_folder: Path, content_type: str, accept: str) -> None:
    bodies = {
        JSON_LINES: as_lines(STATES),
        JSON: json.dumps(STATES.tolist()).encode(),
        CSV: "".join(f"{','.join(map(str, row))}\n" for row in STATES.tolist()).encode(),
    }
    body = bodies[content_type]
    service = toolkit.model_fn(str(model_folder))
    # The toolkit hands JSON and CSV over as text.
    given = body if content_type == JSON_LINES else body.decode()
    found = toolkit.output_fn(toolkit.predict_fn(toolkit.input_fn(given, content_type), service), accept)
    model = policy_model()
    expected = Service(Predictor(model, model.target, default_names(model.n_actions))).answer(
        content_type, accept, body
    )
    assert found == (expected.body, expected.content_type)


def test_the_toolkit_calls_handlers_by_the_number_of_their_parameters() -> None:
    handlers = (toolkit.model_fn, toolkit.input_fn, toolkit.predict_fn, toolkit.output_fn)
    assert [len(inspect.signature(handler).parameters) for handler in handlers] == [1, 2, 2, 2]


@pytest.mark.parametrize("within_the_image", [False, True])
def test_what_the_handlers_refuse_has_a_status_in_awss_image(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, within_the_image: bool
) -> None:
    class ToolkitError(Exception):
        def __init__(self, status_code: int, message: str, phrase: str) -> None:
            super().__init__(message)
            self.status_code = status_code

    if within_the_image:
        errors = types.ModuleType("sagemaker_inference.errors")
        errors.BaseInferenceToolkitError = ToolkitError  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "sagemaker_inference", types.ModuleType("sagemaker_inference"))
        monkeypatch.setitem(sys.modules, "sagemaker_inference.errors", errors)
    service = toolkit.model_fn(str(model_folder))
    one = toolkit.predict_fn(toolkit.input_fn(b"[1,2]", JSON_LINES), service)
    calls = [
        (415, "image/png", lambda: toolkit.input_fn(b"", "image/png")),
        (400, "not JSON", lambda: toolkit.predict_fn(toolkit.input_fn("{", JSON), service)),
        (406, "image/png", lambda: toolkit.output_fn(one, "image/png")),
        (400, "line 1: expected 3 features, got 2", lambda: toolkit.output_fn(one, JSON)),
    ]
    for status, says, call in calls:
        with pytest.raises(ToolkitError if within_the_image else ValueError, match=says) as refused:
            call()
        assert not within_the_image or refused.value.status_code == status  # type: ignore[attr-defined]


def test_the_handlers_take_the_servers_environment(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHRL_TARGET_POLICY", "greedy")
    service = toolkit.model_fn(str(model_folder))
    body, _ = toolkit.output_fn(toolkit.predict_fn(toolkit.input_fn(as_lines(STATES), JSON_LINES), service), JSON_LINES)
    assert {tuple(line["predictions"][0]) for line in parsed(body)} <= {(0, 1), (1, 0)}
