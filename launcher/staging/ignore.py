"""Which files of a source folder travel with a job, and by which rule one stays.

In this order; within 1 and 2 the last rule that matches decides, as in git:

===  ==============================================================================================
1    never: version control, virtual environments, caches, and whatever looks like a secret
2    ``.batchrlignore``, from the top of the repository (or the source folder) down to the file's own
     folder; ``!name`` brings back what ``.gitignore`` leaves out
3    ``.gitignore``, likewise
===  ==============================================================================================

A folder that stays is not entered, so that nothing below it can be brought back by itself.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

GIT_RULES = ".gitignore"
OWN_RULES = ".batchrlignore"

TOOL_FOLDERS = frozenset(
    {
        *(".git", ".hg", ".svn", ".venv", "__pycache__", ".ipynb_checkpoints", "node_modules", ".tox", ".nox"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".eggs"),
    }
)
SECRET_FOLDERS = frozenset({".ssh", ".aws", ".gnupg", ".kube", ".docker", ".azure", ".gcloud"})
SECRET_PATTERNS = (
    *(".env", ".env.*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"),
    # Files of keys, not modules about them.
    *("*credentials", *(f"*credentials*.{kind}" for kind in ("json", "yaml", "yml", "ini", "toml", "csv", "txt"))),
    *("secrets.*", ".netrc", ".pgpass", ".npmrc", ".pypirc", ".htpasswd", "service-account*.json"),
)
TOOL_FILES = ("*.pyc", "*.pyo", ".DS_Store", "*.swp", ".git")
VIRTUAL_ENVIRONMENT_MARK = "pyvenv.cfg"
BUILT_IN, LOOKS_SECRET = "built in:", "looks like a secret"


def never_travels(path: Path, is_folder: bool) -> str | None:
    """The built-in rule that keeps a file or folder at home, or None.

    Args:
        path: the file or folder; a link is judged by its own name and by the name of what it leads to.
        is_folder: whether it is a folder, or a link to one.
    """
    names = {path.name, path.resolve().name} if path.is_symlink() else {path.name}
    for name in names:
        if is_folder:
            if name in TOOL_FOLDERS:
                return f"{BUILT_IN} {name} never travels"
            if name in SECRET_FOLDERS:
                return f"{BUILT_IN} {name} {LOOKS_SECRET}"
        elif pattern := _first_match(name.lower(), SECRET_PATTERNS):
            return f"{BUILT_IN} {pattern} {LOOKS_SECRET}"
        elif pattern := _first_match(name, TOOL_FILES):
            return f"{BUILT_IN} {pattern} never travels"
    if is_folder and (path / VIRTUAL_ENVIRONMENT_MARK).is_file():
        return f"{BUILT_IN} a virtual environment never travels"
    return None


def _first_match(name: str, patterns: tuple[str, ...]) -> str | None:
    return next((pattern for pattern in patterns if fnmatch.fnmatchcase(name, pattern)), None)


@dataclass(frozen=True)
class RuleFile:
    """One ignore file.

    Args:
        file: where it lies; its patterns are relative to its folder.
        lines: numbers and texts of the lines that are not empty.
        spec: the compiled patterns, one a line of ``lines``.
    """

    file: Path
    lines: tuple[tuple[int, str], ...]
    spec: GitIgnoreSpec

    @classmethod
    def load(cls, file: Path) -> RuleFile | None:
        """Read an ignore file; None where there is none."""
        if not file.is_file():
            return None
        texts = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        lines = tuple((number, text) for number, text in enumerate(texts, 1) if text.strip())
        return cls(file, lines, GitIgnoreSpec.from_lines([text for _, text in lines]))

    def verdict(self, path: Path, is_folder: bool) -> tuple[bool, str] | None:
        """Whether the last matching pattern leaves a path out, and that pattern; None where none matches."""
        relative = path.relative_to(self.file.parent).as_posix()
        result = self.spec.check_file(relative + "/" if is_folder else relative)
        if result.include is None or result.index is None:
            return None
        number, text = self.lines[result.index]
        return result.include, f"{self.file.name}:{number} {text.strip()}"


@dataclass(frozen=True)
class IgnoreRules:
    """The ignore files that apply inside one folder, the outermost first."""

    git: tuple[RuleFile, ...] = ()
    own: tuple[RuleFile, ...] = ()

    @classmethod
    def above(cls, folder: Path) -> IgnoreRules:
        """Rules from outside a folder: those of the repository that it lies in, without the folder's own."""
        rules = cls()
        for parent in _repository_folders(folder):
            rules = rules.entering(parent)
        return rules

    def entering(self, folder: Path) -> IgnoreRules:
        """The rules inside a folder below."""
        git, own = RuleFile.load(folder / GIT_RULES), RuleFile.load(folder / OWN_RULES)
        return IgnoreRules((*self.git, git) if git else self.git, (*self.own, own) if own else self.own)

    def excluded_by(self, path: Path, is_folder: bool) -> str | None:
        """The rule that leaves a path out, or None when it travels."""
        if rule := never_travels(path, is_folder):
            return rule
        for files in (self.own, self.git):
            for file in reversed(files):
                verdict = file.verdict(path, is_folder)
                if verdict is not None:
                    return verdict[1] if verdict[0] else None
        return None


def _repository_folders(folder: Path) -> Iterator[Path]:
    """The folders above one, from the top of its git repository down; none outside of a repository."""
    above = list(folder.parents)
    if (folder / ".git").exists():
        return
    for index, parent in enumerate(above):
        if (parent / ".git").exists():
            yield from reversed(above[: index + 1])
            return
