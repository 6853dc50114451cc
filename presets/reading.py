"""Reads the YAML file of a preset, remembering the line of every key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from presets.errors import PresetError, shown

MAX_BYTES = 1024 * 1024
MAX_VALUES = 10_000
# Levels of keys: a section of a loop may hold a section of the preset that it names.
DEEPEST = 3


@dataclass(frozen=True)
class Document:
    """The content of a preset's file.

    Args:
        source: the path, as the user gave it; part of every message.
        values: the top-level mapping.
        lines: line of each dotted key, from 1.
    """

    source: str
    values: dict[str, Any]
    lines: dict[str, int] = field(default_factory=dict)

    def where(self, key: str) -> str:
        """``file, line n`` of a key, or of the nearest section above it."""
        while key:
            if key in self.lines:
                return f"{self.source}, line {self.lines[key]}"
            key = key.rpartition(".")[0]
        return self.source


def read(path: Path, source: str) -> Document:
    """Read one file.

    Raises:
        PresetError: the file is missing, not readable, not YAML, empty, no mapping, or gives a key twice.
    """
    text = _text(path, source)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            raise PresetError(f"{source}: the file is empty.", "A preset begins with its kind, as 'kind: train'.")
        if not isinstance(root, yaml.MappingNode):
            raise PresetError(
                f"{source}, line {root.start_mark.line + 1}: a preset is a mapping of settings ('epochs: 50'), "
                f"this is a {'list' if isinstance(root, yaml.SequenceNode) else 'single value'}."
            )
        lines: dict[str, int] = {}
        for key, line in _keys(root, source):
            if key in lines:
                raise PresetError(f"{source}, line {line}: '{key}' is given twice; the first is line {lines[key]}.")
            lines[key] = line
        _check_size(root, source)
        values = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line_text = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise PresetError(f"{source}{line_text}: not valid YAML: {error.problem or error.context}.") from error
    except yaml.YAMLError as error:
        raise PresetError(f"{source}: not valid YAML: {' '.join(str(error).split())}.") from error
    except RecursionError as error:
        raise PresetError(f"{source}: nested too deeply for a preset.") from error
    return Document(source, values, lines)


class _Loader(yaml.SafeLoader):
    """Takes a value that its type cannot be (the 31st of February) for wrong YAML, with its line."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            kind, value = node.tag.rpartition(":")[2], shown(node.value)
            raise yaml.MarkedYAMLError(problem=f"{value} is no {kind}", problem_mark=node.start_mark) from error


def _check_size(root: yaml.Node, source: str) -> None:
    """Refuse a file that is more than any preset once its references (``*name``) are written out.

    Raises:
        PresetError: it is.
        RecursionError: it is nested too deeply.
    """
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = 1  # for a node that holds itself
            below = (part for pair in node.value for part in pair) if isinstance(node, yaml.MappingNode) else node.value
            sizes[id(node)] = 1 + (0 if isinstance(node, yaml.ScalarNode) else sum(map(size, below)))
        return sizes[id(node)]

    if size(root) > MAX_VALUES:
        raise PresetError(f"{source} stands for more than {MAX_VALUES:,} values: that is no preset.")


def _text(path: Path, source: str) -> str:
    try:
        if path.is_dir():
            raise PresetError(f"{source} is a folder, not a preset's YAML file.")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise PresetError(
            f"there is no preset file {source}.", "Check the path; names are shown by: batchrl presets list"
        ) from error
    except OSError as error:
        raise PresetError(f"{source} cannot be read: {error.strerror}.") from error
    if len(content) > MAX_BYTES:
        raise PresetError(f"{source} is larger than {MAX_BYTES} bytes: that is no preset.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PresetError(f"{source}: byte {error.start} is not UTF-8 text.") from error


def _keys(node: yaml.MappingNode, source: str, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Dotted keys with their lines, as deep as presets go."""
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise PresetError(f"{source}, line {line}: a key is a word, not a list or mapping.")
        key = prefix + str(key_node.value)
        yield key, line
        if isinstance(value_node, yaml.MappingNode) and prefix.count(".") < DEEPEST - 1:
            yield from _keys(value_node, source, f"{key}.")
