"""Facts about the repository as a whole: sizes, pins, and that nothing of one machine has slipped in."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from services import RGW_ACCESS_KEY, RGW_SECRET_KEY

ROOT = Path(__file__).resolve().parent.parent
LINES_AT_MOST = 400
BINARY = {".png", ".gif", ".parquet", ".pt", ".safetensors"}

# PyTorch's own CPU index is the one host that the set-up, and whoever installs a wheel, has to know.
HOSTS_ALLOWED = {
    "docker/install-torch.sh": ("download.pytorch.org",),
    "docs/install.md": ("download.pytorch.org",),
}
REGISTRY_HOST = re.compile(
    r"(?<![\w.-])(?:[\w-]+\.)*(?:pypi\.org|pythonhosted\.org|pytorch\.org|docker\.io/|ghcr\.io|gcr\.io|quay\.io|debian\.org"
    r"|ubuntu\.com|artifactory[\w.-]*|nexus[\w-]*\.[\w.-]+)"
)
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:home|Users|work|workspace|root/\.\w+|opt/(?:pypi|wheels))/[\w.-]+")


def tracked() -> list[Path]:
    """The files of the checkout that git knows, or would take."""
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("this is no git checkout")
    paths = [ROOT / name for name in done.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix not in BINARY]


def pins(path: Path) -> dict[str, str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return dict(line.split("==") for line in lines if line)


def pyproject() -> dict[str, dict[str, object]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def torch_version() -> str:
    script = ROOT / "docker" / "install-torch.sh"
    return subprocess.run([script, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def test_modules_fit_in_a_head() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked()
        if path.suffix == ".py" and path.parts[len(ROOT.parts)] != "tests"
        if (lines := len(path.read_text().splitlines())) > LINES_AT_MOST
    }
    assert not long


def test_no_registry_host_and_no_path_of_one_machine() -> None:
    found = []
    for path in tracked():
        name = str(path.relative_to(ROOT))
        if path == Path(__file__).resolve() or name == "LICENSE":
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            hits = [*REGISTRY_HOST.findall(line), *MACHINE_PATH.findall(line)]
            found += [f"{name}:{number}: {hit}" for hit in hits if hit not in HOSTS_ALLOWED.get(name, ())]
    assert not found, "\n".join(found)


def test_every_direct_dependency_is_pinned_within_its_range() -> None:
    project = pyproject()["project"]
    locked = pins(ROOT / "requirements.txt") | {"torch": torch_version()}
    optional = project["optional-dependencies"]
    assert isinstance(optional, dict)
    for line in [*project["dependencies"], *optional["dev"]]:  # type: ignore[misc]
        requirement = Requirement(line)
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in requirements.txt: make lock"
        assert requirement.specifier.contains(version), f"{line}, but {version} is locked: make lock"


def test_torch_is_in_no_lock() -> None:
    for name in ("requirements.txt", "docker/requirements.txt"):
        assert "torch" not in pins(ROOT / name)


def test_the_image_gets_the_versions_of_the_lock() -> None:
    everything, image = pins(ROOT / "requirements.txt"), pins(ROOT / "docker" / "requirements.txt")
    assert image.items() <= everything.items()


def test_the_image_has_what_a_job_needs_and_nothing_of_the_launcher() -> None:
    image = set(pins(ROOT / "docker" / "requirements.txt"))
    job = {canonicalize_name(Requirement(str(line)).name) for line in pyproject()["dependency-groups"]["job"]}
    assert job - {"torch"} <= image
    assert not image & {"moto", "docker", "matplotlib", "typer", "rich", "pytest", "mypy", "hatchling"}


def test_scripts_can_be_run_and_parse() -> None:
    scripts = [*(ROOT / "docker").glob("*.sh"), ROOT / ".ci" / "run"]
    assert scripts
    for script in scripts:
        assert script.stat().st_mode & 0o111, f"{script} is not executable"
        shell = "bash" if "bash" in script.read_text().splitlines()[0] else "sh"
        subprocess.run([shell, "-n", script], check=True)


def test_the_gateway_for_tests_has_the_credentials_that_tests_use() -> None:
    script = (ROOT / "docker" / "start-rgw.sh").read_text()
    assert f"access_key={RGW_ACCESS_KEY}\n" in script
    assert f"secret_key={RGW_SECRET_KEY}\n" in script


def public_functions_without_docstring(source: str) -> list[str]:
    """Functions and methods whose names begin without an underscore, and that say nothing."""
    found = []

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                found.extend([] if ast.get_docstring(node) else [f"{prefix}{node.name}"])

    visit(ast.parse(source).body, "")
    return found


def test_every_public_function_says_what_it_does() -> None:
    assert public_functions_without_docstring("class A:\n  def b(self): ...\n  def _c(self): ...\n") == ["A.b"]
    silent = [
        f"{path.relative_to(ROOT)}: {name}"
        for folder in ("launcher", "presets", "entrypoints")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in public_functions_without_docstring(path.read_text())
    ]
    assert not silent, "\n".join(silent)
