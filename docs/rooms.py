"""The rooms of the two packages, from the top floor down, and the imports between them, read from the code.

A room is a folder; its sentence is the docstring of its ``__init__.py``. A module may import from its own room and from
those below it. ``tests/test_floors.py`` holds the code to that.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"launcher": ROOT, "batchrl": ROOT / "entrypoints"}
LAUNCHER = (
    "launcher",  # its face: names of the other rooms, loaded when they are first used
    "launcher.cli.commands",
    "launcher.cli.demo",
    "launcher.cli",
    "launcher.console",
    "launcher.reporting",
    "launcher.iterate",
    "launcher.training",
    "launcher.serving",
    "launcher.reports",
    "launcher.diagnosis",
    "launcher.library",
    "launcher.jobs",
    "launcher.results",
    "launcher.staging",
    "launcher.session",
    "launcher.documents",
    "launcher.local",
    "launcher.local.server",
    "launcher.local.server.operations",
    "launcher.local.server.protocol",
    "launcher.local.shims",
    "launcher.local.jobs",
    "launcher.local.transform",
    "launcher.local.modelserver",
    "launcher.local.volumes",
    "launcher.local.executors",
    "launcher.local.engine",
    "launcher.local.logs",
    "launcher.local.records",
    "launcher.local.store",
    "launcher.local.keys",
    "launcher.local.events",
    "launcher.local.host",
    "launcher.api",
    "launcher.base",
)
BATCHRL = (
    "batchrl.commandline",
    "batchrl.training",
    "batchrl.ope.gate",
    "batchrl.ope.choice",
    "batchrl.ope.study",
    "batchrl.ope.report",
    "batchrl.ope.estimators",
    "batchrl.ope",
    "batchrl.collect",
    "batchrl.serving",
    "batchrl.checkpoints",
    "batchrl.agents",
    "batchrl.problems",
    "batchrl.data",
    "batchrl.boot",
    "batchrl",  # seeds, policies and the names of Python objects, which the rooms above share
    "batchrl.contract",
)
ROOMS = {"launcher": LAUNCHER, "batchrl": BATCHRL}


@dataclass(frozen=True)
class Import:
    """One import statement between modules of one package.

    Args:
        importer, imported: dotted names of the modules.
        line: where it stands.
    """

    importer: str
    imported: str
    line: int


def modules(package: str) -> dict[str, Path]:
    """The modules of a package by dotted name."""
    folder = FOLDERS[package]
    return {
        ".".join(part for part in path.relative_to(folder).with_suffix("").parts if part != "__init__"): path
        for path in sorted((folder / package).rglob("*.py"))
    }


def room_of(module: str, path: Path) -> str:
    """The room that a module lies in: its folder, as a dotted name."""
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


def imports(package: str) -> Iterator[Import]:
    """Every import of a package's own modules, wherever it stands: also inside functions and for types alone."""
    known = modules(package)
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            for name in _named(node):
                imported = _module_of(name, known)
                if imported and imported != module:
                    yield Import(module, imported, node.lineno)  # type: ignore[attr-defined]


def _named(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def _module_of(name: str, known: Mapping[str, Path]) -> str:
    """The module that a dotted name lies in, itself perhaps; empty where it is of another package."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def arrows(package: str) -> dict[tuple[str, str], list[Import]]:
    """The imports that cross from one room to another, by these two rooms."""
    known = modules(package)
    found: dict[tuple[str, str], list[Import]] = {}
    for one in imports(package):
        ends = room_of(one.importer, known[one.importer]), room_of(one.imported, known[one.imported])
        if ends[0] != ends[1]:
            found.setdefault(ends, []).append(one)
    return found
