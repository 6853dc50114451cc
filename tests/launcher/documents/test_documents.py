"""Documents in their formats: the same facts in each, nothing from outside, and no order taken from a text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from launcher.documents import html, jsonform, markdown
from launcher.documents.geometry import Axis, place_curve, place_intervals
from launcher.documents.model import (
    Bar,
    Column,
    Command,
    Curve,
    Document,
    Fact,
    Facts,
    Intervals,
    Paragraph,
    Picture,
    Point,
    Section,
    Share,
    Shares,
    Table,
)

HOSTILE = (
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '"><iframe src=https://evil.example/>',
    "![x](https://evil.example/a.png)",
    "[click](javascript:alert(1))",
    "a | b | c",
    "```\n# heading\n```",
    "{{ 7 * 7 }}{% raw %}",
    "\x1b]0;owned\x07 \u202eevil",
    "- item\n> quote\n1. one",
    "---\nlicense: other",
)


def document(text: str) -> Document:
    """One of every kind of block, with the text wherever a text may stand."""
    return Document(
        title=text,
        subtitle=text,
        verdict=Paragraph(text, "doubt"),
        figures=(Fact(text, text, text),),
        sections=(
            Section(
                "all",
                text,
                (
                    Paragraph(text),
                    Facts((Fact(text, text),)),
                    Table(text, (Column(text), Column(text, right=True)), ((text, text),), text, (0,)),
                    Intervals(text, text, (Bar(text, text, 1.0, 0.0, None, False, text),), 0.5, text),
                    Curve(text, text, text, (Point(1, 2.0, 1.0, 3.0, True), Point(2, None)), 1, text, 0.0, text),
                    Shares(text, (Share(text, 0.25, text),), text),
                    Command(text),
                    Picture(text, "image/png", "AAAA"),
                ),
            ),
        ),
        card={"name": text},
    )


class Tags(HTMLParser):
    """Every element of a page with its attributes, and the text outside of styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_adds_an_element_or_an_attribute_to_the_page(text: str) -> None:
    def skeleton(page: str) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attributes)) for tag, attributes in Tags(page).elements]

    assert skeleton(html.render(document(text))) == skeleton(html.render(document("harmless")))


@pytest.mark.parametrize("text", HOSTILE)
def test_the_page_shows_a_text_as_it_is_but_for_what_would_steer(text: str) -> None:
    words = " ".join(Tags(html.render(document(text))).words)
    shown = text.replace("\x1b", "\\x1b").replace("\x07", "\\x07").replace("\u202e", "\\u202e")
    assert shown in words
    assert "\x1b" not in words and "\u202e" not in words


