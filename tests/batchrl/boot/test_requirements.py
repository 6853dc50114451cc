"""requirements.txt: nothing to do where all is there, else only what is missing, into the job's own folder."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import pytest


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def wheels(tmp_path) -> Path:
    """A folder with a wheel of a package that nobody else has, which depends on one that is installed."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    files = {
        "batchrl_probe.py": "WORD = 'installed'",
        "batchrl_probe-1.0.dist-info/METADATA": (
            "Metadata-Version: 2.1\nName: batchrl-probe\nVersion: 1.0\nRequires-Dist: boto3\n"
        ),
        "batchrl_probe-1.0.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    record = "".join(f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items())
    with zipfile.ZipFile(folder / "batchrl_probe-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in (files | {"batchrl_probe-1.0.dist-info/RECORD": record}).items():
            wheel.writestr(name, text)
    return folder


def offline(machine, wheels: Path) -> None:
    machine.environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": "/dev/null"}


def test_requirements_that_are_met_start_no_pip(machine):
    machine.script("print('ran')")
    machine.script("# comment\nboto3>=1.0  # another\npytest\nabsent; python_version < '3'\n", "requirements.txt")
    assert machine.run() == (0, "ran\n")


def test_what_is_missing_is_installed_for_this_job_alone(machine, wheels):
    offline(machine, wheels)
    machine.script("import batchrl_probe, boto3; print(batchrl_probe.WORD, boto3.__file__)")
    machine.script("batchrl-probe==1.0\nboto3\n", "requirements.txt")
    code, output = machine.run()
    assert code == 0, output
    last = output.splitlines()[-1]
    assert last.startswith("installed ") and str(machine.paths.root) not in last
    packages = machine.paths.root / "packages"
    assert (packages / "batchrl_probe.py").exists() and not (packages / "boto3").exists()


def test_a_package_that_does_not_exist_fails_the_job_with_pips_words(machine, wheels):
    offline(machine, wheels)
    machine.script("print('ran')")
    machine.script("batchrl-no-such-thing==9\n", "requirements.txt")
    code, output = machine.run()
    assert code == 2 and "ran" not in output
    assert "No matching distribution found for batchrl-no-such-thing==9" in output
    assert "requirements.txt could not be installed" in machine.failure


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_a_list_of_any_unicode_is_read_as_pip_reads_it(machine, encoding):
    machine.script("print('ran')")
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    (machine.paths.code / "requirements.txt").write_bytes(mark + "boto3>=1.0\r\n".encode(encoding))
    assert machine.run() == (0, "ran\n")


@pytest.mark.parametrize("content", [b"boto3 # caf\xe9\n", b"\xff\xfeb", b"#" * 1024 * 1024 + b"##"])
def test_a_list_that_is_no_text_is_told_as_such(machine, content):
    machine.script("print('ran')")
    (machine.paths.code / "requirements.txt").write_bytes(content)
    code, output = machine.run()
    assert code == 2 and "Traceback" not in output
    assert machine.failure.startswith("requirements.txt")


def test_a_marker_that_cannot_be_compared_is_left_to_pip(machine, wheels):
    offline(machine, wheels)
    machine.script("print('ran')")
    machine.script("boto3; extra == 'x'\n", "requirements.txt")
    code, output = machine.run()
    assert "Traceback" not in output and code in (0, 2)
