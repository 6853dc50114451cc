"""Whose folder it is, and where things lie in it."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from batchrl.contract.errors import InputError
from launcher.local.host.address import Identity, StoreSettings
from launcher.local.host.home import HomePaths, default_home


def test_the_environment_names_the_folder(tmp_path: Path) -> None:
    assert default_home({"BATCHRL_HOME": str(tmp_path)}) == tmp_path
    assert default_home({}).name == "batchrl"


def test_two_spellings_are_one_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    (tmp_path / "real").mkdir()
    assert HomePaths.of(tmp_path / "link") == HomePaths.of(str(tmp_path / "real" / ".." / "real"))


def test_everything_in_it_is_private(tmp_path: Path) -> None:
    paths = HomePaths.of(tmp_path / "a" / "b")
    paths.create()
    for folder in (paths.root, paths.jobs, paths.store, paths.runtime):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    paths.runtime.rmdir()


def test_sockets_have_short_paths_however_deep_the_folder_is(tmp_path: Path) -> None:
    paths = HomePaths.of(tmp_path / ("deep" * 20) / ("folder" * 20))
    names = {paths.socket("x" * 63 + str(index)) for index in range(3)}
    assert len(names) == 3
    paths.create()
    for path in names:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
        path.unlink()
    paths.runtime.rmdir()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 4242, 4242)
    with pytest.raises(InputError, match=r"another user \(uid 4242\)"):
        HomePaths.of(folder).create()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_credentials_of_another_user_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "cloud.json"
    Identity(1, 2, "key", "secret").write(path)
    os.chown(path, 4242, 4242)
    with pytest.raises(InputError, match="another user"):
        Identity.read(path)


def test_a_folder_that_everybody_can_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(InputError, match="can be written by other users"):
        HomePaths.of(folder).create()


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be made|is no folder"):
        HomePaths.of(tmp_path / "file").create()


def test_credentials_are_random_private_and_hidden(tmp_path: Path) -> None:
    path = tmp_path / "cloud.json"
    identity = Identity.create()
    identity.write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Identity.read(path) == identity
    assert identity.secret_key != Identity.create().secret_key
    assert identity.secret_key not in repr(identity)
    path.chmod(0o644)
    with pytest.raises(InputError, match="can be read by other users"):
        Identity.read(path)


def test_a_damaged_cloud_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "cloud.json"
    path.write_text('{"api_port": 1')
    path.chmod(0o600)
    with pytest.raises(InputError, match="damaged"):
        Identity.read(path)


def test_credentials_of_a_store_are_looked_up_and_never_stored(tmp_path: Path) -> None:
    settings = StoreSettings("http://store:9000", "eu-west-1", variables=("MY_KEY", "MY_SECRET"))
    settings.write(tmp_path / "settings.json")
    assert StoreSettings.read(tmp_path / "settings.json") == settings
    address = settings.resolve({"MY_KEY": "key", "MY_SECRET": "hidden"})
    assert (address.access_key, address.secret_key, address.embedded) == ("key", "hidden", False)
    assert "hidden" not in (tmp_path / "settings.json").read_text() + repr(address)
    with pytest.raises(InputError, match="not set: MY_SECRET"):
        settings.resolve({"MY_KEY": "key"})


def test_a_store_needs_one_source_of_credentials() -> None:
    for wrong in ({}, {"profile": "p", "variables": ("A", "B")}, {"variables": ("A",)}):
        with pytest.raises(InputError):
            StoreSettings("http://store:9000", **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no endpoint"):
        StoreSettings("store:9000", profile="p")


def test_a_profile_of_the_users_opens_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("[ceph]\naws_access_key_id = key\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    assert StoreSettings("http://store:9000", profile="ceph").resolve().access_key == "key"
    with pytest.raises(InputError, match="other"):
        StoreSettings("http://store:9000", profile="other").resolve()
