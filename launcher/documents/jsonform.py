"""A document as JSON: every block with its type and its numbers."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from launcher.base.terminal import visible_json
from launcher.documents.model import Block, Document

FORMAT = 1


def to_json(document: Document) -> dict[str, Any]:
    """In JSON's types; what is no finite number is null."""
    whole = asdict(document)
    whole["sections"] = [
        {"name": section.name, "title": section.title, "blocks": [_block(block) for block in section.blocks]}
        for section in document.sections
    ]
    found: dict[str, Any] = _finite({"format": FORMAT, **whole})
    return found


def render(document: Document) -> str:
    """The file."""
    return visible_json(json.dumps(to_json(document), indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def _block(block: Block) -> dict[str, Any]:
    return {"type": type(block).__name__.lower(), **asdict(block)}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
