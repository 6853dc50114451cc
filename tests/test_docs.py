"""The documents: links lead somewhere, commands and options exist, pictures of the code are of this code."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import draw_architecture
import rooms
from pages import BLOCK, commands

from batchrl.contract.errors import BatchRLError

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    page
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md"))
    if not page.name.startswith(".")
)
README_LINES = 150
LINK = re.compile(r"\]\(([^)\s]+)\)")
IN_LINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def pages() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        yield page, page.read_text()


def anchors(text: str) -> set[str]:
    """The names that a page's headings give to links, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> list[str]:
    """The links of a page that lead to no file of the checkout, or to no heading of it."""
    broken = []
    for target in LINK.findall(IN_LINE.sub("", BLOCK.sub("", text))):
        if "://" in target:
            continue
        name, _, heading = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        if not place.exists() or (heading and heading not in anchors(place.read_text())):
            broken.append(target)
    return broken


def test_every_link_leads_to_a_file_or_heading() -> None:
    assert {page.name: broken for page, text in pages() if (broken := broken_links(page, text))} == {}


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One `thing`, here\n[a](#one-thing-here) [b](#two) [c](page.md) [d](gone.md) [e](https://x.org)\n"
    )
    assert broken_links(page, page.read_text()) == ["#two", "gone.md"]


def test_every_document_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"({page.name})" not in index] == ["README.md"]


def test_the_front_page_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


def unknown_words(line: str, known: dict[str, click.Command]) -> list[str]:
    """What a line says to ``batchrl`` that ``batchrl`` does not know: a command or an option."""
    wrong = []
    for said in re.findall(r"\bbatchrl ([a-z][^#`)]*)", line):
        name = said.split()[0].strip("|,.;:")
        command = known.get(name)
        if command is None:
            wrong.append(f"batchrl {name}")
            continue
        if command.context_settings.get("ignore_unknown_options"):
            continue  # a script of its own takes its options
        commands_named = [command, *(each for words, each in known.items() if words.startswith(f"{name} "))]
        options = {option for each in commands_named for parameter in each.params for option in parameter.opts} | {
            "--help"
        }
        said = said.partition(" | ")[0]
        wrong += [f"{name} {option}" for option in re.findall(r"(?<!\S)--[a-z][\w-]+", said) if option not in options]
    return wrong


def told(text: str) -> Iterator[str]:
    """The lines of a page that show commands: blocks without a language, and what stands in backticks."""
    for language, block in BLOCK.findall(text):
        if language in ("", "sh", "bash", "console"):
            yield from block.replace("\\\n", " ").splitlines()
    yield from IN_LINE.findall(BLOCK.sub("", text))


def test_every_command_and_option_that_a_page_names_exists() -> None:
    known = commands()
    wrong = {
        page.name: unknown
        for page, text in pages()
        if (unknown := [word for line in told(text) for word in unknown_words(line, known)])
    }
    assert wrong == {}


def refused(line: str, known: dict[str, click.Command]) -> str | None:
    """Why ``batchrl`` cannot read a line that begins with it; None where it can, or the line shows alternatives."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a quotation goes on in the next line
        return None
    if ">" in words:
        words = words[: words.index(">")]
    if words[:1] != ["batchrl"] or any(word.startswith(("|", "[", "(")) for word in words):
        return None
    names = [name for name in (" ".join(words[1:3]), " ".join(words[1:2])) if name in known]
    rest = words[1 + len(names[0].split()) :] if names else []
    try:
        known[names[0]].make_context(names[0], rest) if names else None
    except click.UsageError as error:
        said = error.format_message()
        return f"{line}: {said}" if said.startswith(("Got unexpected extra", "No such option")) else None
    except (click.exceptions.Exit, BatchRLError):
        pass
    return None


def test_every_line_that_a_page_shows_is_one_that_the_command_takes() -> None:
    known = commands()
    lines = [line for _, text in pages() for _, block in BLOCK.findall(text) for line in block.splitlines()]
    assert [why for line in lines if (why := refused(line, known))] == []


def test_a_line_with_a_word_too_many_is_found() -> None:
    known = commands()
    assert "unexpected extra argument" in str(refused("batchrl train cartpole.csv --preset generic-discrete", known))
    assert refused("batchrl train --training cartpole.csv   # a comment", known) is None


def test_an_unknown_command_or_option_is_found() -> None:
    known = commands()
    assert unknown_words("batchrl dance", known) == ["batchrl dance"]
    assert unknown_words("batchrl train --trainig x --preset y", known) == ["train --trainig"]
    assert unknown_words("batchrl ps | grep --color x", known) == []


def test_the_picture_is_drawn_from_the_imports_as_they_are() -> None:
    assert draw_architecture.PICTURE.read_text() == draw_architecture.draw(), "run: python docs/draw_architecture.py"


def test_the_page_lists_the_rooms_as_they_are() -> None:
    text = draw_architecture.PAGE.read_text()
    assert text == draw_architecture.page(text), "run: python docs/draw_architecture.py"


def test_an_arrow_of_the_picture_is_left_out_only_where_a_longer_way_leads_there() -> None:
    for package in rooms.ROOMS:
        drawn = draw_architecture.edges(package)
        real = {ends for ends in rooms.arrows(package) if ends[0] in drawn and ends[1] in drawn}

        def reached(room: str, drawn: dict[str, set[str]] = drawn) -> set[str]:
            return set().union(drawn[room], *(reached(end) for end in drawn[room]))

        assert {(room, end) for room in drawn for end in drawn[room]} <= real
        assert all(end in reached(room) for room, end in real if room != package)


def test_files_that_a_page_names_in_backticks_exist() -> None:
    """Paths of the product's own modules, such as ``launcher/api/training.py``."""
    missing = []
    for page in (ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md", ROOT / "README.md"):
        for name in IN_LINE.findall(BLOCK.sub("", page.read_text())):
            if re.fullmatch(r"(launcher|batchrl|presets|entrypoints|tests|docs|bench|docker)/[\w/.-]*", name):
                place = ROOT / ("entrypoints" if name.startswith("batchrl/") else ".") / name
                if not place.exists():
                    missing.append(f"{page.name}: {name}")
    assert missing == []
