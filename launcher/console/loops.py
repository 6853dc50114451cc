"""The pages of closed loops, whose folders the console was given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from launcher.console.pages import Page, pace
from launcher.iterate.report import LoopReport
from launcher.iterate.state import LoopFolder
from launcher.reporting.loop import loop_document


class Loops:
    """The loops of a console, by their numbers.

    Args:
        folders: of loops.

    Raises:
        InputError: there is no loop in one of them.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._folders = [LoopFolder(folder.resolve()) for folder in folders]
        for folder in self._folders:
            folder.read_loop()

    def links(self) -> list[tuple[str, str]]:
        """Address and name of each."""
        return [(f"/loops/{number}", folder.root.name) for number, folder in enumerate(self._folders, 1)]

    def page(self, number: int) -> Page | None:
        """The page of a loop; None where there is none of this number.

        Raises:
            InputError: it is not there any more.
        """
        if not 1 <= number <= len(self._folders):
            return None
        report = LoopReport.of(self._folders[number - 1])
        document = loop_document(report)
        trained = [record.trained.job for record in report.rounds]
        runs = len(report.rounds) < report.planned
        values = {"document": document, "trained": trained, "step": report.step or ""}
        return Page(document.title, "loop.html.j2", values, 2 * pace(True) if runs else None)
