"""Modules that version 0.1.0 ran under other names: a client or API server that still runs starts them by these."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from api_servers import eventually, of_cloud

from launcher.local import cloud
from launcher.local.host.address import Identity
from launcher.local.host.home import HomePaths


def test_the_api_server_starts_by_its_former_name(tmp_path: Path) -> None:
    paths = HomePaths.of(tmp_path / "home")
    paths.create()
    Identity.create().write(paths.cloud_file)
    command = [sys.executable, "-m", "launcher.local.door", "--home", str(paths.root)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        status = eventually(lambda: cloud.status(paths.root))
        assert status.server_pid == server.pid
        assert not status.stale
        assert of_cloud("sagemaker", status.address).list_training_jobs()["TrainingJobSummaries"] == []
    finally:
        cloud.down(paths.root)
        server.kill()
        server.wait(10)


def test_the_forkserver_starts_by_its_former_name_and_ends_with_whoever_started_it(tmp_path: Path) -> None:
    paths = HomePaths.of(tmp_path / "home")
    cloud.ensure_up(paths.root)
    try:
        command = [sys.executable, "-m", "launcher.local.nursery", "--home", str(paths.root)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    finally:
        cloud.down(paths.root)
