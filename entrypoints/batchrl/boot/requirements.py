"""``requirements.txt`` of the code: only what is missing is installed, into a folder of the job's own.

An installation in place could replace packages of the image or of the user's virtual environment, and a plain
``pip --target`` fetches all dependencies again, however many are there. So pip is asked first what is missing.
"""

from __future__ import annotations

import codecs
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from batchrl.boot.signals import StopSignals
from batchrl.contract.errors import InputError

REQUIREMENTS_NAME = "requirements.txt"
PACKAGES_FOLDER = "packages"
MAX_BYTES = 1024 * 1024
# Longer marks first: one of UTF-32 begins like one of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    *((mark, "utf-32") for mark in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)),
    *((mark, "utf-16") for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)),
)


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
    lines = (line.partition(" #")[0].strip() for line in _text(file).splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _text(file: Path) -> str:
    """The text of the file, by the mark of its byte order where it has one, as pip reads it (PowerShell writes UTF-16).

    Raises:
        InputError: it is too long, or neither that nor UTF-8.
    """
    with file.open("rb") as opened:
        content = opened.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError(f"{REQUIREMENTS_NAME} is larger than {MAX_BYTES:,} bytes: that is no list of packages.")
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{REQUIREMENTS_NAME}: byte {error.start + 1} is no text in {encoding.upper()}.", "Save it as UTF-8."
        ) from error


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
    try:
        if requirement.marker is not None and not requirement.marker.evaluate():
            return True
        if requirement.url or requirement.extras:
            return False
        version = metadata.version(requirement.name)
        return requirement.specifier.contains(version, prereleases=True)
    except (metadata.PackageNotFoundError, ValueError):  # a marker or a version that cannot be compared
        return False


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
