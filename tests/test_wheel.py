"""The wheel on its own: built here, installed beside the packages that an extra names, with nothing of this checkout.

The packages are those of this environment, linked into folders that a fresh virtual environment looks in, so that no
index is needed and an extra that is not asked for is truly not there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from quick import quick_preset

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

Installation = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.whl")
    return made


def distributions(lines: Iterable[str]) -> dict[str, metadata.Distribution]:
    """The installed distributions that requirements need, themselves included, by name."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [(Requirement(line), "") for line in lines]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, parent_extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": parent_extra}):
            continue
        distribution = metadata.distribution(requirement.name)
        found[distribution.name.lower()] = distribution
        for extra in ("", *requirement.extras):
            if (requirement.name, extra) not in seen:
                seen.add((requirement.name, extra))
                waiting += [(Requirement(line), extra) for line in distribution.requires or ()]
    return found


def install(wheel: Path, folder: Path, extras: Iterable[str]) -> Installation:
    """A virtual environment with the wheel and what it names; returns what runs its `batchrl` in an empty folder."""
    environment, packages, work = folder / "environment", folder / "packages", folder / "an empty folder"
    work.mkdir(parents=True)
    packages.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=60)
    wanted = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    for distribution in distributions(wanted).values():
        for file in distribution.files or ():
            own = file.parts[0] != ".."
            place = packages / file.parts[0] if own else environment / "bin" / file.name
            found = distribution.locate_file(file.parts[0] if own else file)
            if not place.exists() and (own or file.parent.name == "bin"):
                place.symlink_to(Path(str(found)).resolve())
    (site,) = (environment / "lib").glob("python*/site-packages")
    (site / "packages.pth").write_text(f"{packages}\n")
    python = environment / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", str(wheel)]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return subprocess.run(
            [str(environment / "bin" / "batchrl"), *arguments],
            cwd=work,
            env={**kept, "BATCHRL_HOME": str(folder / "home"), "COLUMNS": "100", **variables},
            capture_output=True,
            text=True,
            timeout=280,
        )

    return run


def succeed(run: Installation, *arguments: str) -> str:
    """Run a command that must succeed; what it printed."""
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def whole(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterable[Installation]:
    """An installation with every extra, in a folder whose name has spaces."""
    run = install(wheel, tmp_path_factory.mktemp("with spaces") / "all of it", ("local", "job", "plots"))
    yield run
    run("cloud", "down", "--stop-jobs")


@pytest.fixture(scope="module")
def client(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An installation without any extra."""
    return install(wheel, tmp_path_factory.mktemp("client"), ())


def test_the_wheel_holds_all_scripts_of_jobs_and_what_builds_the_image(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    scripts = {f"launcher/product/entrypoints/{path.name}" for path in (ROOT / "entrypoints").glob("*.py")}
    presets = {f"presets/{path.name}" for path in (ROOT / "presets").glob("*.yaml")}
    docker = {f"launcher/product/docker/{name}" for name in ("Dockerfile", "requirements.txt", "install-torch.sh")}
    assert scripts
    assert presets
    assert scripts | presets | docker <= names
    assert not [name for name in names if name.startswith(("tests/", "bench/", "examples/")) or ".whl" in name]


def test_from_an_empty_folder_data_is_collected_and_a_policy_trained(whole: Installation) -> None:
    succeed(whole, "collect", "--env", "CartPole-v1", "--episodes", "30", "--num-envs", "2", "--output", "log.csv")
    told = succeed(
        whole,
        *("train", "--training", "log.csv", "--preset", "cartpole-ddqn-bcq", "--set", "epochs=1"),
        *("--set", "reward_model.epochs=1", "--instance-type", "local_process", "--job-name", "from-a-wheel"),
    )
    assert "from-a-wheel" in told
    assert json.loads(succeed(whole, "show", "from-a-wheel", "--json"))["TrainingJobStatus"] == "Completed"
    succeed(whole, "plot", "from-a-wheel", "-o", "ope.png")


def test_the_plan_and_the_package_hold_what_a_job_needs(whole: Installation) -> None:
    succeed(whole, "collect", "--env", "CartPole-v1", "--episodes", "3", "--output", "small.csv")
    planned = json.loads(succeed(whole, "plan", "--training", "small.csv", "--instance-type", "local_process"))
    assert "TrainingJobName" in json.dumps(planned)
    listed = succeed(whole, "package", "--json")
    for name in ("train.py", "evaluate.py", "batchrl/contract/sync.py", "presets/cartpole-bcq.yaml"):
        assert name in listed
    # All modules of a site-packages folder lie beside the library; none of them is the product's.
    assert "typing_extensions.py" not in listed


def test_the_demo_runs_from_a_wheel(whole: Installation, tmp_path: Path) -> None:
    quick = ("--preset", str(quick_preset(tmp_path)), "--epochs", "1")
    told = succeed(whole, "demo", "--executor", "process", *quick, "--output", "demo")
    assert "ope.png" in told


@pytest.mark.engine
def test_the_image_is_built_from_a_wheel(whole: Installation) -> None:
    tag = "batchrl-test:from-a-wheel"
    wheels = ROOT / "docker" / "wheelhouse"
    given = ("--wheelhouse", str(wheels)) if any(wheels.glob("*.whl")) else ()
    try:
        succeed(whole, "image", "build", "--tag", tag, "--base-image", "batchrl-base:bookworm", *given)
    finally:
        subprocess.run(["docker", "rmi", tag], capture_output=True, timeout=60)


def test_the_client_alone_checks_data_and_lists_what_travels(client: Installation, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [f'{step % 2},"[0.5, 0.5]",{episode},1,0.{step}' for episode in range(20) for step in range(3)]
    header = "action,all_action_probabilities,episode_id,reward,state_feature_0"
    log.write_text("\n".join([header, *rows]) + "\n")
    assert "train.py" in succeed(client, "package")
    assert json.loads(succeed(client, "data", "describe", str(log), "--json"))["episodes"]


@pytest.mark.parametrize(
    ("extra", "arguments"),
    [
        ("job", ("collect", "--env", "CartPole-v1", "--episodes", "1", "--output", "log.csv")),
        ("local", ("ps",)),
        ("local", ("cloud", "up")),
        ("local", ("image", "build")),
        ("local,job,plots", ("demo",)),
    ],
)
def test_what_lacks_an_extra_names_the_command_that_installs_it(
    client: Installation, extra: str, arguments: tuple[str, ...]
) -> None:
    done = client(*arguments)
    assert done.returncode == 2, done.stderr
    assert "not installed" in done.stderr
    assert f"pip install 'batchrl[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_tells_what_a_client_alone_cannot_do(client: Installation) -> None:
    told = client("doctor").stdout
    assert "pip install 'batchrl[job]'" in told
    assert "pip install 'batchrl[local]'" in told


def test_version_changelog_and_tag_agree() -> None:
    version = PROJECT["version"]
    newest = re.search(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == version
    assert metadata.version("batchrl") == version
    tags = subprocess.run(["git", "tag", "--points-at", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    released = [tag for tag in tags.stdout.split() if re.fullmatch(r"v\d.*", tag)]
    assert released in ([], [f"v{version}"])


def test_what_runs_in_a_job_is_in_the_client_or_in_the_extra_job() -> None:
    group = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["job"]
    named = {Requirement(line).name.lower() for line in group}
    job = {Requirement(line).name.lower() for line in EXTRAS["job"]}
    client_names = {Requirement(line).name.lower() for line in PROJECT["dependencies"]}
    assert job <= named <= job | client_names
