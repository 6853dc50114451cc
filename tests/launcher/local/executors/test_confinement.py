"""As whom containers run, and how much they may take."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from launcher.local.executors import confinement, ownership
from launcher.local.executors.client import Engine
from launcher.local.executors.confinement import JOB_UID, Identity, limits, refuse_root, runs_as_root
from launcher.local.host.faults import JobFault
from launcher.local.host.jobrules import JobRules

PASSWD = "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\nworker:x:1000:1000::/home:/bin/sh\n2000:x:0:0::/:\n"
# Lines that one reader may take for another's: the engine's reading counts.
PASSWD += "0:x:1000:1000::/:\nshort\nshort:x:1000:1000::/:\n indented:x:0:0::/:\nindented:x:1000:1000::/:\n"
PASSWD += "arabic:x:\u0661:1::/:\nodd\x0bbroken:x:1000:1::/:\n+0:x:1000:1::/:\n"


@pytest.mark.parametrize(
    ("user", "root"),
    [
        ("", True),
        (" ", True),
        ("root", True),
        ("root:root", True),
        ("0", True),
        ("0:1000", True),
        ("00", True),
        ("-0", True),
        (":1000", True),
        ("toor", True),
        ("+0", True),
        ("short", True),
        ("indented", True),
        ("arabic", True),
        ("broken", True),
        ("nobody-knows", True),
        ("worker", False),
        ("worker:root", False),
        ("1000", False),
        ("2000", False),
        ("1234:1234", False),
    ],
)
def test_A10_whether_an_image_runs_as_root_is_seen_whatever_it_calls_its_user(user: str, root: bool) -> None:
    assert runs_as_root(user, lambda: PASSWD) is root


def test_A10_a_name_that_cannot_be_looked_up_is_taken_for_root() -> None:
    assert runs_as_root("worker", lambda: None)
    assert not runs_as_root("1000", lambda: None), "a number needs no looking up"


class Client:
    """An engine that hands out one file of a container."""

    def __init__(self, member: tarfile.TarInfo | None, content: bytes = b"") -> None:
        self._member, self._content = member, content

    def get_archive(self, container: str, path: str) -> Any:
        if self._member is None:
            raise docker.errors.NotFound("no such file")
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as archive:
            archive.addfile(self._member, io.BytesIO(self._content))
        return [raw.getvalue()], {}


def _file(content: bytes) -> Client:
    member = tarfile.TarInfo("passwd")
    member.size = len(content)
    return Client(member, content)


def _link() -> Client:
    member = tarfile.TarInfo("passwd")
    member.type, member.linkname = tarfile.SYMTYPE, "/elsewhere"
    return Client(member)


@pytest.mark.parametrize(
    ("client", "user", "refused"),
    [
        (_file(PASSWD.encode()), "worker", False),
        (_file(PASSWD.encode()), "toor", True),
        (Client(None), "1234", False),
        (Client(None), "worker", True),
        (_link(), "worker", True),
        (_file(b"x" * 2_000_000), "worker", True),
    ],
)
def test_A10_a_foreign_image_that_runs_as_root_is_refused_unless_it_is_allowed(
    client: Any, user: str, refused: bool
) -> None:
    if not refused:
        refuse_root(client, "id", "registry/theirs:1", user, JobRules())
        return
    with pytest.raises(JobFault, match=r"batchrl cloud up --allow-root 'registry/theirs:1'"):
        refuse_root(client, "id", "registry/theirs:1", user, JobRules(root_images=("other/*",)))
    refuse_root(client, "id", "registry/theirs:1", user, JobRules(root_images=("registry/*",)))


@pytest.mark.parametrize(
    ("rootless", "uid", "identity"),
    [
        (True, 1000, Identity("0:0")),
        (True, 0, Identity("0:0")),
        (False, 1000, Identity("1000:100")),
        (False, 0, Identity(f"{JOB_UID}:{JOB_UID}", lent=JOB_UID)),
    ],
)
def test_A10_our_image_never_runs_as_the_machines_root(
    monkeypatch: pytest.MonkeyPatch, rootless: bool, uid: int, identity: Identity
) -> None:
    monkeypatch.setattr(confinement.os, "getuid", lambda: uid)
    monkeypatch.setattr(confinement.os, "getgid", lambda: 100)
    engine = Engine("unix:///x", None, rootless, remapped=False, nvidia=False, nvidia_by_default=False)  # type: ignore[arg-type]
    assert Identity.of_ours(engine) == identity


def test_limits_are_those_of_the_rules() -> None:
    asked = limits(JobRules(memory_bytes=5_000_000_000, processes=77))
    assert (asked["mem_limit"], asked["memswap_limit"], asked["pids_limit"]) == (5_000_000_000, 5_000_000_000, 77)
    assert (asked["cap_drop"], asked["security_opt"]) == (["ALL"], ["no-new-privileges:true"])


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_folder_is_given_with_its_links_and_not_what_they_lead_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    root = tmp_path / "ml"
    (root / "model").mkdir(parents=True)
    (root / "model" / "w").touch()
    (root / "out").symlink_to(outside)
    (root / "model" / "f").symlink_to(outside / "file")
    ownership.give(root, JOB_UID, JOB_UID)
    assert {path.lstat().st_uid for path in (root, *root.rglob("*"))} == {JOB_UID}
    assert {path.lstat().st_uid for path in (outside, outside / "file")} == {0}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_folder_is_given_however_deep_a_job_made_it(tmp_path: Path) -> None:
    here = Path.cwd()
    try:
        os.chdir(tmp_path)
        for _ in range(1500):  # longer than any path may be
            Path("deep").mkdir()
            os.chdir("deep")
        Path("file").touch()
        ownership.give(tmp_path, JOB_UID, JOB_UID)
        assert Path("file").stat().st_uid == JOB_UID
        ownership.give(tmp_path, 0, 0)
    finally:
        os.chdir(here)
        subprocess.run(["rm", "-rf", tmp_path / "deep"], check=True)


def test_a_folder_is_opened_and_not_what_its_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "private" / "file").touch(mode=0o600)
    before = Path("/etc/passwd").stat().st_mode
    ownership.open_to_everybody(tmp_path)
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o777
    assert (tmp_path / "private" / "file").stat().st_mode & 0o777 == 0o666
    assert Path("/etc/passwd").stat().st_mode == before
    ownership.open_to_everybody(tmp_path / "gone")
