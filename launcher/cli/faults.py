"""The report of a fault of our own: what is needed to find it, and nothing secret."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("batchrl", "boto3", "botocore", "click", "docker", "moto", "pandas", "pydantic", "torch")
MASK = "***"
_SECRET_NAME = re.compile(r"secret|token|password|passwd|credential|private|api_?key|access_?key", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"((?:secret|token|password|credential|signature|access[_-]?key(?:[_-]?id)?)[\w-]*[\"']?\s*[=:]\s*[\"']?)([^\s\"',&]+)",
    re.IGNORECASE,
)
_URL_USER = re.compile(r"(\w+://)[^/\s@]+@")
_MINIMUM_SECRET_LENGTH = 6


def mask(text: str, environ: Mapping[str, str]) -> str:
    """The text without what looks like a secret, by its name, its place in a URL, or its value in the environment."""
    for name, value in environ.items():
        if _SECRET_NAME.search(name) and len(value) >= _MINIMUM_SECRET_LENGTH:
            text = text.replace(value, MASK)
    return _SECRET_VALUE.sub(rf"\1{MASK}", _URL_USER.sub(rf"\1{MASK}@", text))


def mask_arguments(arguments: Sequence[str]) -> list[str]:
    """The command line without the values of options whose name speaks of a secret."""
    shown: list[str] = []
    hide = False
    for argument in arguments:
        shown.append(MASK if hide else argument)
        hide = argument.startswith("--") and "=" not in argument and bool(_SECRET_NAME.search(argument))
    return shown


def write_report(error: BaseException, arguments: Sequence[str]) -> Path | None:
    """Write traceback, versions and command line into a file of mode 0600; None when no folder takes it."""
    text = mask(_text(error, arguments), os.environ)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    for folder in (_reports_folder, lambda: Path(tempfile.gettempdir())):
        try:
            place = folder()
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = place / (name if place.name == "reports" else f"batchrl-report-{name}")
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except Exception:
            continue
        return path
    return None


def _reports_folder() -> Path:
    from launcher.local.host.home import HomePaths

    return HomePaths.of().root / "reports"


def _text(error: BaseException, arguments: Sequence[str]) -> str:
    versions = "\n".join(f"  {package} {_version(package)}" for package in PACKAGES)
    trace = "".join(traceback.format_exception(error))
    return (
        f"batchrl fault report, {datetime.now(UTC).isoformat(timespec='seconds')}\n\n"
        f"command: batchrl {' '.join(mask_arguments(arguments))}\n"
        f"python {sys.version.split()[0]} on {platform.platform()}\n{versions}\n\n{trace}"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"
