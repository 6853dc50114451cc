"""``batchrl model show|export``, on models that lie on this computer; those of jobs are in test_ope.py."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest
from command_line import Run
from modelservers import exported, network, policy_model, states

from batchrl.agents.masks import ImitationMask
from batchrl.checkpoints.policy import load_policy
from batchrl.contract.archive import pack
from batchrl.contract.nofollow import JobFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model under a mask; read it only."""
    mask = ImitationMask(network(3, 2, seed=5), 0.4, relative=False)
    return exported(tmp_path_factory.mktemp("models") / "model", policy_model(mask=mask))


@pytest.fixture(scope="module")
def archive(folder: Path) -> Path:
    pack(JobFolder(folder), folder.parent / "model.tar.gz")
    return folder.parent / "model.tar.gz"


def test_a_model_is_shown_alike_from_its_folder_and_its_archive(
    run: Run, folder: Path, archive: Path, home: Path
) -> None:
    shown = {place: run("model", "show", str(place)) for place in (folder, archive)}
    for place, ended in shown.items():
        assert ended.code == 0, ended.err
        lines = dict(line.split(maxsplit=1) for line in ended.out.splitlines())
        assert lines["model"] == str(place)
        assert lines["job"] == "a-job"
        assert lines["epoch"] == "3: the last complete epoch"
        assert lines["policy"] == "softmax of values at temperature 1"
        assert lines["mask"] == "in the log at least 0.4 likely; where it allows nothing: most likely"
        assert lines["networks"] == "3 - 8 - 2"
        assert lines["state"] == "x, y, z"
        assert lines["data"] == f"sha256 {'d' * 64}"
        assert "files, sha256" in lines["code"]
    as_json = run("model", "show", str(archive), "--json").json()
    assert as_json.items() >= json.loads((folder / "model.json").read_bytes()).items()
    assert as_json["source"] == str(archive)
    assert as_json["files"]["model.safetensors"] == (folder / "model.safetensors").stat().st_size
    assert run("model", "show", str(folder), "--quiet").out == f"{folder}\n"
    assert not home.exists()


def test_a_model_of_old_is_shown_with_what_is_known(run: Run, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "old")
    shutil.rmtree(tmp_path / "old" / "code")
    description = json.loads((folder / "model.json").read_bytes())
    for name in ("code", "versions", "n_features", "n_actions", "target_policy"):
        del description[name]
    (tmp_path / "old" / "model.json").write_text(json.dumps(description))
    shown = run("model", "show", str(tmp_path / "old"))
    assert shown.code == 0, shown.err
    assert "none: the image's own serves it" in shown.out
    assert ["policy", "softmax"] in [line.split() for line in shown.out.splitlines()]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is no policy"),
        (b"text", "is no archive of a model"),
        ({"notes.txt": b"x"}, "holds no exported model"),
        ({"model.json": b"{"}, "is not JSON"),
        ({"model.json": b"[]"}, "describes no policy"),
    ],
)
def test_what_is_no_model_is_answered_in_words(
    run: Run, tmp_path: Path, content: bytes | dict[str, bytes] | None, says: str
) -> None:
    path = tmp_path / "model.tar.gz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        (tmp_path / "content").mkdir()
        for name, text in content.items():
            (tmp_path / "content" / name).write_bytes(text)
        pack(JobFolder(tmp_path / "content"), path)
    ended = run("model", "show", str(path))
    assert ended.code in (2, 3)
    assert says in ended.err
    assert "Traceback" not in ended.err
    assert not ended.out


def test_a_folder_without_a_model_says_what_would_be_one(run: Run, tmp_path: Path) -> None:
    ended = run("model", "show", str(tmp_path))
    assert ended.code == 2
    assert f"there is no exported model in {tmp_path}" in ended.err
    assert "model.tar.gz" in ended.err


def test_an_onnx_file_is_not_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / "policy.onnx").write_bytes(b"onnx")
    ended = run("model", "show", str(tmp_path / "policy.onnx"))
    assert ended.code == 2
    assert "is an ONNX file: batchrl writes these and does not read them" in ended.err


def test_a_model_is_exported_as_archive_and_folder_with_another_policy(
    run: Run, folder: Path, archive: Path, tmp_path: Path
) -> None:
    again = run("model", "export", str(archive), str(tmp_path / "new" / "again.tar.gz"))
    assert again.code == 0, again.err
    assert again.out.startswith(f"wrote {tmp_path}/new/again.tar.gz: a-job, epoch 3, softmax")
    with tarfile.open(tmp_path / "new" / "again.tar.gz") as one, tarfile.open(archive) as other:
        assert one.getnames() == other.getnames()
    assert (tmp_path / "new" / "again.tar.gz").read_bytes() == archive.read_bytes()

    command = ("model", "export", str(folder), str(tmp_path / "greedy"), "--policy", "epsilon_greedy", "--epsilon", "0")
    softer = run(*command, "--json")
    assert softer.code == 0, softer.err
    assert softer.json()["target_policy"] == "greedy with 0 random actions"
    policy, wanted = load_policy(tmp_path / "greedy"), load_policy(folder)
    assert (
        policy.action_probabilities(states(20)).argmax(axis=1) == wanted.action_probabilities(states(20)).argmax(axis=1)
    ).all()
    assert policy.describe()["data_sha256"] == wanted.describe()["data_sha256"]

    refused = run(*command)
    assert refused.code == 2
    assert "exists already" in refused.err
    assert run(*command, "--force").out.startswith(f"wrote the folder {tmp_path}/greedy: a-job")


def test_a_model_is_exported_as_onnx(run: Run, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    ended = run("model", "export", str(folder), str(tmp_path / "policy.onnx"))
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == "onnxruntime gives what torch gives in 512 states"
    session = runtime.InferenceSession(tmp_path / "policy.onnx")
    probabilities = session.run(["probabilities"], {"states": states(5)})[0]
    assert abs(probabilities - load_policy(folder).action_probabilities(states(5))).max() < 1e-5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere.tar.gz", "NEW"), "nowhere.tar.gz"),
        (("EMPTY", "NEW"), "it holds nothing"),
        (("MODEL", "OTHER"), "exists already"),
        (("MODEL", "OTHER", "--force"), "something else than an exported model"),
        (("MODEL", "NEW", "--epsilon", "2"), "--epsilon got 2"),
        (("MODEL", "NEW", "--epsilon", "0.1"), "Give --policy epsilon_greedy as well"),
        (("MODEL", "NEW", "--temperature", "-1"), "--temperature got -1"),
        (("MODEL", "NEW", "--policy", "best"), "--policy"),
        (("MODEL", "NEW", "--which", "last"), "--which"),
        (("MODEL", "NEW", "--encoded"), "--encoded is about ONNX files"),
        (("MODEL", "policy.pt"), "no model is written as a .pt file"),
        (("MODEL", "policy.pt"), "ends in .tar.gz or .onnx"),
        (("policy.onnx", "NEW"), "is an ONNX file: batchrl writes these and does not read them"),
        (("MODEL",), "TARGET"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_answered_in_words_and_nothing_is_written(
    arguments: tuple[str, ...], says: str, run: Run, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious.txt").write_text("x")
    names = {"MODEL": folder, "NEW": tmp_path / "new", "EMPTY": tmp_path / "empty", "OTHER": tmp_path / "other"}
    before = sorted(tmp_path.rglob("*"))
    ended = run("model", "export", *(str(names.get(word, word)) for word in arguments))
    assert ended.code == 2, ended.err
    assert says in ended.err
    assert "Traceback" not in ended.err
    assert sorted(tmp_path.rglob("*")) == before
