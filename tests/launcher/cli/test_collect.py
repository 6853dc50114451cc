"""``batchrl collect``: signals that reach the command alone end its script, too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# A shell's background jobs ignore interrupts; a command in the foreground does not.
COMMAND = """
import pathlib, signal, sys
from launcher.cli.commands import collect
signal.signal(signal.SIGINT, signal.default_int_handler)
script = pathlib.Path(sys.argv[1])
collect.script_path = lambda name: script
sys.exit(collect.command.main((), standalone_mode=False))
"""
SCRIPT = """
import os, pathlib, time
pid = pathlib.Path(__file__).with_name("pid")
pid.with_suffix(".tmp").write_text(str(os.getpid()))
pid.with_suffix(".tmp").rename(pid)
time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_command_alone_ends_its_script_with_exit_code_130(number: int, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = subprocess.Popen([sys.executable, "-c", COMMAND, str(tmp_path / "script.py")], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    script = int((tmp_path / "pid").read_text())

    command.send_signal(number)
    command.communicate(timeout=30)

    assert command.returncode == 130
    assert not is_running(script)
