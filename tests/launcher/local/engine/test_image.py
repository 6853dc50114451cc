"""The image: what goes into its build, what a failed build says, and what the built image can do."""

from __future__ import annotations

import fnmatch
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from jobs import wait_until
from modelservers import exported, policy_model

from batchrl.contract.errors import BatchRLError, InputError, Unreachable
from launcher.local.engine import image

ROOT = Path(__file__).resolve().parents[4]


def context(wheels: list[Path]) -> dict[str, tarfile.TarInfo]:
    stream = io.BytesIO()
    image._write_context(stream, image._context_files(), wheels)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        return {member.name: member for member in archive}


def test_the_context_holds_all_that_the_dockerfile_copies(tmp_path: Path) -> None:
    wheel = tmp_path / "torch-1-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    members = context([wheel])
    lines = (ROOT / image.DOCKERFILE).read_text().splitlines()
    copied = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    assert copied
    for source in copied:
        assert any(fnmatch.fnmatch(name, source) or name.startswith(f"{source}/") for name in members), source
    assert "docker/wheelhouse/torch-1-py3-none-any.whl" in members


def test_the_context_is_the_same_whoever_builds_it_and_when() -> None:
    for member in context([]).values():
        assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", 0)
        assert member.mode in (0o755, 0o644)
        assert "__pycache__" not in member.name


def test_a_wheelhouse_without_wheels_is_wrong_input(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="holds no wheels") as wrong:
            image.build(wheelhouse=folder)
        assert "fill-wheelhouse" in str(wrong.value.hint)


def test_without_an_engine_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    with pytest.raises(Unreachable, match="no Docker engine runs"):
        image.build()
    with pytest.raises(Unreachable, match="no Docker engine runs"):
        image.present("batchrl:1")


def test_a_remote_engine_builds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://build.example:2376")
    with pytest.raises(InputError, match="remote engine"):
        image.build()


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("write /var/lib/docker/tmp: no space left on device", Unreachable, "disk is full"),
        ("ERROR: No matching distribution found for numpy==2", Unreachable, "no package index"),
        ("NewConnectionError: [Errno -3] Temporary failure in name resolution", Unreachable, "no package index"),
        ("The command '/bin/sh -c exit 3' returned a non-zero code: 3", BatchRLError, "could not be built"),
    ],
)
def test_a_failed_build_says_what_failed(said: str, kind: type[BatchRLError], words: str) -> None:
    for error in (image._failure(said, []), image._failure("returned a non-zero code: 1", [said])):
        assert type(error) is kind
        assert words in error.message


def test_settings_of_the_callers_index_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in image.PASSED_ON:
        monkeypatch.delenv(name, raising=False)
    assert image._build_arguments("base:1") == {"BASE_IMAGE": "base:1", "VERSION": image.version()}
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1/simple")
    assert image._build_arguments("base:1")["PIP_INDEX_URL"] == "http://127.0.0.1/simple"


def in_container(*command: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    run = ["docker", "run", "--rm", "--network", "none", *options, image.default_image(), *command]
    return subprocess.run(run, capture_output=True, text=True, timeout=120)


@pytest.mark.engine
def test_B125_B126_B130_the_image_serves_a_model_for_any_uid(tmp_path: Path) -> None:
    model = exported(tmp_path / "model", policy_model())
    code = (
        "import urllib.request as u\n"
        "print(u.urlopen('http://127.0.0.1:8080/ping').read())\n"
        "kind = {'Content-Type': 'text/csv'}\n"
        "print(u.urlopen(u.Request('http://127.0.0.1:8080/invocations', b'1,2,3', kind)).read().count(b','))\n"
    )
    run = ["docker", "run", "--detach", "--network", "none", "--user", "4242:4242", "-v", f"{model}:/opt/ml/model:ro"]
    container = subprocess.run([*run, image.default_image(), "serve"], capture_output=True, text=True, check=True)
    name = container.stdout.strip()

    def docker(*words: str) -> str:
        done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    try:
        wait_until("the server has started", lambda: "serving a-job" in docker("logs", name))
        assert docker("exec", name, "python3", "-c", code).split() == ["b''", "3"], docker("logs", name)
        docker("stop", "--time", "30", name)
        assert docker("wait", name).strip() == "0", docker("logs", name)
    finally:
        docker("rm", "--force", name)


@pytest.mark.engine
def test_the_image_is_ours_by_its_label() -> None:
    facts = image.find_image(image.default_image())
    assert facts is not None
    assert facts.is_ours


@pytest.mark.engine
def test_the_image_has_what_a_job_imports_for_any_uid() -> None:
    code = (
        "import json, os, batchrl, presets, torch, gymnasium, pygame, pandas, pyarrow, PIL, safetensors, boto3, yaml;"
        "import httptools, orjson, uvicorn, uvloop;"
        "print(json.dumps([os.getuid(), torch.__version__, batchrl.__file__, presets.names()]))"
    )
    done = in_container("-c", code, options=("--user", "4242:4242", "--entrypoint", "python3"))
    assert done.returncode == 0, done.stderr
    uid, torch_version, library, names = json.loads(done.stdout)
    assert uid == 4242
    assert torch_version.endswith("+cpu")
    assert library == "/opt/batchrl/batchrl/__init__.py"
    assert names


@pytest.mark.engine
def test_the_images_entry_point_is_boot() -> None:
    done = in_container("dance")
    assert done.returncode == 2
    assert "batchrl.boot" in done.stdout + done.stderr


@pytest.mark.engine
def test_a_base_image_that_nobody_has_is_reported_with_the_way_out() -> None:
    with pytest.raises(Unreachable, match="cannot be pulled") as failed:
        image.build(base_image="registry.invalid/nobody/has:this", tag="batchrl-test:never")
    assert "make-base-image.sh" in str(failed.value.hint)
    assert not image.present("batchrl-test:never")
