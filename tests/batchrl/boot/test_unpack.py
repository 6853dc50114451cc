"""The code: from the archive of channel ``code``, whole and only into its own folder."""

from __future__ import annotations

import tarfile

import pytest

LINK = tarfile.SYMTYPE
HARD_LINK = tarfile.LNKTYPE


def test_A123_the_archive_of_channel_code_is_unpacked_and_run(machine):
    machine.archive(
        machine.member("package", type=tarfile.DIRTYPE),
        machine.member("package/__init__.py", b"WORD = 'unpacked'"),
        machine.member("script.py", b"import package; print(package.WORD)"),
        machine.member("tool", b"#!/bin/sh\n", mode=0o755),
        machine.member("link.py", type=LINK, linkname="package/__init__.py"),
        machine.member("copy.py", type=HARD_LINK, linkname="script.py"),
    )
    assert machine.run() == (0, "unpacked\n")
    code = machine.paths.code
    assert (code / "tool").stat().st_mode & 0o777 == 0o755
    assert (code / "link.py").read_text() == "WORD = 'unpacked'"
    assert (code / "copy.py").read_text() == (code / "script.py").read_text()


def test_A24_code_that_is_there_already_is_left_alone(machine):
    machine.archive(machine.member("script.py", b"print('archive')"))
    machine.script("print('present')")
    assert machine.run() == (0, "present\n")


def test_a_folder_that_sagemaker_submit_directory_names_is_run_in_place(machine, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "script.py").write_text("import os; print(os.getcwd())")
    machine.hyperparameters(sagemaker_submit_directory=str(source))
    assert machine.run() == (0, f"{source}\n")


def test_a_platform_path_of_sagemaker_submit_directory_lies_in_the_tree(machine):
    machine.hyperparameters(sagemaker_submit_directory="/opt/ml/input/data/code/sourcedir.tar.gz")
    machine.archive(machine.member("script.py", b"print('found')"))
    assert machine.run() == (0, "found\n")


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("../outside", {}),
        ("a/../../outside", {}),
        ("/etc/outside", {}),
        ("link", {"type": LINK, "linkname": "../outside"}),
        ("a/link", {"type": LINK, "linkname": "../../outside"}),
        ("link", {"type": LINK, "linkname": "/etc/passwd"}),
        ("link", {"type": HARD_LINK, "linkname": "../outside"}),
        ("pipe", {"type": tarfile.FIFOTYPE}),
        ("device", {"type": tarfile.CHRTYPE}),
    ],
)
def test_an_archive_that_would_leave_its_folder_is_refused(machine, name, attributes):
    machine.archive(machine.member("script.py", b"print('ran')"), machine.member(name, **attributes))
    code, output = machine.run()
    assert code == 2 and "ran" not in output
    assert name in output and "sourcedir.tar.gz" in machine.failure
    assert not machine.paths.code.exists()
    assert not (machine.paths.root / "outside").exists()


def test_nothing_is_written_through_a_link(machine, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    machine.archive(
        machine.member("folder", type=LINK, linkname="."),
        machine.member("folder/script.py", b"print('ran')"),
    )
    code, output = machine.run()
    assert code == 2 and "cannot be unpacked" in output


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_damaged_archive_is_named(machine, keep):
    machine.archive(machine.member("script.py", b"print('ran')" * 1000))
    content = machine.paths.code_archive.read_bytes()
    machine.paths.code_archive.write_bytes(content[: min(keep, len(content) // 2)])
    code, output = machine.run()
    assert code == 2 and "sourcedir.tar.gz cannot be unpacked" in output


def test_missing_code_is_named_with_what_to_do(machine):
    code, output = machine.run()
    assert code == 2 and "there is no code to run" in machine.failure and "channel 'code'" in output


def test_an_entry_point_that_is_not_in_the_code_is_named_with_what_is(machine):
    machine.script("", "other.py")
    code, _ = machine.run()
    assert code == 2 and "'script.py'" in machine.failure and "other.py" in machine.failure


def test_a_request_without_an_entry_point_is_refused(machine):
    machine.script("")
    machine.hyperparameters(sagemaker_program="")
    code, _ = machine.run()
    assert code == 2 and "sagemaker_program" in machine.failure
