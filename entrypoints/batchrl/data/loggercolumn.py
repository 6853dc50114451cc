"""The column that names the policy that logged a row, as positions among the names of a log."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from batchrl.contract import columns
from batchrl.contract.errors import shortened
from batchrl.contract.text import listed
from batchrl.data.cells import labels
from batchrl.data.dataset import Integers
from batchrl.data.findings import NOWHERE, Finding
from batchrl.data.locations import SHOWN
from batchrl.data.storage import Storage

# A column of more names than these holds ids or amounts, not policies.
MOST_LOGGERS = 100
NONE_NAMED = -1


class LoggerColumn:
    """Grows by blocks of rows.

    Args:
        storage: where the rows go.
    """

    def __init__(self, storage: Storage) -> None:
        self._column = storage.column()
        self._names: dict[str, int] = {}

    def append(self, cells: pa.Array) -> None:
        """Add rows: texts, spaces around them left out, or what has one; none after ``finding`` says something."""
        if len(self._names) > MOST_LOGGERS:
            self._column.append(np.full(len(cells), NONE_NAMED, np.int64))
            return
        codes, texts = labels(cells)
        known = [
            self._names.setdefault(text.strip(), len(self._names)) if text.strip() else NONE_NAMED for text in texts
        ]
        self._column.append(np.array([*known, NONE_NAMED], np.int64)[codes])

    @property
    def finding(self) -> Finding | None:
        """That there are more names than policies could have."""
        if len(self._names) <= MOST_LOGGERS:
            return None
        return Finding(
            f"data.columns.logger names a column of more than {MOST_LOGGERS} values "
            f"({listed([shortened(name, SHOWN) for name in self._names], 3)}): those are ids or amounts, not policies "
            "that logged episodes",
            "Name the column that says which policy logged an episode, or leave data.columns.logger out.",
            NOWHERE,
            spoils=(columns.LOGGER,),
        )

    def finish(self) -> tuple[Integers, tuple[str, ...]]:
        """``[M]`` positions among the names, -1 in empty cells; and the names, sorted."""
        names = sorted(self._names)
        places = np.array([*(names.index(name) for name in self._names), NONE_NAMED], np.int64)
        found: Integers = self._column.finish()
        return places[found], tuple(names)
