"""A word about bad records among the outputs of a transform that were just downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.cli.output import Output

if TYPE_CHECKING:
    from launcher.pull import PullReport

NAMED = 3


def tell_error_records(report: PullReport, out: Output) -> int:
    """Say how many records hold an error in place of a prediction, and where.

    Args:
        report: what was downloaded.
        out: where to say it: as a remark, so that it is seen beside JSON, too.

    Returns:
        Their number.
    """
    from launcher.errorrecords import error_records

    found = error_records(report.folder / name for name in report.files)
    total = sum(one.count for one in found)
    if found:
        places = ", ".join(f"{one.file} line {one.first_line}" for one in found[:NAMED])
        more = f", and in {len(found) - NAMED} more files" if len(found) > NAMED else ""
        hold = "1 record holds" if total == 1 else f"{total:,} records hold"
        first = "" if total == 1 else "the first in "
        out.note(f"Warning: {hold} an error in place of a prediction: {first}{places}{more}.")
    return total
