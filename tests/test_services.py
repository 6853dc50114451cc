"""A missing service skips its tests and says how to have it, or fails them where it is required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDS_ENGINE = "tests/launcher/local/engine/test_image.py::test_the_image_is_ours_by_its_label"
UNUSED_PORT = "http://127.0.0.1:1"


def run_pytest(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A run of its own in which there is no docker command and no gateway."""
    base = {name: value for name, value in os.environ.items() if name not in ("BATCHRL_REQUIRE", "BATCHRL_TEST_RGW")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environment = {**base, "PATH": "/nowhere", "BATCHRL_TEST_RGW": UNUSED_PORT, **environ}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def test_without_an_engine_its_tests_are_skipped_with_reason_and_remedy() -> None:
    done = run_pytest(NEEDS_ENGINE)
    assert done.returncode == 0, done.stdout
    assert "not run: 1 tests that need a Docker engine" in done.stdout
    assert "why: there is no docker command on the path" in done.stdout
    assert "how to have it: install docker.io" in done.stdout


def test_a_required_engine_that_is_missing_is_a_failure() -> None:
    done = run_pytest(NEEDS_ENGINE, BATCHRL_REQUIRE="engine")
    assert done.returncode == 1
    assert "BATCHRL_REQUIRE requires engine: there is no docker command on the path" in done.stdout


def test_a_requirement_that_names_nothing_is_refused() -> None:
    done = run_pytest(NEEDS_ENGINE, BATCHRL_REQUIRE="engine,moon")
    assert done.returncode == 4
    known = "browser, clients, engine, rgw, sdk_v2, sdk_v3, small_disk, wheels"
    assert f"BATCHRL_REQUIRE names moon; it knows {known}" in done.stderr


def test_a_missing_gateway_is_told_with_its_address() -> None:
    done = run_pytest("tests/e2e", "-k", "ceph")
    assert f"nothing usable listens at {UNUSED_PORT}" in done.stdout
