"""A document as one HTML page that needs nothing else: no script, no address, its style within, for light and dark.

Texts may come from anybody: Jinja2 escapes all of them, and the page forbids its reader's browser to load or run
anything (Content-Security-Policy).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.base.terminal import visible
from launcher.documents.geometry import place_curve, place_intervals
from launcher.documents.model import Block, Curve, Document, Intervals

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent
PAGE, STYLE = "page.html.j2", "page.css"
# The space within an interval: no line ends there.
_WITHIN = re.compile(r"(?<=\[)(-?[\d.,]+,) (?=-?[\d.,]+\])")
NO_BREAK = "\N{NO-BREAK SPACE}"


def render(document: Document) -> str:
    """The page."""
    page: str = environment().get_template(PAGE).render(document=document, style=style())
    return page


def style() -> str:
    """The style of its blocks."""
    return (FOLDER / STYLE).read_text()


def environment(*folders: Path) -> Environment:
    """What renders templates: texts are escaped, and unknown names are errors.

    Args:
        folders: with templates beside those of documents; these may take macros from ``blocks.html.j2``.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader([*folders, FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.globals.update(placed=_placed, kind=_kind)
    return made


def _shown(value: Any) -> Any:
    """What an expression of the template writes: a text without orders to its reader's terminal or page."""
    return _WITHIN.sub(rf"\1{NO_BREAK}", visible(value)) if type(value) is str else value


def _kind(block: Block) -> str:
    return type(block).__name__


def _placed(block: Intervals | Curve) -> Any:
    """The block with the places of its figures; None for a curve without values."""
    return place_intervals(block) if isinstance(block, Intervals) else place_curve(block)
