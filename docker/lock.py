"""Writes requirements.txt and docker/requirements.txt: every package of the environment this runs in, pinned.

``make lock`` runs it in a fresh environment that holds the direct dependencies of pyproject.toml at their newest. What
a dependency pulls in is read from the installed metadata, so that each file holds exactly the closure of its roots.
torch is in neither: docker/install-torch.sh installs it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
# The extras that `make setup` installs; onnx is among what the tests need.
EXTRAS = ("local", "job", "plots")
INSTALLED_APART = frozenset({"torch"})

HEADER = """\
# Every package that batchrl needs, pinned, except torch: docker/install-torch.sh installs that first.
# Made by `make lock` from the direct dependencies in pyproject.toml. Do not edit; installed with --no-deps, so that
# no resolver runs.
"""
DEVELOPMENT = """
# Below: what only building, checking and testing need (the extra "dev"); hatchling and editables install the project.
"""
JOB_HEADER = """\
# The part of requirements.txt that runs inside a job (the group "job" of pyproject.toml and what it pulls in).
# Made by `make lock`. Do not edit.
"""


def closure(roots: Iterable[str]) -> dict[str, str]:
    """The packages that requirements need, themselves included, as ``{canonical name: version}``."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(root), "") for root in roots]
    while waiting:
        requirement, parent_extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": parent_extra}):
            continue
        name = canonicalize_name(requirement.name)
        installed = distribution(name)
        found[name] = installed.version
        for extra in ("", *sorted(requirement.extras)):
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += [(Requirement(line), extra) for line in installed.requires or ()]
    return {name: version for name, version in found.items() if name not in INSTALLED_APART}


def pins(packages: dict[str, str]) -> str:
    """One ``name==version`` a line, sorted."""
    return "".join(f"{name}=={packages[name]}\n" for name in sorted(packages))


def main() -> None:
    """Write both files."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    extras = project["optional-dependencies"]
    runtime = closure([*project["dependencies"], *(line for extra in EXTRAS for line in extras[extra])])
    development = closure(extras["dev"])
    only_development = {name: version for name, version in development.items() if name not in runtime}
    (ROOT / "requirements.txt").write_text(HEADER + pins(runtime) + DEVELOPMENT + pins(only_development))
    (ROOT / "docker" / "requirements.txt").write_text(JOB_HEADER + pins(closure(pyproject["dependency-groups"]["job"])))


if __name__ == "__main__":
    main()
