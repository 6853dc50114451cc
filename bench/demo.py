"""Wall time of the demo after set-up, from a data folder that did not exist: as processes, and in containers."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from figures import Figure, beside_python, cannot, show

from launcher.local import cloud
from launcher.local.engine.image import default_image, engine_status, present

WANTED_SECONDS = 90.0


def demo_seconds(executor: str) -> float:
    """One demo with all its epochs, in seconds."""
    batchrl = beside_python("batchrl")
    with tempfile.TemporaryDirectory(prefix="batchrl-bench-") as folder:
        home, output = Path(folder) / "home", Path(folder) / "output"
        command = [batchrl, "demo", "--executor", executor, "--output", str(output)]
        started = time.perf_counter()
        try:
            done = subprocess.run(
                command, env={**os.environ, "BATCHRL_HOME": str(home)}, capture_output=True, text=True
            )
            seconds = time.perf_counter() - started
        finally:
            cloud.down(home, stop_jobs=True)
    if done.returncode != 0:
        raise SystemExit(f"the demo ended with exit code {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return seconds


def main() -> None:
    show(Figure("batchrl demo, 50 epochs, processes", demo_seconds("process"), "s", WANTED_SECONDS))
    what, status = "batchrl demo, 50 epochs, containers", engine_status()
    if not status.available:
        cannot(what, status.reason)
    elif not present(default_image()):
        cannot(what, f"there is no image {default_image()}: make image")
    else:
        print(f"  {what:<74} {demo_seconds('docker'):8.2f} s", flush=True)


if __name__ == "__main__":
    main()
