"""Data of examples out of wheels: only the wanted bytes, or a message that says what to do."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from scripts import script_module
from services import wheel_of

ROOT = Path(__file__).resolve().parents[2]
FETCH = ROOT / "examples" / "fetch.py"
fetch = script_module("fetch", FETCH.parent)


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


def wheel(*files: tuple[str, bytes]) -> object:
    wanted = (fetch.Wanted(name, f"{name}.csv", hashlib.sha256(content).hexdigest()) for name, content in files)
    return fetch.Wheel("thing==1.0", tuple(wanted))


def test_what_is_wanted_is_taken_and_nothing_else(tmp_path: Path) -> None:
    file = archive(tmp_path / "thing-1.0.whl", a=b"1,2", b=b"3", other=b"left alone")
    assert fetch.contents(wheel(("a", b"1,2"), ("b", b"3")), file) == {"a.csv": b"1,2", "b.csv": b"3"}


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    file = archive(tmp_path / "thing-1.0.whl", a=b"1,3")
    with pytest.raises(
        fetch.NotFetched, match=r"thing-1.0.whl is not the wheel of thing==1.0: the SHA-256 of a is not"
    ):
        fetch.contents(wheel(("a", b"1,2")), file)


def test_a_missing_file_and_what_is_no_archive_are_refused(tmp_path: Path) -> None:
    with pytest.raises(fetch.NotFetched, match="a cannot be taken out"):
        fetch.contents(wheel(("a", b"")), archive(tmp_path / "thing-1.0.whl", b=b""))
    (tmp_path / "text.whl").write_text("no archive")
    for name in ("text.whl", "none.whl"):
        with pytest.raises(fetch.NotFetched, match=rf"{name} cannot be read as a wheel"):
            fetch.contents(wheel(("a", b"")), tmp_path / name)


def test_no_more_than_the_bound_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = bytes(3 * fetch.MIB)
    file = archive(tmp_path / "thing-1.0.whl", a=large)
    assert len(fetch.contents(wheel(("a", large)), file)["a.csv"]) == len(large)
    monkeypatch.setattr(fetch, "MOST_BYTES", 2 * fetch.MIB)
    with pytest.raises(fetch.NotFetched, match="a has more than 2 MiB"):
        fetch.contents(wheel(("a", large)), file)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    file = archive(tmp_path / "thing-1.0.whl", a=b"0123456789" * 1000)
    packed = bytearray(file.read_bytes())
    packed[40:60] = bytes(20)
    file.write_bytes(packed)
    with pytest.raises(fetch.NotFetched, match=r"a cannot be taken out|cannot be read as a wheel"):
        fetch.contents(wheel(("a", b"0123456789" * 1000)), file)


def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(FETCH), *words],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_without_an_index_it_is_told_how_to_go_on(tmp_path: Path) -> None:
    done = run("open-bandit", str(tmp_path / "obd"), PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "pip brought no wheel of obp==0.4.1: ERROR: No matching distribution" in done.stderr
    assert "give it: --wheel FILE" in done.stderr
    assert not (tmp_path / "obd").exists()


def test_a_wheel_that_is_none_is_a_message(tmp_path: Path) -> None:
    done = run("icu-sepsis", str(tmp_path / "tables"), "--wheel", str(archive(tmp_path / "x.whl", a=b"")))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "x.whl is not the wheel of icu-sepsis==2.0.1" in done.stderr
    assert not (tmp_path / "tables").exists()


def test_the_wheels_of_the_tests_are_those_of_the_examples() -> None:
    lines = (ROOT / "tests" / "wheels.txt").read_text().splitlines()
    assert {line for line in lines if not line.startswith("#")} == {each.requirement for each in fetch.WHEELS.values()}


@pytest.mark.wheels
@pytest.mark.parametrize("name", fetch.WHEELS)
def test_the_published_wheels_hold_what_is_wanted(name: str) -> None:
    wanted = fetch.WHEELS[name]
    found = fetch.contents(wanted, wheel_of(wanted.requirement))
    assert set(found) == {each.name for each in wanted.files}
