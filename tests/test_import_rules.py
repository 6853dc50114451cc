"""The arrows between the packages, looked up in sys.modules after real imports and in every import statement.

launcher -> presets, batchrl.contract;  batchrl -> presets;  scripts -> batchrl, presets;  batchrl.contract and
presets -> nothing of ours.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "entrypoints"
OURS = frozenset({"launcher", "batchrl", "presets"})

# What a package may import of ours, the longest name first; a name allows what is below it.
ALLOWED = {
    "batchrl.contract": ("batchrl.contract",),
    "batchrl": ("batchrl", "presets"),
    "launcher": ("launcher", "presets", "batchrl.contract"),
    "presets": ("presets",),
    "": ("batchrl", "presets"),  # the scripts
}
# What a package may import beyond the standard library.
ALLOWED_THIRD_PARTY = {
    "batchrl.contract": frozenset({"boto3", "botocore", "s3transfer"}),
    "presets": frozenset({"annotated_types", "pydantic", "pydantic_core", "yaml"}),
}
# Must not be in sys.modules after each module of a package has been imported.
NEVER_LOADED = {
    "launcher": ("torch", "gymnasium", "pygame", "safetensors", "moto.backends"),
    "presets": ("torch", "numpy", "pandas", "boto3", "launcher", "batchrl"),
    "batchrl.contract": ("torch", "numpy", "pandas", "pydantic", "docker", "launcher", "presets"),
}
# Must not be in sys.modules after the package alone has been imported: they would cost its start-up time.
LAZY = {
    "launcher": ("torch", "numpy", "pandas", "pydantic", "docker", "matplotlib", "boto3", "moto", "rich"),
    "launcher.cli": ("torch", "numpy", "pandas", "pydantic", "docker", "matplotlib", "boto3", "moto"),
    "batchrl": ("torch", "numpy", "boto3"),
    "batchrl.boot": ("torch", "numpy", "boto3"),
    "presets": ("torch", "numpy"),
}


def module_name(path: Path) -> str:
    """The name that a source file is imported under; scripts have that of their file."""
    relative = path.relative_to(LIBRARY if path.is_relative_to(LIBRARY) else ROOT).with_suffix("")
    return ".".join(part for part in relative.parts if part != "__init__")


def sources() -> list[Path]:
    folders = (ROOT / "launcher", ROOT / "presets", LIBRARY)
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def owner(module: str, table: dict[str, object]) -> str:
    """The entry of a table that a module falls under."""
    return next(name for name in table if not name or module == name or module.startswith(f"{name}."))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file's import statements name, wherever they stand, as ``(line, module)``."""
    tree = ast.parse(path.read_text(), str(path))
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def is_below(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def loaded_after(statement: str) -> set[str]:
    """The modules in sys.modules after a statement in a fresh interpreter, away from the checkout."""
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd="/")
    assert done.returncode == 0, f"{statement} failed:\n{done.stderr}"
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_imports_of_ours_follow_the_arrows(path: Path) -> None:
    allowed = ALLOWED[owner(module_name(path), dict(ALLOWED))]
    crossing = [
        f"{path.relative_to(ROOT)}:{line} imports {name}; it may import {', '.join(allowed)}"
        for line, name in imports(path)
        if name.partition(".")[0] in OURS and not is_below(name, allowed)
    ]
    assert not crossing, "\n".join(crossing)


@pytest.mark.parametrize("package", ALLOWED_THIRD_PARTY)
def test_the_leaves_stand_on_little(package: str) -> None:
    allowed = ALLOWED_THIRD_PARTY[package]
    beyond = {
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources()
        if is_below(module_name(path), (package,))
        for line, name in imports(path)
        if name.partition(".")[0] not in sys.stdlib_module_names | OURS | allowed
    }
    assert not beyond, "\n".join(sorted(beyond))


@pytest.mark.parametrize("package", NEVER_LOADED)
def test_no_module_of_a_package_loads_what_it_never_needs(package: str) -> None:
    modules = [module_name(path) for path in sources() if is_below(module_name(path), (package,))]
    modules = [name for name in modules if not name.endswith("__main__")]
    loaded = loaded_after("import " + ", ".join(modules))
    assert not loaded.intersection(NEVER_LOADED[package])


@pytest.mark.parametrize("package", LAZY)
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    assert not loaded_after(f"import {package}").intersection(LAZY[package])


def test_the_launcher_loads_only_the_contract_of_batchrl() -> None:
    modules = [module_name(path) for path in sources() if is_below(module_name(path), ("launcher",))]
    loaded = loaded_after("import " + ", ".join(name for name in modules if not name.endswith("__main__")))
    library = {name for name in loaded if name.startswith("batchrl.")}
    assert not {name for name in library if not is_below(name, ("batchrl.contract",))}


def test_folders_of_scripts_are_no_packages() -> None:
    """A package named entrypoints or docker would hide the one of that name that others depend on."""
    assert not [folder for folder in ("entrypoints", "docker", "tests") if (ROOT / folder / "__init__.py").exists()]
