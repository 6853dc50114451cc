"""``requirements.txt`` of the code: only what is missing is installed, into a folder of the job's own.

An installation in place could replace packages of the image or of the user's virtual environment, and a plain
``pip --target`` fetches all dependencies again, however many are there. So pip is asked first what is missing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from batchrl.boot.signals import StopSignals
from batchrl.contract.errors import InputError

REQUIREMENTS_NAME = "requirements.txt"
PACKAGES_FOLDER = "packages"


def install_missing(code: Path, root: Path, stops: StopSignals) -> Path | None:
    """Install what ``requirements.txt`` asks for and is not there.

    Args:
        code: folder of the code.
        root: the job's own folder, which can be written to.
        stops: signals that end an installation early.

    Returns:
        The folder to put on the import path, None if nothing was missing.

    Raises:
        InputError: pip failed; its own output stands in the log.
    """
    file = code / REQUIREMENTS_NAME
    if not file.is_file() or all(_is_satisfied(line) for line in _requirements(file)):
        return None
    print(f"Installing what {REQUIREMENTS_NAME} asks for.", flush=True)
    report = root / "pip-report.json"
    _pip(["install", "--quiet", "--dry-run", "--report", str(report), "-r", str(file)], code, stops)
    missing = [_source(item) for item in json.loads(report.read_bytes())["install"]]
    report.unlink()
    if not missing:
        return None
    packages = root / PACKAGES_FOLDER
    _pip(["install", "--no-deps", "--target", str(packages), *missing], code, stops)
    return packages


def _requirements(file: Path) -> list[str]:
    lines = (line.partition(" #")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _is_satisfied(line: str) -> bool:
    """Whether a plain requirement is installed; False wherever only pip can tell."""
    from importlib import metadata

    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        return False
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return False
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    if requirement.url or requirement.extras:
        return False
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)


def _source(item: dict[str, Any]) -> str:
    """What to give pip for one entry of its report, so that exactly that file is installed."""
    download = item["download_info"]
    if vcs := download.get("vcs_info"):
        return f"{vcs['vcs']}+{download['url']}@{vcs['commit_id']}"
    return str(download["url"])


def _pip(arguments: list[str], folder: Path, stops: StopSignals) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, process_group=0) as process:
        stops.forward_to(process.pid)
        code = process.wait()
        stops.forward_to_none()
    if code and not stops.received:
        raise InputError(
            f"{REQUIREMENTS_NAME} could not be installed: pip ended with exit code {code}.",
            "Its output stands in the job's log. A job without a network needs these packages in its image.",
        )
