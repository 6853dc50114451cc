"""Draws docs/architecture.svg from the imports in the code, and writes the rooms into docs/architecture.md.

Run ``python docs/draw_architecture.py`` after a room or an import between rooms came or went; ``tests/test_docs.py``
fails until then. A room stands on the floor above the highest room that it imports from; an arrow leads to what a room
imports from, and is left out where a longer way leads there, too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

import rooms

FOLDER = Path(__file__).resolve().parent
PICTURE = FOLDER / "architecture.svg"
PAGE = FOLDER / "architecture.md"
BEGIN, END = "<!-- rooms: python docs/draw_architecture.py -->", "<!-- end of the rooms -->"
TITLES = {"launcher": "launcher: what a user imports and types", "batchrl": "batchrl: what runs in a job"}
BOX_WIDTH, BOX_HEIGHT, GAP, FLOOR = 140, 28, 12, 60
MARGIN, TITLE = 24, 40
SWEEPS = 12
FILLS = {"launcher": "#e8f1fb", "launcher.local": "#fdf1e3", "batchrl": "#e9f6ec"}
STYLE = (
    "text{font-family:Helvetica,Arial,sans-serif;fill:#1b1f24}"
    ".room{font-size:12px;text-anchor:middle}.title{font-size:16px;font-weight:bold}"
    "line{stroke:#7a8490;stroke-width:1}rect{stroke:#57606a;stroke-width:1}"
)

Edges = Mapping[str, set[str]]


def edges(package: str) -> dict[str, set[str]]:
    """The rooms that each room imports from, without those that a longer way leads to as well."""
    found: dict[str, set[str]] = {room: set() for room in rooms.ROOMS[package]}
    for importer, imported in rooms.arrows(package):
        # A package's own __init__ is its face: names that are loaded when they are first used.
        if importer in found and imported in found and importer != package:
            found[importer].add(imported)
    joined = {room for importer, ends in found.items() for room in (importer, *ends) if ends}
    found = {room: ends for room, ends in found.items() if room in joined}
    below: dict[str, set[str]] = {}
    for room in reversed(list(found)):
        below[room] = set().union(found[room], *(below[other] for other in found[room] if other in below))
    return {
        room: {end for end in ends if not any(end in below[other] for other in ends if other != end)}
        for room, ends in found.items()
    }


def floors(below: Edges) -> list[list[str]]:
    """The rooms by floor, the ground floor first."""
    height: dict[str, int] = {}
    for room in reversed(list(below)):
        height[room] = max((height[end] + 1 for end in below[room]), default=0)
    return [[room for room in below if height[room] == floor] for floor in range(max(height.values()) + 1)]


def settle(plan: list[list[str]], below: Edges) -> dict[str, float]:
    """Where each room's middle lies, so that few arrows cross: floors are sorted by their neighbours, again."""
    above: dict[str, set[str]] = {room: set() for room in below}
    for room, ends in below.items():
        for end in ends:
            above[end].add(room)
    widest = max(len(floor) for floor in plan)
    place: dict[str, float] = {}

    def lay(floor: list[str]) -> None:
        left = (widest - len(floor)) / 2
        for index, room in enumerate(floor):
            place[room] = (left + index + 0.5) * (BOX_WIDTH + GAP)

    def middle(room: str, others: Edges) -> float:
        known = [place[other] for other in sorted(others[room])]
        return sum(known) / len(known) if known else place[room]

    for floor in plan:
        lay(floor)
    for sweep in range(SWEEPS):
        for floor in plan if sweep % 2 == 0 else reversed(plan):
            floor.sort(key=lambda room: (middle(room, below if sweep % 2 == 0 else above), room))
            lay(floor)
    return place


def _panel(package: str, left: float) -> tuple[list[str], float, float]:
    """The elements of one package's picture, its width and its height."""
    below = edges(package)
    plan = floors(below)
    place = settle(plan, below)
    top = {room: TITLE + (len(plan) - 1 - index) * FLOOR + MARGIN for index, floor in enumerate(plan) for room in floor}
    drawn = [f'<text class="title" x="{left:.0f}" y="{MARGIN}">{escape(TITLES[package])}</text>']
    for room, ends in below.items():
        for end in sorted(ends):
            drawn.append(
                f'<line x1="{left + place[room]:.1f}" y1="{top[room] + BOX_HEIGHT}" x2="{left + place[end]:.1f}" '
                f'y2="{top[end] - 3}" marker-end="url(#tip)"/>'
            )
    for room in below:
        fill = FILLS["launcher.local" if room.startswith("launcher.local") else package]
        x = left + place[room]
        drawn.append(
            f'<rect x="{x - BOX_WIDTH / 2:.1f}" y="{top[room]}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="4" '
            f'fill="{fill}"/><text class="room" x="{x:.1f}" y="{top[room] + 18}">{escape(_short(room))}</text>'
        )
    return drawn, max(len(floor) for floor in plan) * (BOX_WIDTH + GAP), max(top.values()) + BOX_HEIGHT + MARGIN


def _short(room: str) -> str:
    package, _, rest = room.partition(".")
    return rest or package


def draw() -> str:
    """The picture of both packages, as SVG."""
    elements: list[str] = []
    left, height = float(MARGIN), 0.0
    for package in rooms.ROOMS:
        drawn, width, tall = _panel(package, left)
        elements += drawn
        left, height = left + width + 2 * MARGIN, max(height, tall)
    tip = '<marker id="tip" markerWidth="7" markerHeight="7" refX="5" refY="3" orient="auto">'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left:.0f} {height:.0f}">',
            f'<style>{STYLE}</style><defs>{tip}<path d="M0,0 L6,3 L0,6 z" fill="#7a8490"/></marker></defs>',
            f'<rect width="{left:.0f}" height="{height:.0f}" style="fill:#ffffff;stroke:none"/>',
            *elements,
            "</svg>\n",
        ]
    )


def sentence(room: str, package: str) -> str:
    """What a room is for: the first line of its docstring."""
    path = rooms.FOLDERS[package].joinpath(*room.split("."), "__init__.py")
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0].replace("\n", " ")


def table() -> str:
    """The rooms with their sentences, from the top floor down."""
    lines: list[str] = []
    for package, names in rooms.ROOMS.items():
        folder = rooms.FOLDERS[package].relative_to(rooms.ROOT)
        lines += ["", "| room | what it holds |", "|---|---|"]
        for room in names:
            place = (folder / room.replace(".", "/")).as_posix()
            lines.append(f"| [`{place}/`](../{place}) | {sentence(room, package)} |")
    return "\n".join([BEGIN, *lines, "", END])


def page(text: str) -> str:
    """The page with its rooms as they are now."""
    before, _, rest = text.partition(BEGIN)
    return before + table() + rest.partition(END)[2]


def main(targets: Iterable[tuple[Path, str]] | None = None) -> None:
    """Write picture and page."""
    for path, text in targets or ((PICTURE, draw()), (PAGE, page(PAGE.read_text()))):
        path.write_text(text)


if __name__ == "__main__":
    main()
