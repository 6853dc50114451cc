"""A job's off-policy estimates as they arrive, and as people read them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.contract.interval import UNDEFINED, Interval, in_digits
from launcher.cli.output import Column

if TYPE_CHECKING:
    import pandas as pd

    from launcher.jobs.training import Job

LOCAL_POLL_S = 0.5
AWS_POLL_S = 5.0
LOSS = "Loss/Mean"
TABLE = (
    Column("epoch", "EPOCH", right=True),
    Column("loss", "LOSS", right=True),
    Column("wis", "WIS [95 %]", right=True),
    Column("sdr", "SDR [95 %]", right=True),
    Column("ess", "ESS", right=True),
)
# Fixed widths: a table that grows cannot be measured beforehand. 56 characters, for narrow terminals.
LINE = "{epoch:>5} {loss:>7} {wis:>18} {sdr:>18} {ess:>5}"
HEADING = LINE.format(**{column.key: column.title for column in TABLE})


def follow_frames(job: Job) -> Iterator[pd.DataFrame]:
    """The table of estimates, whenever it may have grown, until the job has ended; the last one is complete.

    Raises:
        InputError: the job ended well, but without any estimate.
        JobFailed, JobStopped: it ended so, before its first estimate.
    """
    pause = LOCAL_POLL_S if job.session.is_local else AWS_POLL_S
    while True:
        # The state is asked for first: what is written before the end is then read after it.
        ended = job.status().ended
        try:
            yield job.metrics().frame
        except InputError:
            if ended:
                job.wait()  # a job that failed says why
                raise
        if ended:
            return
        time.sleep(pause)


def new_rows(frames: Iterator[pd.DataFrame]) -> Iterator[dict[str, Any]]:
    """Each epoch's row once, as soon as it is there."""
    known = 0
    for frame in frames:
        yield from records(frame.iloc[known:])
        known = max(known, len(frame))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows in JSON's types; what is undefined is None."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records"))
    return rows


def shown_row(row: dict[str, Any]) -> str:
    """One epoch in a line."""
    return LINE.format(
        epoch=f"{row[columns.EPOCH]:g}",
        loss=number(row.get(LOSS), 4),
        wis=interval(row, columns.WIS),
        sdr=interval(row, columns.SDR),
        ess=number(row.get(columns.WIS_ESS), 0),
    )


def chosen_line(row: dict[str, Any]) -> str | None:
    """Which epoch is called best once a row's is done, in words; None where the csv does not say."""
    chosen = row.get(columns.BEST_EPOCH)
    return None if chosen is None else f"Chosen from the log alone: epoch {chosen:g}."


def interval(row: dict[str, Any], estimate: str, digits: int = 1) -> str:
    """``19.3 [17.2, 21.5]``, or more digits for a narrow interval; without brackets where none was computed."""
    ends = Interval(row.get(columns.lower(estimate)), row.get(columns.upper(estimate)))
    return in_digits(row.get(estimate), ends, digits)


def number(value: float | None, digits: int) -> str:
    """A number, or a dash for one that is undefined."""
    return UNDEFINED if value is None else f"{value:.{digits}f}"