def test_the_page_refers_to_nothing_outside_and_runs_nothing() -> None:
    page = html.render(document("plain"))
    for tag, attributes in Tags(page).elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form"}
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "action", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), (tag, name, value)
    assert not re.search(r"url\(|@import|https?:", page)
    policy = next(each["content"] for _, each in Tags(page).elements if each.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_a_text_as_it_is(text: str) -> None:
    lines = markdown.render(document(text)).splitlines()
    harmless = markdown.render(document("harmless")).splitlines()
    head = harmless.index("---", 1)
    assert lines.index("---", 1) == head, "the metadata ends where it ended"
    assert json.loads(lines[1].partition(": ")[2]) == text
    inside, opening = False, ""
    kinds: list[str] = []
    for line in lines[head + 1 :]:
        fence = re.fullmatch(r"`{3,}", line)
        if fence is not None and (not inside or line == opening):
            inside, opening = not inside, line
            continue
        if not inside and line:
            kinds.append(re.match(r"#+ |> |- |\*\*|\||.", line)[0])  # type: ignore[index]
            unescaped = re.sub(r"\\.", "", line)
            assert "<" not in unescaped and "](" not in unescaped and "![" not in unescaped
    blocks = [re.match(r"#+ |> |- |\*\*|\||.", line)[0] for line in harmless[head + 1 :] if line]  # type: ignore[index]
    assert len(kinds) == len([one for one in blocks if one != "`"]) - 1
    columns = [re.sub(r"\\.", "", line).count("|") for line in lines if line.startswith("| ")]
    assert columns == [line.count("|") for line in harmless if line.startswith("| ")]


def test_the_formats_hold_the_same_texts_and_numbers() -> None:
    whole = Document(
        "Title",
        "Subtitle",
        Paragraph("Verdict."),
        (Fact("Label", "12 %", "note"),),
        (
            Section(
                "one",
                "One",
                (
                    Table("Rows", (Column("A"),), (("first",), ("second",))),
                    Intervals("Earned", "Return", (Bar("mine", "3.00 [2.00, 4.00]", 3.0, 2.0, 4.0),), 1.5, "the log"),
                    Shares("Taken", (Share("mail", 0.25, "25.0 %"),)),
                ),
            ),
        ),
    )
    shown = " ".join("".join(Tags(html.render(whole)).words).split())
    written = re.sub(r"\\(.)", r"\1", markdown.render(whole))
    stored = json.loads(jsonform.render(whole))
    for text in ("Title", "Subtitle", "Verdict.", "12 %", "note", "first", "second", "3.00 [2.00, 4.00]", "25.0 %"):
        assert text in shown and text in written and json.dumps(text) in json.dumps(stored)
    earned = stored["sections"][0]["blocks"][1]
    assert (earned["type"], earned["reference"], earned["bars"][0]["lower"]) == ("intervals", 1.5, 2.0)


def test_numbers_that_json_has_not_are_null() -> None:
    curve = Curve("t", "y", "x", (Point(1, float("nan"), float("-inf"), 2.0),))
    stored = jsonform.to_json(Document("t", "s", Paragraph("v"), (), (Section("a", "A", (curve,)),)))
    assert stored["sections"][0]["blocks"][0]["points"][0]["lower"] is None
    json.dumps(stored, allow_nan=False)


def test_an_axis_shows_what_may_be_relied_on_and_cuts_what_lies_far_beyond() -> None:
    sure, wild = Bar("sure", "", 2.0, 1.0, 3.0), Bar("wild", "", 5e6, 1.5, 1e7, reliable=False)
    placed = place_intervals(Intervals("t", "a", (sure, wild), 0.0, "log"))
    assert placed.axis is not None and placed.axis.low < 0 and 3 < placed.axis.high < 10
    first, second = placed.bars
    assert not first.cut_low and not first.cut_high and first.start < first.at < first.end  # type: ignore[operator]
    assert second.cut_high and second.end == 100 and second.at is None


def test_a_side_without_a_bound_goes_on_beyond_the_axis() -> None:
    placed = place_intervals(
        Intervals("t", "a", (Bar("one", "", 2.0, 1.0, None), Bar("two", "", 2.0, None, None)), 0.0)
    )
    assert placed.bars[0].cut_high and not placed.bars[0].cut_low
    assert (placed.bars[1].start, placed.bars[1].cut_high) == (placed.bars[1].end, False)


def test_nothing_that_is_defined_draws_nothing() -> None:
    assert place_intervals(Intervals("t", "a", (Bar("one", "", None, None, None),), 0.0)).axis is None
    assert place_curve(Curve("t", "y", "x", (Point(1, None),))) is None
    assert "could be drawn" in html.render(
        Document("t", "s", Paragraph("v"), (), (Section("a", "A", (Curve("t", "y", "x", (Point(1, None),)),)),))
    )


def test_a_curve_has_a_gap_where_a_value_is_missing() -> None:
    points = (Point(1, 1.0, 0.5, 1.5), Point(2, None), Point(3, 2.0, 1.0, 3.0), Point(4, 3.0, 2.0, 4.0))
    placed = place_curve(Curve("t", "y", "x", points, marked=3))
    assert placed is not None
    assert [len(line.split()) for line in placed.lines] == [1, 2]
    assert [len(band.split()) for band in placed.bands] == [2, 4]
    assert [point.left for point in placed.points] == [12.5, 62.5, 87.5] and placed.marked == 62.5


@pytest.mark.parametrize("ends", [(0.0, 1.0), (-3e-7, 2e-6), (21.6, 200.0), (5.0, 5.0), (-1e9, 1e12)])
def test_ticks_are_round_few_and_within(ends: tuple[float, float]) -> None:
    axis = Axis.over(ends)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 8
    assert all(0 <= tick.at <= 100 for tick in ticks)
    values = [float(tick.text.replace(",", "")) for tick in ticks]
    assert len(set(values)) == len(values)
    assert [axis.at(value) for value in values] == pytest.approx([tick.at for tick in ticks], abs=0.01)
