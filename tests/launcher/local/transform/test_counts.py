"""What a transform job counts, from its instances to its folder and back."""

from __future__ import annotations

from pathlib import Path

from batchrl.contract.layout import S3Url
from launcher.local.transform.counts import Counts
from launcher.local.transform.outcome import ObjectFault, Outcome

FAULT = ObjectFault(S3Url("bucket", "in/b"), "line 1: no JSON")


def test_instances_are_added_up_kept_and_read_again(tmp_path: Path) -> None:
    counts = Counts.of([Outcome(2, 1000, 3, 9, (), (FAULT,), False), Outcome(1, 1, 1, 9, (), (), False)])
    assert counts == Counts(objects=3, failed=1, records=1001, error_records=4)
    counts.write(tmp_path / "counts.json")
    assert Counts.read(tmp_path / "counts.json") == counts


def test_a_job_that_kept_none_has_none(tmp_path: Path) -> None:
    assert Counts.read(tmp_path / "counts.json") is None


def test_what_a_later_version_keeps_beside_them_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    path.write_text('{"objects": 1, "failed": 0, "records": 5, "error_records": 2, "seconds": 1.5}')
    assert Counts.read(path) == Counts(1, 0, 5, 2)
