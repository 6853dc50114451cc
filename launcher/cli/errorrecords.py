"""A word about bad records among the results of a transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchrl.contract.errors import InputError, JobFailed
from launcher.cli.output import Output

if TYPE_CHECKING:
    from launcher.jobs.transform import TransformJob
    from launcher.results.pull import PullReport

NAMED = 3
HINT = "A record is what the policy takes, and nothing else: --input-filter picks it out of a longer one."


@dataclass(frozen=True)
class BadRecords:
    """Records that hold an error in place of a prediction.

    Args:
        count: how many.
        records: how many there are, good and bad.
        first: where the first is, and what is wrong with it; empty where that is not known.
        known: whether anybody looked.
    """

    count: int = 0
    records: int = 0
    first: str = ""
    known: bool = True

    def check(self) -> None:
        """End the command as the records demand, once all is said.

        Raises:
            JobFailed: all of them are bad.
            InputError: some are.
        """
        if not self.count:
            return
        why = f": {self.first}" if self.first else "."
        if self.count == self.records:
            none = "the only record was not" if self.records == 1 else f"none of the {self.records:,} records was"
            raise JobFailed(f"{none} taken{why}", HINT)
        verb = "was" if self.count == 1 else "were"
        raise InputError(f"{self.count:,} of {self.records:,} records {verb} not taken{why}", HINT)


def downloaded(report: PullReport) -> BadRecords:
    """Those among outputs that were just downloaded."""
    from launcher.serving.errorrecords import count_records, error_records

    files = [report.folder / name for name in report.files]
    if not (found := error_records(files)):
        return BadRecords()
    first = f"{found[0].file} line {found[0].first_line}: {found[0].fault}"
    return BadRecords(sum(one.count for one in found), count_records(files), first)


def counted(job: TransformJob) -> BadRecords:
    """Those that were counted while a job ran that has ended."""
    counts = job.counts()
    return BadRecords(known=False) if counts is None else BadRecords(counts.error_records, counts.records)


def tell_error_records(report: PullReport, out: Output) -> int:
    """Say how many records hold an error in place of a prediction, and where.

    Args:
        report: what was downloaded.
        out: where to say it: as a remark, so that it is seen beside JSON, too.

    Returns:
        Their number.
    """
    from launcher.serving.errorrecords import error_records

    found = error_records(report.folder / name for name in report.files)
    total = sum(one.count for one in found)
    if found:
        places = ", ".join(f"{one.file} line {one.first_line}" for one in found[:NAMED])
        more = f", and in {len(found) - NAMED} more files" if len(found) > NAMED else ""
        hold = "1 record holds" if total == 1 else f"{total:,} records hold"
        first = "" if total == 1 else "the first in "
        out.note(f"Warning: {hold} an error in place of a prediction: {first}{places}{more}.")
    return total
