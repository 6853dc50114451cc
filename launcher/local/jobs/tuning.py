"""A tuning job from Starting to its end: training jobs are chosen, submitted and watched.

All that it knows is in the records: whoever takes it over, after its process was killed, goes on where it was.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property

from launcher.api.tuning import TuningPlan, training_job_name
from launcher.local.events.eventfile import EventFile
from launcher.local.events.kinds import StopRequested as StopRequestedEvent
from launcher.local.host.faults import JobFault, client_fault
from launcher.local.jobs.driver import Driver
from launcher.local.jobs.submission import Submission
from launcher.local.jobs.tuningend import End, end_of, most_jobs
from launcher.local.jobs.tuningsearch import Known, next_parameters
from launcher.local.records import states
from launcher.local.records.jobrecord import TUNING_MEMBER
from launcher.local.records.records import JobEnded, UnknownJob
from launcher.local.records.trials import Trial, training_jobs_of, trial_of, trials_of

WATCH_SECONDS = 0.1

log = logging.getLogger(__name__)


class TuningDriver(Driver):
    """One tuning job, driven to its end."""

    STOPPED = "The tuning job was stopped"
    FAILED = "The tuning job failed"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._trials: dict[int, Trial] = {}
        self._began = time.time()
        self._pause = threading.Event()
        self._submission = Submission(self.home, self.record.name, self._waits)

    @cached_property
    def _plan(self) -> TuningPlan:
        return TuningPlan.of(self._request)

    def _work(self) -> None:
        self._load()
        if self.record.secondary_status == states.STARTING:
            self._progress.refuse_if_stopped()
            self._progress.move(states.TUNING, "Launching training jobs")
        self._began = self.records.get(self.record.name, self.record.kind).started_at or self._began
        end = self._search()
        self._stop_trials()
        if end.failed:
            raise JobFault(end.message)
        self._progress.move(states.COMPLETED, end.message)

    def _stopped(self) -> None:
        current = self.records.get(self.record.name, self.record.kind)
        if current.secondary_status != states.STOPPING:
            self._progress.pass_through(states.STOPPING, "Stopping the training jobs of the tuning job")
        self._stop_trials()
        super()._stopped()

    def _fail(self, reason: str) -> None:
        self._stop_trials()
        super()._fail(reason)

    def _search(self) -> End:
        """Have training jobs run until it is over.

        Raises:
            StopRequested: it was asked to stop.
        """
        while True:
            self._progress.refuse_if_stopped()
            try:
                self._look()
                if (end := end_of(self._plan, self._known(), self._runtime())) is not None:
                    return end
                if self._submit_next():
                    continue
            except sqlite3.OperationalError as error:
                log.warning("%s: the records cannot be read now: %s", self.record.name, error)
            self._pause.wait(WATCH_SECONDS)

    def _submit_next(self) -> bool:
        """Submit one training job, if one more may run; whether one was."""
        known = self._known()
        running = sum(not trial.ended for trial in known)
        if running >= self._plan.parallel or len(known) >= most_jobs(self._plan):
            return False
        number = max(self._trials, default=0) + 1
        name = training_job_name(self.record.name, number, self.record.created_at)
        own = [_known(trial) for trial in known]
        parameters = next_parameters(self._plan, self._seed, number, own, self._parents)
        tags = self.records.tags(self.record.arn)
        try:
            if not self._submission.submit(self._plan.training_request(name, parameters, tags)):
                return False
        except JobFault:
            self._progress.refuse_if_stopped()  # the API creates no training jobs of a tuning job that is to stop
            raise
        record = self.records.get(name)
        if record.request.get(TUNING_MEMBER) != self.record.arn:
            raise client_fault(f"a training job of the name {name} exists that is none of this tuning job's.")
        self._trials[number] = trial_of(record, self._plan)
        log.info("%s: %s was submitted with %s", self.record.name, name, parameters)
        return True

    def _load(self) -> None:
        """All that was known before: the training jobs so far, and those of the parents."""
        self._trials = {trial.number: trial for trial in trials_of(self.records, self.record, self._plan)}
        parents = [self.records.find(name, self.record.kind) for name in self._plan.parents]
        self._parents: Sequence[Sequence[Known]] = [
            [_known(trial) for trial in trials_of(self.records, parent, self._plan) if trial.value is not None]
            for parent in parents
            if parent is not None
        ]
        given = self._plan.seed
        digest = hashlib.sha256(f"{self.record.arn}:{self.record.created_at!r}".encode()).digest()
        self._seed = given if given is not None else int.from_bytes(digest[:4], "big")

    def _look(self) -> None:
        """Read again what is running."""
        for number, trial in self._trials.items():
            if not trial.ended and (record := self.records.find(trial.record.name)) is not None:
                self._trials[number] = trial_of(record, self._plan)

    def _known(self) -> list[Trial]:
        return list(self._trials.values())

    def _runtime(self) -> float:
        return time.time() - self._began

    def _waits(self) -> bool:
        """Whether an API server that is away is worth waiting for."""
        if self._progress.stop_requested():
            return False
        return self._plan.max_runtime is None or self._runtime() < self._plan.max_runtime

    def _stop_trials(self) -> None:
        """Ask what runs to stop, and wait until it has; the API server need not be there."""
        while running := [one for one in training_jobs_of(self.records, self.record) if not one.ended]:
            for one in running:
                if one.stop_requested_at is None:
                    self._stop_trial(one.name)
            self._pause.wait(WATCH_SECONDS)

    def _stop_trial(self, name: str) -> None:
        with suppress(JobEnded, UnknownJob):
            self.records.request_stop(name)
            EventFile(self.home.job(name).events).add(StopRequestedEvent(f"tuning job {self.record.name}"))


def _known(trial: Trial) -> Known:
    return Known(trial.parameters, trial.value, trial.ended)
