"""Pages of what lies on this computer and was given to the console: folders of loops, and files of estimates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from batchrl.contract import jsontext
from batchrl.contract.errors import DamagedContent, InputError
from launcher.console.pages import Page, pace
from launcher.documents.model import Document
from launcher.iterate.report import LoopReport
from launcher.iterate.state import LoopFolder
from launcher.reporting.loop import loop_document
from launcher.reporting.scored import scored_document

MOST_BYTES = 32 * 1024 * 1024
LOOPS, ESTIMATES = "loops", "estimates"


class Given:
    """What was given, by numbers from 1.

    Args:
        loops: folders of loops.
        estimates: files that ``batchrl ope --json`` wrote.

    Raises:
        InputError: there is no loop in a folder, or a file cannot be read.
        DamagedContent: a file holds no estimate.
    """

    def __init__(self, loops: Sequence[Path] = (), estimates: Sequence[Path] = ()) -> None:
        self._loops = [LoopFolder(folder.expanduser().resolve()) for folder in loops]
        self._estimates = [file.expanduser().resolve() for file in estimates]
        for folder in self._loops:
            folder.read_loop()
        for file in self._estimates:
            _estimate(file)

    def links(self) -> list[tuple[str, str]]:
        """Address and name of each."""
        loops = [(f"/{LOOPS}/{number}", f"loop {one.root.name}") for number, one in enumerate(self._loops, 1)]
        files = [(f"/{ESTIMATES}/{number}", f"estimate {one.name}") for number, one in enumerate(self._estimates, 1)]
        return loops + files

    def page(self, what: str, number: str) -> Page | None:
        """The page of a loop or an estimate; None where there is none of this number.

        Args:
            what: ``LOOPS`` or ``ESTIMATES``.
            number: as an address has it.

        Raises:
            InputError: it is not there any more.
            DamagedContent: a file holds no estimate any more.
        """
        known = len(self._loops if what == LOOPS else self._estimates)
        at = int(number) if number.isascii() and number.isdecimal() and len(number) < 9 else 0
        if not 1 <= at <= known:
            return None
        if what == ESTIMATES:
            document = _estimate(self._estimates[at - 1])
            return Page(document.title, "document.html.j2", {"document": document, "trained": [], "step": ""})
        report = LoopReport.of(self._loops[at - 1])
        values = {
            "document": loop_document(report),
            "trained": [record.trained.job for record in report.rounds],
            "step": report.step or "",
        }
        again = 2 * pace(True) if len(report.rounds) < report.planned else None
        return Page(f"Loop {report.settings.name}", "document.html.j2", values, again)


def _estimate(file: Path) -> Document:
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from error
    if len(content) > MOST_BYTES:
        raise InputError(f"{file} is too large for an estimate: more than {MOST_BYTES:,} bytes.")
    try:
        values = jsontext.parsed(content)
    except ValueError as error:
        raise DamagedContent(f"{file} is no JSON: {error}.", "Make one: batchrl ope DATA --json") from error
    return scored_document(values, file.name)
