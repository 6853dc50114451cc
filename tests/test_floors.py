"""The floors of ``launcher`` and ``batchrl``: no import runs up, and no files import each other in a circle."""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import rooms

packages = pytest.mark.parametrize("package", rooms.ROOMS)


def circle(edges: Iterable[tuple[str, str]]) -> list[str]:
    """Modules that import each other in a circle; empty where there is none."""
    graph: dict[str, set[str]] = {}
    for importer, imported in edges:
        graph.setdefault(importer, set()).add(imported)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


@packages
def test_every_folder_is_a_room_and_says_in_a_sentence_what_it_holds(package: str) -> None:
    found = rooms.modules(package)
    used = {rooms.room_of(module, path) for module, path in found.items()}
    assert used == set(rooms.ROOMS[package])
    for room in used:
        face = found[room]
        docstring = ast.get_docstring(ast.parse(face.read_text())) or ""
        assert docstring.split("\n")[0].endswith("."), f"{face}: no sentence"


@packages
def test_no_import_runs_up(package: str) -> None:
    floor = {room: number for number, room in enumerate(rooms.ROOMS[package])}
    upwards = [
        f"{one.importer}, line {one.line}, imports {one.imported}: {above} lies below {below}"
        for (above, below), found in rooms.arrows(package).items()
        for one in found
        if floor[above] > floor[below]
    ]
    assert not upwards, "\n".join(upwards)


@packages
def test_no_files_import_each_other_in_a_circle(package: str) -> None:
    assert not circle((one.importer, one.imported) for one in rooms.imports(package))


def test_a_circle_would_be_found() -> None:
    assert set(circle([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")])) == {"a", "b", "c"}
    assert not circle([("a", "b"), ("b", "c"), ("a", "c")])


@packages
def test_imports_inside_functions_and_for_types_count(package: str) -> None:
    known = rooms.modules(package)
    found = {(one.importer, one.line) for one in rooms.imports(package)}
    indented = {
        (module, number)
        for module, path in known.items()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if line.startswith("    from " + package + ".")
    }
    assert indented and indented <= found


def test_no_command_reaches_into_another() -> None:
    commands = "launcher.cli.commands."
    between = [one for one in rooms.imports("launcher") if one.imported.startswith(commands)]
    assert not between, "\n".join(f"{one.importer}, line {one.line}, imports {one.imported}" for one in between)
