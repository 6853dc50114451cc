"""fit() called -> first line of the script here, in a container, beyond a bare `docker run` that does the same."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from figures import Figure, cannot, show, warm_cloud

from launcher import RLEstimator
from launcher.local.engine.image import default_image, engine_status, present
from launcher.session.session import LocalSession

REPEATS = 5
MARK = "the first line"
SCRIPTS = {
    "first statement prints": f"print({MARK!r}, flush=True)\n",
    "line after import torch": f"import torch\nprint({MARK!r}, flush=True)\n",
}


def bare_seconds(script: Path) -> float:
    """From starting `docker run` to the line on its output, in seconds."""
    command = ["docker", "run", "--rm", "-v", f"{script}:/script.py:ro", "--entrypoint", "python3", default_image()]
    started = time.perf_counter()
    with subprocess.Popen([*command, "/script.py"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - started
    if line.strip() != MARK:
        raise SystemExit(f"docker run printed {line!r}")
    return seconds


def job_seconds(script: Path, session: LocalSession) -> float:
    """From calling fit() to the line's arrival at its caller, in seconds."""
    seen: list[float] = []

    def on_line(line: str) -> None:
        if MARK in line and not seen:
            seen.append(time.perf_counter())

    estimator = RLEstimator(script.name, source_dir=str(script.parent), instance_type="local", session=session)
    started = time.perf_counter()
    estimator.fit(logs=on_line)
    if not seen:
        raise SystemExit("the job ended without its line in the log")
    return seen[0] - started


def side_by_side(script: Path, session: LocalSession) -> tuple[float, float]:
    """Medians of both, in seconds, measured in turns so that what else the machine does meets both alike."""
    pairs = [(bare_seconds(script), job_seconds(script, session)) for _ in range(REPEATS + 1)][1:]
    bare, job = zip(*pairs, strict=True)
    return statistics.median(bare), statistics.median(job)


def main() -> None:
    what = "fit() -> first line in a container, beyond docker run"
    status = engine_status()
    if not status.available:
        return cannot(what, status.reason)
    if not present(default_image()):
        return cannot(what, f"there is no image {default_image()}: make image")
    with warm_cloud() as session, tempfile.TemporaryDirectory() as folder:
        for name, source in SCRIPTS.items():
            script = Path(folder) / name.replace(" ", "_") / "script.py"
            script.parent.mkdir()
            script.write_text(source)
            bare, job = side_by_side(script, session)
            print(f"  {name}: docker run {bare:.2f} s, fit() {job:.2f} s", flush=True)
            show(Figure(f"{what}, {name}", job - bare, "s", 1.5))
    return None


if __name__ == "__main__":
    main()
