"""Spot capacity of the local cloud: what takes it from a running job, and how long the job may still go on.

On AWS the machine of a spot job may be taken back at any time; the job then starts again from its checkpoints (contract
64, 102). Here somebody says so, ``batchrl cloud interrupt JOB``, by a file in the job's own folder, in which the job
has no say; or the data folder's rules do, by a rate: of each start of a job's program the time until it is taken away
is drawn from an exponential distribution, always the same one for the same seed, job and start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from launcher.local.host.home import JobHome
from launcher.local.host.jobrules import JobRules
from launcher.local.records.jobrecord import JobRecord

SECONDS_OF_AN_HOUR = 3600.0


def is_spot(request: Mapping[str, Any]) -> bool:
    """Whether a CreateTrainingJob request asks for spot capacity."""
    return bool(request.get("EnableManagedSpotTraining"))


class SpotCapacity:
    """The capacity of one job; of a job without spot capacity, one that nobody takes away.

    Args:
        record: the job.
        home: its files.
        rules: of the data folder.
        clock: seconds, wall time as records have it.
    """

    def __init__(
        self, record: JobRecord, home: JobHome, rules: JobRules, clock: Callable[[], float] = time.time
    ) -> None:
        self.is_spot = is_spot(record.request)
        self._record = record
        self._home = home
        self._rules = rules
        self._clock = clock
        self._condition = record.request.get("StoppingCondition") or {}
        self._starts = 0
        self._began = 0.0
        self._ran = 0.0
        self._until = float("inf")

    def begin(self) -> None:
        """The program starts, for the first time or again."""
        self._starts += 1
        self._began = self._clock()
        if self._rules.interruptions_per_hour:
            seed = [self._rules.interruption_seed, self._starts, *self._record.name.encode()]
            drawn = np.random.default_rng(seed).exponential(SECONDS_OF_AN_HOUR / self._rules.interruptions_per_hour)
            self._until = self._began + float(drawn)

    def is_taken(self) -> bool:
        """Whether the capacity is taken away now."""
        return self.is_spot and (self._clock() >= self._until or self._home.interruption.exists())

    def end(self) -> None:
        """The program has ended, as its capacity was taken away."""
        self._ran += self._clock() - self._began
        self._home.interruption.unlink(missing_ok=True)

    def left_to_run(self, most: float) -> float:
        """Seconds that the program may go on, started now, where a job may run ``most`` seconds (contract 92, 93)."""
        return max(0.0, min(most - self._ran, self._left_to_wait()))

    @property
    def waited_too_long(self) -> bool:
        """Whether waiting and running have taken longer than MaxWaitTimeInSeconds."""
        return self._left_to_wait() <= 0

    def _left_to_wait(self) -> float:
        if not self.is_spot or "MaxWaitTimeInSeconds" not in self._condition:
            return float("inf")
        return self._record.created_at + float(self._condition["MaxWaitTimeInSeconds"]) - self._clock()
