"""A program of the request's own under PID 1."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping

from batchrl.contract.forward import FORWARD_VARIABLE


def run(*words: str, **environ: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "batchrl.boot", "run", *words]
    own: Mapping[str, str] = os.environ | environ
    return subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_its_output_and_its_exit_code_are_the_programs() -> None:
    process = run("sh", "-c", "echo $0 $GREETING; exit 7", "one", GREETING="hello")
    assert process.communicate(timeout=60)[0] == "one hello\n"
    assert process.returncode == 7


def test_a_stop_reaches_the_program() -> None:
    script = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('stopped', flush=True), sys.exit(3)))\n"
        "print('up', flush=True)\ntime.sleep(60)\n"
    )
    process = run(sys.executable, "-c", script)
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == "stopped\n"
    assert process.returncode == 3


def test_a_program_that_is_not_there_is_told() -> None:
    process = run("/no/such/program")
    assert "/no/such/program cannot be started: No such file or directory." in process.communicate(timeout=60)[0]
    assert process.returncode == 127


def test_a_way_to_the_cloud_that_cannot_be_is_told() -> None:
    process = run("true", **{FORWARD_VARIABLE: "nonsense"})
    assert process.communicate(timeout=60)[0]
    assert process.returncode == 2
