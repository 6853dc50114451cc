"""A prepared tree and the real ``python -m batchrl.boot train`` on it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from batchrl.contract.paths import JobPaths

DEADLINE = 30.0


@dataclass
class Machine:
    """The tree of one job, and boot as its PID 1."""

    paths: JobPaths
    environ: dict[str, str] = field(default_factory=dict)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def script(self, text: str, name: str = "script.py") -> None:
        self.paths.code.mkdir(parents=True, exist_ok=True)
        (self.paths.code / name).write_text(text)

    def hyperparameters(self, **values: str) -> None:
        self.paths.input_config.mkdir(parents=True, exist_ok=True)
        self.paths.hyperparameters.write_text(json.dumps({"sagemaker_program": "script.py", **values}))

    def archive(self, *members: tuple[tarfile.TarInfo, bytes]) -> None:
        """The archive of channel ``code``."""
        self.paths.code_archive.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(self.paths.code_archive, "w:gz") as tar:
            for member, content in members:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "batchrl.boot", *(arguments or ("train",))],
            env=os.environ | {"BATCHRL_ML_ROOT": str(self.paths.root), "TRAINING_JOB_NAME": "a-job"} | self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.running.append(process)
        return process

    @staticmethod
    def member(name: str, content: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
        """An entry of an archive."""
        info = tarfile.TarInfo(name)
        for attribute, value in attributes.items():
            setattr(info, attribute, value)
        return info, content

    @staticmethod
    def wait_until(condition: Callable[[], bool], what: str, timeout: float = DEADLINE) -> None:
        """Poll until something holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what}"
            time.sleep(0.02)

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=DEADLINE)
        return process.returncode, output.decode()

    @property
    def failure(self) -> str | None:
        return self.paths.failure.read_text() if self.paths.failure.exists() else None


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    one = Machine(JobPaths(tmp_path / "ml"))
    one.paths.root.mkdir()
    one.hyperparameters()
    yield one
    for process in one.running:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
