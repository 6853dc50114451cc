"""Packages that an installation may lack: each extra of ``pyproject.toml``, and what to say where it is needed."""

from __future__ import annotations

import re
import shlex
import sys
from importlib import metadata

from batchrl.contract.errors import InputError
from launcher.base.product import product_file

PRODUCT = "batchrl"
LOCAL, JOB, PLOTS, ONNX = "local", "job", "plots", "onnx"
# The lightest first: where two hold a package, that one is named.
NAMES = (PLOTS, LOCAL, ONNX, JOB)
# Modules that are imported under another name than their package has.
_PACKAGE_OF_MODULE = {"PIL": "pillow"}
_REQUIREMENT = re.compile(r"([\w.-]+).*?;.*\bextra *== *['\"]([\w-]+)['\"]")


def packages(extra: str) -> list[str]:
    """Names of the packages of an extra, as this installation's metadata lists them; none where it has no metadata."""
    return [name for name, of_extra in _optional() if of_extra == extra]


def missing(extra: str) -> list[str]:
    """Packages of an extra that are not installed."""
    return [name for name in packages(extra) if not _installed(name)]


def require(purpose: str, *extras: str) -> None:
    """Refuse what an installation without some extras cannot do.

    Args:
        purpose: what needs them; begins the message.
        extras: their names.

    Raises:
        InputError: packages of them are missing; the hint is the command that installs them.
    """
    lacking = {extra: names for extra in extras if (names := missing(extra))}
    if lacking:
        names = sorted({name for names in lacking.values() for name in names})
        raise InputError(f"{purpose} needs packages that are not installed: {', '.join(names)}.", remedy(*lacking))


def of_module(module: str) -> str | None:
    """The extra that holds a module which cannot be imported; None where no extra does."""
    top = module.partition(".")[0]
    package = _PACKAGE_OF_MODULE.get(top, top).lower()
    holding = [extra for name, extra in _optional() if name.lower() == package]
    return next((extra for extra in NAMES if extra in holding), None)


def remedy(*extras: str) -> str:
    """The command that installs extras; before that of jobs, the one that saves the gigabytes of CUDA."""
    command = f"pip install '{PRODUCT}[{','.join(extras)}]'"
    if JOB not in extras or _installed("torch"):
        return f"Install with: {command}"
    torch = f"sh {shlex.quote(str(product_file('docker/install-torch.sh')))} {shlex.quote(sys.executable)}"
    return f"Install with: {torch} (torch's small CPU build), then {command}"


def _optional() -> list[tuple[str, str]]:
    """Package and extra of each optional requirement; none where the code runs without having been installed."""
    try:
        lines = metadata.requires(PRODUCT) or ()
    except metadata.PackageNotFoundError:
        return []
    return [(match[1], match[2]) for line in lines if (match := _REQUIREMENT.match(line)) and match[1] != PRODUCT]


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
