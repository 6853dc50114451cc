"""The numbered contract in ``docs/`` and those who cite it: each number exists, each item is shown or says why not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from botocore.session import get_session

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (ROOT / "docs" / "contract.md", ROOT / "docs" / "contract-serving.md")
COACH = ROOT / "docs" / "coach.md"
CITING = ("launcher", "entrypoints", "presets", "docker", "bench", "tests")
READ = (*CITING, "docs", "examples")
SUFFIXES = {".py", ".sh", ".md", ".yaml", ".toml", ".txt", ".ipynb", ""}
LAST_ITEM = 243
OPEN_LISTS = ("Not decidable here", "Not shown by a test yet")
SOURCES = (
    *("guide ", "API ", "runtime API ", "toolkit ", "inference toolkit ", "SDK ", "GitHub ", "RL image", "RL example"),
    *("botocore ", "moto ", "batchrl"),
)

ENTRY = r"(?:[A-G]\d{0,2}|\d+)"
JOINT = r"(?:,? and |,? or |, | to |-|–)"
CITATION = re.compile(rf"\b[Cc]ontract(?:(?:-serving)?\.md)?,?(?: items?)? ({ENTRY}(?:{JOINT}{ENTRY})*)(?!\w|\.\w)")
QUIRK = re.compile(r"\bquirks? (\d+(?:(?:,? and |, | to |-)\d+)*)", re.IGNORECASE)
ELSEWHERE = re.compile(r"(?:\bsections? |\bdesign |§ ?)\d+(?:\.\d+)*", re.IGNORECASE)
BARE_NAME = re.compile(r"def test_(\d+)_")
TEST_NAME = re.compile(r"def test_((?:[A-G]\d+_)+)")


@dataclass
class Cited:
    """What a text cites.

    Args:
        items: numbers of items.
        sections: parts and sections, as ``A`` and ``A7``.
    """

    items: set[int] = field(default_factory=set)
    sections: set[str] = field(default_factory=set)


@dataclass
class Item:
    """One item of the contract; its part is a letter, its text ends with its sources in parentheses."""

    part: str
    text: str

    @property
    def sources(self) -> list[str]:
        found = re.search(r"\(([^()]*)\)$", self.text)
        return found[1].split("; ") if found else []


@dataclass
class Contract:
    """What the documents hold.

    Args:
        numbers: of the items, in the order of the documents.
        items: by number.
        sections: parts and sections.
        listed: of each list of open items, the numbers with their reasons.
    """

    numbers: list[int] = field(default_factory=list)
    items: dict[int, Item] = field(default_factory=dict)
    sections: set[str] = field(default_factory=set)
    listed: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: {name: [] for name in OPEN_LISTS})


def one_line(text: str) -> str:
    """A text without its line ends; a comment goes on in the next line."""
    return re.sub(r"\s*\n\s*(?:#+ )?", " ", text)


def expanded(text: str) -> list[str]:
    """``7, 9 to 11 and B2`` as its entries, ranges written out."""
    entries: list[str] = []
    for found in re.finditer(rf"({ENTRY})(?:(?: to |-|–)({ENTRY}))?", text):
        first, last = found[1], found[2] or found[1]
        letter = first[:1] if first[:1].isalpha() else ""
        start, end = first.removeprefix(letter), last.removeprefix(letter)
        entries += [f"{letter}{n}" for n in range(int(start), int(end) + 1)] if start and end else [first, last]
    return entries


def citations(text: str) -> Cited:
    cited = Cited()
    for found in CITATION.finditer(one_line(text)):
        entries = expanded(found[1])
        cited.items |= {int(entry) for entry in entries if entry.isdigit()}
        cited.sections |= {entry for entry in entries if not entry.isdigit()}
    return cited


def named(source: str) -> list[tuple[str, int]]:
    """Letters and numbers in the names of tests."""
    marks = (mark for found in TEST_NAME.finditer(source) for mark in found[1].rstrip("_").split("_"))
    return [(mark[0], int(mark[1:])) for mark in marks]


def parsed(text: str, contract: Contract) -> None:
    """Add what a document holds."""
    part, listed = "", None
    for block in re.split(r"\n\s*\n|\n(?=#|- )", text):
        block = block.strip()
        if heading := re.match(r"#+ (?:([A-G]\d*)\. )?(.*)", block):
            listed = contract.listed.get(heading[2])
            if heading[1]:
                part = heading[1][0]
                contract.sections.add(heading[1])
        elif found := re.match(r"\*\*(\d+)\.\*\* ", block):
            contract.numbers.append(int(found[1]))
            contract.items[int(found[1])] = Item(part, one_line(block))
        elif listed is not None and (entry := re.match(r"- \*\*([^*]+)\*\*: (.*)", one_line(block))):
            listed += [(int(number), entry[2]) for number in expanded(entry[1])]


def files(folders: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Names and texts of the files of some folders, but for this one, whose samples cite what is not there."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*"))]
    for path in (*paths, ROOT / "README.md"):
        if path.is_file() and path.suffix in SUFFIXES and "__pycache__" not in path.parts and path != Path(__file__):
            yield str(path.relative_to(ROOT)), path.read_text()


@pytest.fixture(scope="module")
def contract() -> Contract:
    read = Contract()
    for document in DOCUMENTS:
        parsed(document.read_text(), read)
    return read


@pytest.fixture(scope="module")
def tested() -> set[int]:
    """The items that tests cite, in a name or in their text."""
    found: set[int] = set()
    for _, text in files(("tests",)):
        found |= citations(text).items | {number for _, number in named(text)}
    return found


def test_the_items_are_numbered_without_a_gap(contract: Contract) -> None:
    assert contract.numbers == list(range(1, LAST_ITEM + 1))


def test_each_item_has_a_part_and_a_source(contract: Contract) -> None:
    model, runtime = (get_session().get_service_model(name) for name in ("sagemaker", "sagemaker-runtime"))
    shapes = {f"API {name}" for name in (*model.shape_names, *model.operation_names)}
    shapes |= {f"runtime API {name}" for name in (*runtime.shape_names, *runtime.operation_names)}
    faults = []
    for number, item in contract.items.items():
        known = [source for source in item.sources if source.startswith(SOURCES)]
        unknown = [source for source in item.sources if source not in known and source != "unverified"]
        unknown += [source for source in known if "API " in source and source not in shapes]
        if not known or unknown or not item.part:
            faults.append(f"{number}: {item.sources}: {unknown}")
    assert not faults, "\n".join(faults)


def test_what_is_cited_exists(contract: Contract) -> None:
    missing = []
    for name, text in files(CITING):
        cited = citations(text)
        numbers = cited.items | {number for _, number in named(text)}
        missing += [f"{name}: {entry}" for entry in sorted(numbers - set(contract.items))]
        missing += [f"{name}: {entry}" for entry in sorted(cited.sections - contract.sections)]
    assert not missing, "\n".join(missing)


def test_a_tests_name_has_the_letter_of_the_part(contract: Contract) -> None:
    wrong = [
        f"{name}: {letter}{number} stands in part {contract.items[number].part}"
        for name, text in files(("tests",))
        for letter, number in named(text)
        if number in contract.items and contract.items[number].part != letter
    ]
    assert not wrong, "\n".join(wrong)


def test_no_tests_name_has_a_number_without_its_letter() -> None:
    bare = [
        f"{name}: {found[0]}"
        for name, text in files(("tests",))
        for found in BARE_NAME.finditer(text)
        if int(found[1]) <= LAST_ITEM
    ]
    assert not bare, "\n".join(bare)


def test_each_item_is_cited_by_a_test_or_says_why_not(contract: Contract, tested: set[int]) -> None:
    listed = [number for entries in contract.listed.values() for number, _ in entries]
    assert sorted(set(contract.items) - tested - set(listed)) == [], "neither cited by a test nor listed"
    assert sorted(set(listed) & tested) == [], "listed, and cited by a test"
    assert sorted({number for number in listed if listed.count(number) > 1}) == [], "listed twice"
    assert sorted(set(listed) - set(contract.items)) == [], "listed, and no item"
    short = [number for entries in contract.listed.values() for number, reason in entries if len(reason.split()) < 4]
    assert short == [], "listed without a reason"


def test_what_the_text_says_of_quirks_stands_in_their_list() -> None:
    known = {int(number) for number in re.findall(r"^\*\*(\d+)\.\*\* ", COACH.read_text(), re.MULTILINE)}
    missing = [
        f"{name}: quirk {number}"
        for name, text in files(CITING)
        for found in QUIRK.finditer(one_line(text))
        for number in expanded(found[1])
        if int(number) not in known
    ]
    assert known
    assert not missing, "\n".join(missing)


def test_nothing_points_into_a_document_that_is_not_here() -> None:
    found = [f"{name}: {match[0]}" for name, text in files(READ) for match in ELSEWHERE.finditer(one_line(text))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "items", "sections"),
    [
        ("see contract 12.", {12}, set()),
        ("Contract 12 says", {12}, set()),
        ("(contract items 3-5)", {3, 4, 5}, set()),
        ("(contract item 41)", {41}, set()),
        ("contract 5, 7 and 9", {5, 7, 9}, set()),
        ("contract 99 to 103); or (176)", {99, 100, 101, 102, 103}, set()),
        ("contract A3 to A6, 22", {22}, {"A3", "A4", "A5", "A6"}),
        ("contract B1, D).", set(), {"B1", "D"}),
        ("what it is (contract B, 129 to 131)", {129, 130, 131}, {"B"}),
        ("# a comment that ends in (contract\n    # 14, 15)", {14, 15}, set()),
        ("docs/contract.md, item 7; docs/contract-serving.md items 130 and 131", {7, 130, 131}, set()),
        ("batchrl.contract.errors; the contract 's end; a contract of 12; subcontract 4", set(), set()),
    ],
)
def test_citations_are_found(text: str, items: set[int], sections: set[str]) -> None:
    assert citations(text) == Cited(items, sections)


def test_names_of_tests_are_found() -> None:
    source = "def test_B142_B9_small(x):\n    ...\nasync def test_A1_b(): ...\ndef test_D_a(): ...\ndef test_A_1(): ..."
    assert named(source) == [("B", 142), ("B", 9), ("A", 1)]


def test_names_with_a_bare_number_are_found() -> None:
    found = [
        match[1] for match in BARE_NAME.finditer("def test_172_x(): ...\ndef test_B172_y(): ...\ndef test_x_2_(): ...")
    ]
    assert found == ["172"]


def test_a_document_is_read() -> None:
    contract = Contract()
    parsed(
        "# T\n\n- a list\n\n## A. Part\n\n### A1. One\n\n**1.** Text,\ntwo lines `f(x)`. (guide a; unverified)\n\n"
        "**3.** No source.\n\n## Not decidable here\n\n- **1, 5 to 6**: needs a machine\n  of AWS\n- **9**: b\n\n"
        "## More\n\n- **2**: is in no list\n",
        contract,
    )
    assert contract.numbers == [1, 3]
    assert contract.sections == {"A", "A1"}
    assert contract.items[1] == Item("A", "**1.** Text, two lines `f(x)`. (guide a; unverified)")
    assert contract.items[1].sources == ["guide a", "unverified"]
    assert contract.items[3].sources == []
    reason = "needs a machine of AWS"
    assert contract.listed["Not decidable here"] == [(1, reason), (5, reason), (6, reason), (9, "b")]
    assert contract.listed["Not shown by a test yet"] == []


@pytest.mark.parametrize("text", ["(section 5.1)", "sections 2.3 and 2.4", "Section 4", "design 7", "section\n    # 3"])
def test_references_to_elsewhere_are_found(text: str) -> None:
    assert ELSEWHERE.search(one_line(text))


@pytest.mark.parametrize("text", ["this section", "sections of code", "design of 7", "intersection 5"])
def test_other_words_are_no_references(text: str) -> None:
    assert not ELSEWHERE.search(one_line(text))


def test_quirks_are_found() -> None:
    found = QUIRK.search("(Quirks 3, 5 and 12)")
    assert found is not None
    assert expanded(found[1]) == ["3", "5", "12"]
