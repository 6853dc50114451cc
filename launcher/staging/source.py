"""What the code of a job consists of: the product's own files, the user's, and the entry point among them.

Layout of the archive, which a job unpacks into its code folder::

    <files of source_dir, or the entry point alone>   the user's, or the product's scripts
    <name of each dependency>/...                     as SageMaker's SDK laid them out
    user_presets/<name>.yaml                          presets of the user's own
    train.py evaluate.py collect.py                   the product's scripts, unless the user has files of these names
    batchrl/... presets/...                           the product's library

Links travel as what they lead to, unless that lies outside of the folder that holds them.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batchrl.contract.errors import InputError
from launcher.base.product import library_folder, product_scripts
from launcher.staging.ignore import BUILT_IN, LOOKS_SECRET, IgnoreRules

USER_PRESETS = "user_presets"
ENTRY_POINT_HINT = "Put it into the folder as a file of its own, under a name that travels."
LEFT_OUT_HINT = "If the job needs it, rename it, or name it as a dependency, which puts it beside the entry point."
PRODUCT_LIBRARIES = ("batchrl", "presets")

# What tells one state of a file from another: size, mtime, ctime, inode. ctime cannot be set back by a user.
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True)
class SourceFile:
    """One file that travels.

    Args:
        path: where it lies.
        name: its path in the archive.
        size: bytes.
        executable: whether its owner may execute it.
        stamp: its state when it was listed.
    """

    path: Path
    name: str
    size: int
    executable: bool
    stamp: Stamp


@dataclass(frozen=True)
class Excluded:
    """A file or folder that stays.

    Args:
        name: its path in the archive, had it travelled; a folder's ends in ``/``.
        size: bytes; None for a folder, which is not entered.
        rule: why it stays.
        unexpected: whether nobody asked for that: neither a rule of the user's own, nor is it what tools leave behind.
    """

    name: str
    size: int | None
    rule: str
    unexpected: bool = False

    @property
    def built_in(self) -> bool:
        """Whether no line of an ignore file can bring it back."""
        return self.unexpected or self.rule.startswith(BUILT_IN)


@dataclass(frozen=True)
class Source:
    """What the user names as the code of a job.

    Args:
        entry_point: the script, relative to ``source_dir`` or to the current folder; or a script of the product.
        source_dir: folder that travels whole; None for the script alone.
        dependencies: further files and folders, placed beside the entry point.
        presets: preset files of the user's own.
    """

    entry_point: str
    source_dir: Path | None = None
    dependencies: tuple[Path, ...] = ()
    presets: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Listing:
    """All that would travel, sorted by name, and all that would not.

    Args:
        program: the entry point's path in the archive.
        files: what travels.
        excluded: what stays, with the rule.
    """

    program: str
    files: tuple[SourceFile, ...]
    excluded: tuple[Excluded, ...]

    @property
    def size(self) -> int:
        """Bytes of all files, before compression."""
        return sum(file.size for file in self.files)

    def runs_product_script(self, scripts: Mapping[str, Path]) -> bool:
        """Whether the program is one of the product's scripts, not a file of the user's with that name."""
        return any(file.name == self.program and file.path == scripts.get(file.name) for file in self.files)


def list_source(source: Source) -> Listing:
    """Find everything that travels, without reading any of it.

    Raises:
        InputError: the entry point or a folder is missing or left out by a rule, or links lead in a circle.
    """
    found = _Collector()
    program = _user_files(source, found)
    for dependency in source.dependencies:
        path = dependency.expanduser().absolute()
        if path.is_dir():
            found.add_folder(path, path.name + "/", IgnoreRules.above(path))
        else:
            found.add_file(path, path.name)
    for preset in source.presets:
        found.add_file(preset.expanduser().absolute(), f"{USER_PRESETS}/{preset.name}")
    for name, script in product_scripts().items():
        found.add_file(script, name)
    for library in PRODUCT_LIBRARIES:
        found.add_folder(library_folder(library), library + "/", IgnoreRules(), keep_links=True)
    return Listing(program, tuple(sorted(found.files.values(), key=lambda file: file.name)), tuple(found.excluded))


def _user_files(source: Source, found: _Collector) -> str:
    """Add the user's own files; returns the entry point's path in the archive."""
    if source.source_dir is None:
        path = Path(source.entry_point).expanduser()
        if path.is_file():
            found.add_file(path.absolute(), path.name)
            return path.name
        if source.entry_point in product_scripts():
            return source.entry_point
        raise _missing_entry_point(source.entry_point, path.absolute().parent)
    folder = source.source_dir.expanduser().absolute()
    if not folder.is_dir():
        raise InputError(f"source_dir '{source.source_dir}' is no folder (looked at {folder}).")
    found.add_folder(folder, "", IgnoreRules.above(folder))
    program = os.path.normpath(source.entry_point)
    if program in found.files:
        return program
    for stayed in found.excluded:
        if stayed.name == program or (stayed.name.endswith("/") and program.startswith(stayed.name)):
            raise InputError(
                f"the entry point '{source.entry_point}' does not travel: {stayed.rule}.",
                ENTRY_POINT_HINT
                if stayed.built_in
                else "Change the rule, or bring it back with '!' in .batchrlignore.",
            )
    if program in product_scripts():
        return program
    raise _missing_entry_point(source.entry_point, folder)


def _missing_entry_point(entry_point: str, folder: Path) -> InputError:
    scripts = sorted(path.name for path in folder.glob("*.py")) if folder.is_dir() else []
    known = [*scripts, *product_scripts()]
    nearest = difflib.get_close_matches(Path(entry_point).name, known, 1, 0.5)
    there = ", ".join(scripts[:10]) or "no Python script"
    return InputError(
        f"the entry point '{entry_point}' is not in {folder}, which holds {there}.",
        f"Did you mean '{nearest[0]}'?" if nearest else f"The product's own are {', '.join(product_scripts())}.",
    )


@dataclass
class _Collector:
    """Gathers files; whoever comes first keeps a name, so that the user's files win over the product's."""

    files: dict[str, SourceFile] = field(default_factory=dict)
    excluded: list[Excluded] = field(default_factory=list)

    def add_file(self, path: Path, name: str) -> None:
        try:
            stat = path.stat()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from error
        if name in self.files:
            if self.files[name].path != path:
                rule = f"{self.files[name].path} takes its place"
                self.excluded.append(Excluded(name, stat.st_size, rule, path not in product_scripts().values()))
            return
        if not os.access(path, os.R_OK):
            raise InputError(f"{path} cannot be read: permission denied.", "Make it readable, or ignore it.")
        stamp = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        self.files[name] = SourceFile(path, name, stat.st_size, bool(stat.st_mode & 0o100), stamp)

    def add_folder(
        self, folder: Path, prefix: str, rules: IgnoreRules, above: tuple[Path, ...] = (), keep_links: bool = False
    ) -> None:
        """Add what a folder holds.

        Args:
            folder: where it lies.
            prefix: its path in the archive.
            rules: of the folders above.
            above: real paths of the folders above that travel, the outermost first.
            keep_links: whether links out of the outermost folder are followed, as installers of packages lay them.
        """
        real = folder.resolve()
        if real in above:
            raise InputError(f"{folder} is a link to {real}, a folder above it: links lead in a circle.")
        inside = rules.entering(folder)
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            raise InputError(f"the folder {folder} cannot be read: {error.strerror}.") from error
        for path in entries:
            name, is_folder = prefix + path.name, path.is_dir()
            rule = inside.excluded_by(path, is_folder)
            unexpected = rule is not None and LOOKS_SECRET in rule
            if rule is None and not keep_links:
                rule = _leading_out(path, (*above, real)[0])
                unexpected = rule is not None
            if rule is not None:
                shown = name + "/" if is_folder else name
                self.excluded.append(Excluded(shown, _size(path, is_folder), rule, unexpected))
            elif is_folder:
                self.add_folder(path, name + "/", inside, (*above, real), keep_links)
            elif path.is_file():
                self.add_file(path, name)
            else:
                what = "a link that leads nowhere" if path.is_symlink() else "neither a file nor a folder"
                self.excluded.append(Excluded(name, None, what, unexpected=True))


def _leading_out(path: Path, root: Path) -> str | None:
    """The rule that keeps a link at home whose target lies outside of the folder that travels, or None."""
    if not path.is_symlink() or not path.exists() or path.resolve().is_relative_to(root):
        return None
    return f"a link out of the folder, to {path.resolve()}"


def _size(path: Path, is_folder: bool) -> int | None:
    try:
        return None if is_folder else path.stat().st_size
    except OSError:
        return None
