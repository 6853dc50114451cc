"""``batchrl package``."""

from __future__ import annotations

from pathlib import Path

from command_line import Run


def test_files_and_what_stays_behind_are_listed_with_sizes_and_reasons(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "mine.py").write_text("print(1)\n")
    (source / ".env").write_text("KEY=1\n")
    (source / ".gitignore").write_text("*.csv\n")
    (source / "data.csv").write_text("1,2\n")

    record = run("package", "--source-dir", str(source), "--entry-point", "mine.py", "--json").json()

    assert {"name": "mine.py", "bytes": 9, "path": str(source / "mine.py")} in record["files"]
    assert record["program"] == "mine.py"
    assert {left["name"] for left in record["excluded"]} >= {".env", "data.csv"}
    assert all(left["rule"] for left in record["excluded"])


def test_the_same_tree_has_the_same_digest(run: Run) -> None:
    digest = run("package", "-q").out

    assert len(digest.strip()) == 64
    assert run("package", "-q").out == digest


def test_the_products_own_files_are_one_line_each_unless_all_are_wanted(run: Run) -> None:
    assert "presets/schema.py" not in run("package").out
    assert "presets/schema.py" in run("package", "--all").out


def test_a_missing_entry_point_is_wrong_input_with_the_nearest_name(run: Run) -> None:
    ended = run("package", "--entry-point", "trian.py")

    assert ended.code == 2
    assert "train.py" in ended.err


def test_a_source_folder_that_is_none_is_wrong_input(run: Run, tmp_path: Path) -> None:
    assert run("package", "--source-dir", str(tmp_path / "none")).code == 2
