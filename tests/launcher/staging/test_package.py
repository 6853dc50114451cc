"""The code archive: the same for the same files, and without what must stay."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import time
from pathlib import Path

import pytest

from batchrl.contract.errors import InputError
from launcher.base.product import product_scripts
from launcher.staging.package import LARGE_BYTES, Package, build
from launcher.staging.source import Source, list_source

HOSTILE = (
    "with space.py",
    "quo'te\".txt",
    "ünï-漢字.txt",
    "new\nline.txt",
    "-dash.txt",
    "a;b&c.txt",
    "back\\slash.txt",
)


def members(package: Package) -> dict[str, bytes]:
    with tarfile.open(package.archive) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive.getmembers()}  # type: ignore[union-attr]


def users(package: Package) -> set[str]:
    """Names of the user's own files in an archive."""
    return {name for name in members(package) if not name.startswith(("batchrl/", "presets/"))} - set(product_scripts())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "my.py").write_text("print(1)\n")
    return folder


def settle(folder: Path) -> None:
    """Let the files be old enough for the cache to believe them."""
    deadline = time.time() + 5
    newest = max(path.stat().st_ctime for path in folder.rglob("*"))
    while time.time() < newest + 0.15 and time.time() < deadline:
        time.sleep(0.01)


def test_the_same_files_give_the_same_bytes_wherever_and_whenever(tmp_path: Path, source: Path) -> None:
    for name in HOSTILE:
        (source / name).write_text(name)
    twin = tmp_path / "twin"
    twin.mkdir()
    for path in sorted(source.iterdir(), reverse=True):
        (twin / path.name).write_bytes(path.read_bytes())
        os.utime(twin / path.name, (1, 1))
    first = build(Source("my.py", source), tmp_path / "cache1")
    second = build(Source("my.py", twin), tmp_path / "cache2")
    assert first.archive.read_bytes() == second.archive.read_bytes()
    assert first.sha256 == second.sha256


def test_hostile_names_arrive_as_they_are(source: Path) -> None:
    for name in HOSTILE:
        (source / name).write_text(name)
    packed = members(build(Source("my.py", source)))
    assert {name: packed[name].decode() for name in HOSTILE} == {name: name for name in HOSTILE}


def test_a_changed_byte_a_new_name_and_a_mode_change_the_digest(source: Path) -> None:
    digests = [build(Source("my.py", source)).sha256]
    (source / "my.py").write_text("print(2)\n")
    digests.append(build(Source("my.py", source)).sha256)
    (source / "my.py").rename(source / "mine.py")
    digests.append(build(Source("mine.py", source)).sha256)
    (source / "mine.py").chmod(0o755)
    digests.append(build(Source("mine.py", source)).sha256)
    assert len(set(digests)) == 4


def test_an_unchanged_tree_is_not_packed_again(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(source)
    first = build(Source("my.py", source))

    def refuse(*_: object) -> None:
        raise AssertionError("packed again")

    monkeypatch.setattr("launcher.staging.package.write_archive", refuse)
    again = build(Source("my.py", source))
    assert (again.sha256, again.size, again.archive) == (first.sha256, first.size, first.archive)


def test_the_cache_is_for_its_owner_alone(source: Path, cache: Path) -> None:
    (cache / "batchrl").mkdir(mode=0o755)
    settle(source)
    build(Source("my.py", source))
    kept = sorted((cache / "batchrl" / "source").iterdir())
    assert {path.suffix for path in kept} == {".gz", ".json"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    folders = (cache / "batchrl", cache / "batchrl" / "source")
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in folders] == [0o700, 0o700]


def test_a_change_that_keeps_size_and_mtime_is_seen(source: Path) -> None:
    settle(source)
    first = build(Source("my.py", source))
    state = (source / "my.py").stat()
    (source / "my.py").write_text("print(2)\n")
    os.utime(source / "my.py", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert build(Source("my.py", source)).sha256 != first.sha256


def test_the_archive_holds_the_library_and_the_products_scripts(source: Path) -> None:
    packed = members(build(Source("my.py", source)))
    assert {"my.py", "batchrl/contract/layout.py", "batchrl/boot/__main__.py", "presets/__init__.py"} <= set(packed)
    assert not [name for name in packed if "__pycache__" in name or name.endswith(".pyc")]


def test_members_carry_no_owner_and_no_time(source: Path) -> None:
    with tarfile.open(build(Source("my.py", source)).archive) as archive:
        facts = {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in archive.getmembers()}
    assert facts == {(0, 0, "", "", 0)}


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        "prod.env",
        ".env.local",
        "server.pem",
        "id_rsa",
        "id_ed25519.pub",
        "credentials",
        "credentials.json",
        ".aws_credentials",
        "My-Credentials.txt",
        ".git-credentials",
        ".netrc",
    ],
)
def test_secret_looking_files_never_travel_even_when_asked_for(source: Path, name: str) -> None:
    (source / name).write_text("secret")
    (source / ".batchrlignore").write_text(f"!{name}\n")
    package = build(Source("my.py", source))
    assert name not in members(package)
    assert any(left.name == name and "secret" in left.rule for left in package.listing.excluded)


