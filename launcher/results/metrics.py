"""The estimates of a job, epoch by epoch, read from the csv that it publishes while it runs."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchrl.contract import columns
from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.layout import JobLayout
from batchrl.contract.published import find_published
from launcher.results.plot import plot
from launcher.session.session import Session

if TYPE_CHECKING:
    import pandas as pd

NEEDED = (columns.EPOCH, *columns.ESTIMATES)


@dataclass(frozen=True)
class Metrics:
    """A table with one row an epoch.

    Args:
        job_name: whose it is.
        frame: columns as ``batchrl.contract.columns`` names them; an estimate that was not made is NaN.
    """

    job_name: str
    frame: pd.DataFrame

    @classmethod
    def read(cls, session: Session, layout: JobLayout) -> Metrics:
        """The newest whole version of a job's csv, which may be overwritten at this moment.

        Raises:
            InputError: the job has published none.
            DamagedContent: it could not be read whole, or lacks columns.
            Unreachable: the store does not answer.
        """
        place = layout.intermediate
        with session.reported(f"reading the estimates of {layout.job_name}", session.s3):
            content = find_published(session.s3, place, columns.INTERMEDIATE_CSV)
        if content is None:
            raise InputError(
                f"the job '{layout.job_name}' has published no estimates: "
                f"there is no {columns.INTERMEDIATE_CSV} in {place}.",
                "They come with the first epoch of a training job.",
            )
        return cls.parse(layout.job_name, content)

    @classmethod
    def parse(cls, job_name: str, content: bytes) -> Metrics:
        """The table in the bytes of a csv.

        Raises:
            DamagedContent: it is empty, lacks columns, or is no csv.
        """
        import pandas as pd

        try:
            frame = pd.read_csv(io.BytesIO(content))
        except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise DamagedContent(f"the estimates of '{job_name}' are no csv: {error}") from error
        if missing := [name for name in NEEDED if name not in frame.columns]:
            raise DamagedContent(f"the estimates of '{job_name}' lack the columns {', '.join(missing)}.")
        for name in columns.ESTIMATES:
            frame[name] = pd.to_numeric(frame[name], errors="coerce")
        return cls(job_name, frame)

    def plot(self, path: str | Path) -> Path:
        """Draw WIS and SDR with their 95 % intervals into a picture; see ``launcher.results.plot.plot``."""
        return plot(self.frame, self.job_name, Path(path))
