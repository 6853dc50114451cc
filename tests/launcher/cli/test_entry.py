"""What ends a command, and the exit code and words for it."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import botocore.exceptions
import click
import pytest
from command_line import Ended, Run

from batchrl.contract.errors import InputError, JobFailed, JobStopped, Unreachable
from launcher.cli import groups
from launcher.cli.faults import mask, mask_arguments
from presets import PresetError

SECRET = "wJalrXUtnFEMI-K7MDENG"


@pytest.fixture
def ends_with(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], Ended]:
    """Run a command that raises what is given."""

    def ends_with(error: BaseException) -> Ended:
        @click.command("ps")
        def failing() -> None:
            raise error

        monkeypatch.setattr(groups.LazyGroup, "get_command", lambda self, ctx, name: failing)
        return run("ps")

    return ends_with


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (JobFailed("the job j failed", "its log is in l"), 1),
        (InputError("no such file: f", "look again"), 2),
        (PresetError("no key 'epoch'", "Did you mean 'epochs'?"), 2),
        (Unreachable("http://127.0.0.1:1 does not answer", "start it"), 3),
        (JobStopped("the job j was stopped", "start it again"), 4),
    ],
)
def test_an_error_of_the_family_gives_its_code_its_message_and_its_hint(
    error: InputError, code: int, ends_with: Callable[[BaseException], Ended]
) -> None:
    assert ends_with(error) == Ended(code, "", f"Error: {error.message}\n{error.hint}\n")


def test_ctrl_c_gives_130(ends_with: Callable[[BaseException], Ended]) -> None:
    assert ends_with(KeyboardInterrupt()) == Ended(130, "", "Interrupted.\n")


def test_a_full_disk_is_named(ends_with: Callable[[BaseException], Ended]) -> None:
    ended = ends_with(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/x.csv"))

    assert ended.code == 2
    assert "disk is full while writing /data/x.csv" in ended.err


def test_a_forbidden_file_is_named(ends_with: Callable[[BaseException], Ended]) -> None:
    ended = ends_with(PermissionError(errno.EACCES, "Permission denied", "/root/x"))

    assert ended.code == 2
    assert "/root/x" in ended.err


def test_an_endpoint_that_nobody_translated_is_still_unreachable(ends_with: Callable[[BaseException], Ended]) -> None:
    ended = ends_with(botocore.exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:9"))

    assert ended.code == 3
    assert "http://127.0.0.1:9" in ended.err


def test_anything_else_is_our_own_fault_with_a_report_and_no_traceback(
    ends_with: Callable[[BaseException], Ended], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

    ended = ends_with(ZeroDivisionError(f"a fault that quotes {SECRET}"))

    assert ended.code == 70
    assert "Traceback" not in ended.err
    (report,) = (home / "reports").iterdir()
    assert str(report) in ended.err
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    text = report.read_text()
    assert "ZeroDivisionError" in text
    assert "command: batchrl ps" in text
    assert f"python {sys.version.split()[0]}" in text
    assert "boto3" in text
    assert SECRET not in text


def test_a_report_goes_to_the_temporary_folder_where_the_data_folder_takes_none(
    ends_with: Callable[[BaseException], Ended], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write_text("a file where the folder should be")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    ended = ends_with(RuntimeError("x"))

    assert ended.code == 70
    assert list(tmp_path.glob("batchrl-report-*.txt"))


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{SECRET}@host/x",
        f"aws_secret_access_key={SECRET}",
        f"'Secret-Access-Key': '{SECRET}'",
        f"Credential=AKIA/20260101, Signature={SECRET}",
        f"token: {SECRET}",
    ],
)
def test_a_report_holds_nothing_that_looks_like_a_secret(text: str) -> None:
    assert SECRET not in mask(text, {})


def test_a_secret_option_is_masked_and_others_are_not() -> None:
    assert mask_arguments(["up", "--secret-key", SECRET, "--store", "x"]) == [
        "up",
        "--secret-key",
        "***",
        "--store",
        "x",
    ]


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "launcher.cli", "presets", "show", "cartpole-ddqn-bcq"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()

    assert process.wait(timeout=30) == 141
    assert process.stderr.read() == b""


def test_ctrl_c_in_a_real_process_gives_130_without_a_traceback(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from launcher.cli import entry\n"
        "def wait(arguments):\n"
        "    print('ready', flush=True); time.sleep(60)\n"
        "entry._dispatch = wait\n"
        "sys.exit(entry.main([]))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)

    assert process.wait(timeout=30) == 130
    assert process.stderr.read() == b"Interrupted.\n"
