"""The virtual environment of d3rlpy, made by the benchmark itself; a second run finds it made.

d3rlpy pins an older gymnasium than ours, so the two cannot share an environment. Torch comes through the script that
the Makefile uses, the rest from a complete list of pins.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = Path(os.environ.get("BATCHRL_BENCH_CACHE", ROOT / ".bench"))
REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
INSTALL_TORCH = ROOT / "docker" / "install-torch.sh"
STAMP = ".installed"


class PeerMissing(RuntimeError):
    """A peer cannot be installed or started here; the message says why."""


def peer_version() -> str:
    """The pinned version of d3rlpy."""
    pins = dict(line.split("==") for line in REQUIREMENTS.read_text().splitlines() if "==" in line and line[0] != "#")
    return pins["d3rlpy"]


def peer_python() -> Path:
    """The Python of d3rlpy's environment, which is made where it does not stand yet (about a GB and a minute).

    Raises:
        PeerMissing: it cannot be made.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "environment.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = CACHE / f"d3rlpy-{peer_version()}"
        python, stamp = folder / "bin" / "python", folder / STAMP
        wanted = _wanted()
        if not stamp.is_file() or stamp.read_text() != wanted or not python.exists():
            _make(folder, python)
            stamp.write_text(wanted)
    return python


def _wanted() -> str:
    """What the environment was made from: its pins, the script that installs torch, and the Python."""
    made_from = REQUIREMENTS.read_bytes() + INSTALL_TORCH.read_bytes() + sys.version.encode()
    return hashlib.sha256(made_from).hexdigest()


def _make(folder: Path, python: Path) -> None:
    print(f"  making the environment of d3rlpy {peer_version()} in {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps"]
    for command, hint in (
        ([sys.executable, "-m", "venv", str(folder)], "install python3-venv (apt-get install python3-venv)"),
        ([str(INSTALL_TORCH), str(python)], "see TORCH_INDEX in docker/install-torch.sh"),
        ([*pip, "-r", str(REQUIREMENTS)], "does pip's index hold the versions of bench/peers/requirements.txt?"),
    ):
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TORCH": "cpu"})
        if done.returncode != 0:
            # Its end says what failed; its beginning is pip's progress.
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-3:])
            raise PeerMissing(f"d3rlpy {peer_version()} cannot be installed: {said}\n    ({hint})")
