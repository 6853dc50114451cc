"""The report of a loop against its own rounds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The stand-ins of loops are the neighbouring tests' own.
sys.path.insert(0, str(Path(__file__).parents[1] / "iterate"))

from made_loops import reported

from launcher.documents import html, markdown
from launcher.documents.model import Command, Intervals, Paragraph, Picture, Table
from launcher.reporting.loop import loop_document


def test_rounds_decisions_and_jobs_are_those_of_the_loop(tmp_path: Path) -> None:
    report = reported(tmp_path, 4)
    document = loop_document(report)
    parts = {one.name: one for one in document.sections}
    assert document.verdict.tone == "good" and "Round 4's policy acts now." in document.verdict.text
    (bars,) = (block.bars for block in parts["gate"].blocks if isinstance(block, Intervals))
    looks = [look for record in report.rounds for look in record.decision.looks]
    assert [bar.value for bar in bars] == [look["difference"]["value"] for look in looks]
    assert [bar.reliable for bar in bars] == [look["doubt"] is None for look in looks]
    assert all(bar.shown == "cannot tell" and bar.note for bar in bars if not bar.reliable)
    told = " ".join(block.text for block in parts["gate"].blocks if isinstance(block, Paragraph))
    assert all(record.decision.reason.rstrip(".") in told for record in report.rounds)
    (jobs,) = (block for block in parts["lineage"].blocks if isinstance(block, Table) and "Jobs" in block.title)
    assert [row[1] for row in jobs.rows] == [record.trained.job for record in report.rounds]
    commands = [block.text for block in parts["repeat"].blocks if isinstance(block, Command)]
    assert commands == [
        f"batchrl iterate --output {report.folder.root} --rounds 4",
        f"batchrl report {report.rounds[3].trained.job}",
    ]


def test_the_picture_of_the_loop_travels_in_the_page(tmp_path: Path) -> None:
    report = reported(tmp_path, 2)
    report.folder.picture.write_bytes(b"\x89PNG")
    (gate,) = (one for one in loop_document(report).sections if one.name == "gate")
    (picture,) = (block for block in gate.blocks if isinstance(block, Picture))
    assert picture.content == "iVBORw=="
    assert 'src="data:image/png;base64,iVBORw=="' in html.render(loop_document(report))


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_a_loop_that_goes_on_says_how_far_it_is(tmp_path: Path, rounds: int) -> None:
    document = loop_document(reported(tmp_path, rounds))
    expected = "No round is done yet" if rounds == 0 else f"{rounds} of 4 rounds are done"
    assert expected in document.verdict.text
    assert html.render(document) and markdown.render(document)
