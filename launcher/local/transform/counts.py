"""How many objects and records a transform job took: kept in its folder when it ends, for whoever wants to know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from batchrl.contract.files import write_atomically
from launcher.local.transform.outcome import Outcome


@dataclass(frozen=True)
class Counts:
    """What all instances of a job did together.

    Args:
        objects: those that were converted.
        failed: objects that were not.
        records: records of the converted objects.
        error_records: those of them that our server answered with an error record.
    """

    objects: int
    failed: int
    records: int
    error_records: int

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Counts:
        """The sums over the instances."""
        return cls(
            sum(outcome.converted for outcome in outcomes),
            sum(len(outcome.faults) for outcome in outcomes),
            sum(outcome.records for outcome in outcomes),
            sum(outcome.error_records for outcome in outcomes),
        )

    @classmethod
    def read(cls, path: Path) -> Counts | None:
        """What ``write`` has kept; None where nothing was: the job has not ended, or an older version ran it."""
        try:
            kept = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        return cls(**{field.name: kept[field.name] for field in fields(cls)})

    def write(self, path: Path) -> None:
        """Keep them; no reader sees half of the file."""
        write_atomically(path, json.dumps(asdict(self)), private=True)