def test_what_stays_unasked_is_told_with_what_brings_it_along(tmp_path: Path, source: Path) -> None:
    (source / "utils").mkdir()
    (source / "utils" / "secrets.py").write_text("KEY = 1")
    (source / "shared").symlink_to(tmp_path)
    (source / "broken").symlink_to(source / "nowhere")
    (source / ".venv").mkdir()
    (source / ".gitignore").write_text("*.log\n")
    (source / "x.log").write_text("asked for, so not told")
    (warning,) = build(Source("my.py", source)).warnings
    assert warning.startswith("3 of your code stay here: broken (a link that leads nowhere), shared/ (a link out of")
    assert "utils/secrets.py (secrets.* looks like a secret)" in warning
    assert "name it as a dependency" in warning

    (source / ".batchrlignore").write_text("shared\nbroken\n")
    named = build(Source("my.py", source, dependencies=(source / "utils" / "secrets.py",)))
    assert "secrets.py" in members(named)  # what the warning says works


def test_the_hint_for_an_entry_point_that_stays_works(source: Path) -> None:
    (source / "secrets.py").write_text("")
    (source / "ignored.py").write_text("")
    (source / ".gitignore").write_text("ignored.py\n")
    with pytest.raises(InputError, match="looks like a secret") as secret:
        build(Source("secrets.py", source))
    assert "!" not in str(secret.value.hint)
    with pytest.raises(InputError, match="does not travel") as ignored:
        build(Source("ignored.py", source))
    assert "'!' in .batchrlignore" in str(ignored.value.hint)
    (source / ".batchrlignore").write_text("!ignored.py\n")
    assert build(Source("ignored.py", source)).listing.program == "ignored.py"


def test_a_link_to_a_secret_never_travels(tmp_path: Path, source: Path) -> None:
    (tmp_path / "id_rsa").write_text("secret")
    (source / "settings.txt").symlink_to(tmp_path / "id_rsa")
    assert "settings.txt" not in members(build(Source("my.py", source)))


@pytest.mark.parametrize("name", [".git", ".venv", "__pycache__", ".ssh", ".mypy_cache"])
def test_folders_of_tools_never_travel(source: Path, name: str) -> None:
    (source / "deep" / name).mkdir(parents=True)
    (source / "deep" / name / "x.py").write_text("x")
    package = build(Source("my.py", source))
    assert users(package) == {"my.py"}
    assert f"deep/{name}/" in {left.name for left in package.listing.excluded}


def test_a_virtual_environment_of_any_name_never_travels(source: Path) -> None:
    (source / "myenv").mkdir()
    (source / "myenv" / "pyvenv.cfg").write_text("home = /usr")
    assert users(build(Source("my.py", source))) == {"my.py"}


def test_ignore_files_hold_nested_and_from_the_repository_down(tmp_path: Path) -> None:
    repository = tmp_path / "repo"
    source = repository / "code"
    (source / "sub").mkdir(parents=True)
    (repository / ".git").mkdir()
    (repository / ".gitignore").write_text("*.csv\n\n# remark\n/code/top.txt\n")
    (source / "sub" / ".gitignore").write_text("!kept.csv\nlocal.txt\n")
    for name in ("my.py", "top.txt", "data.csv", "sub/kept.csv", "sub/local.txt", "sub/other.txt"):
        (source / name).write_text(name)
    package = build(Source("my.py", source))
    assert users(package) == {"my.py", "sub/.gitignore", "sub/kept.csv", "sub/other.txt"}
    rules = {left.name: left.rule for left in package.listing.excluded if "__pycache__" not in left.name}
    assert rules == {
        "data.csv": ".gitignore:1 *.csv",
        "top.txt": ".gitignore:4 /code/top.txt",
        "sub/local.txt": ".gitignore:2 local.txt",
    }


def test_batchrlignore_brings_back_what_gitignore_leaves_out_and_leaves_out_more(source: Path) -> None:
    (source / ".gitignore").write_text("*.bin\nbig/\n")
    (source / ".batchrlignore").write_text("!weights.bin\n*.md\n")
    (source / "big").mkdir()
    for name in ("weights.bin", "other.bin", "notes.md", "big/x.txt"):
        (source / name).write_text(name)
    assert users(build(Source("my.py", source))) == {"my.py", "weights.bin", ".gitignore", ".batchrlignore"}


def test_links_to_files_and_folders_travel_as_what_they_lead_to(source: Path) -> None:
    (source / "shared").mkdir()
    (source / "shared" / "util.py").write_text("util")
    (source / "lib").symlink_to(source / "shared")
    (source / "alias.py").symlink_to(source / "my.py")
    (source / "broken").symlink_to(source / "nowhere")
    package = build(Source("my.py", source))
    assert members(package)["lib/util.py"] == b"util"
    assert users(package) == {"my.py", "shared/util.py", "lib/util.py", "alias.py"}
    assert ("broken", "a link that leads nowhere") in {(left.name, left.rule) for left in package.listing.excluded}


def test_links_out_of_the_source_folder_stay_and_are_listed_with_their_rule(tmp_path: Path, source: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "private.txt").write_text("private")
    (source / "deep").mkdir()
    (source / "deep" / "dirlink").symlink_to(tmp_path / "outside")
    (source / "filelink.txt").symlink_to("../outside/private.txt")
    (source / "upward").symlink_to(tmp_path)
    package = build(Source("my.py", source))
    assert users(package) == {"my.py"}
    rules = {left.name: left.rule for left in package.listing.excluded if left.unexpected}
    assert set(rules) == {"deep/dirlink/", "filelink.txt", "upward/"}
    assert rules["deep/dirlink/"] == f"a link out of the folder, to {tmp_path / 'outside'}"


def test_a_source_folder_and_a_dependency_that_are_links_themselves_travel(tmp_path: Path, source: Path) -> None:
    (source / "alias.py").symlink_to("my.py")
    (tmp_path / "by_link").symlink_to(source)
    assert users(build(Source("my.py", tmp_path / "by_link"))) == {"my.py", "alias.py"}
    common = build(Source("my.py", source, (tmp_path / "by_link",)))
    assert {"by_link/my.py", "by_link/alias.py"} <= users(common)


def test_an_entry_point_that_is_a_link_out_of_the_folder_is_told(tmp_path: Path, source: Path) -> None:
    (tmp_path / "theirs.py").write_text("print(2)")
    (source / "theirs.py").symlink_to(tmp_path / "theirs.py")
    with pytest.raises(InputError, match="a link out of the folder") as caught:
        build(Source("theirs.py", source))
    assert "a file of its own" in str(caught.value.hint)


def test_links_in_a_circle_are_refused_by_name(source: Path) -> None:
    (source / "a").mkdir()
    (source / "a" / "back").symlink_to(source)
    with pytest.raises(InputError, match="circle") as caught:
        build(Source("my.py", source))
    assert str(source / "a" / "back") in caught.value.message


def test_a_missing_entry_point_names_the_folder_and_the_nearest_script(source: Path) -> None:
    with pytest.raises(InputError) as caught:
        build(Source("mu.py", source))
    assert str(source) in caught.value.message
    assert caught.value.hint == "Did you mean 'my.py'?"


def test_an_ignored_entry_point_is_told_with_its_rule(source: Path) -> None:
    (source / ".gitignore").write_text("my.*\n")
    with pytest.raises(InputError, match=r"\.gitignore:1 my\.\*"):
        build(Source("my.py", source))


def test_the_products_script_is_used_where_the_user_has_none(source: Path, project: Path) -> None:
    listing = list_source(Source("train.py", source))
    assert listing.program == "train.py"
    assert listing.runs_product_script(product_scripts())
    (source / "train.py").write_text("mine")
    mine = build(Source("train.py", source))
    assert members(mine)["train.py"] == b"mine"
    assert not mine.listing.runs_product_script(product_scripts())


def test_dependencies_and_presets_lie_beside_the_entry_point(tmp_path: Path, project: Path) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "tools.py").write_text("tools")
    (tmp_path / "one.py").write_text("one")
    (project / "mine.yaml").write_text("kind: train\n")
    package = build(Source("my.py", None, (tmp_path / "common", tmp_path / "one.py"), (Path("mine.yaml"),)))
    assert users(package) == {"my.py", "common/tools.py", "one.py", "user_presets/mine.yaml"}
    assert package.listing.program == "my.py"


def test_a_file_that_changes_while_it_is_packed_is_refused(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from launcher.staging import package

    written = package.write_archive

    def meddle(listing: object, raw: io.BytesIO) -> None:
        written(listing, raw)  # type: ignore[arg-type]
        (source / "my.py").write_text("changed meanwhile")

    monkeypatch.setattr(package, "write_archive", meddle)
    with pytest.raises(InputError, match="changed while it was packed"):
        build(Source("my.py", source))


def test_a_large_package_is_told_with_its_largest_files(source: Path) -> None:
    with (source / "huge.bin").open("wb") as file:
        file.truncate(LARGE_BYTES + 1)
    (warning,) = build(Source("my.py", source)).warnings
    assert "huge.bin" in warning
    assert ".batchrlignore" in warning


def test_a_module_about_credentials_is_code(source: Path) -> None:
    (source / "my_credentials.py").write_text("pass")
    assert "my_credentials.py" in members(build(Source("my.py", source)))
