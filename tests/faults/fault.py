"""One fault under way: its random choices, the clouds it may use, and how a disturbed training is judged."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from faults.clouds import Cloud
from faults.content import Outcome
from faults.findings import LOST, Findings
from faults.lanes import Lane
from faults.plan import Planned
from faults.training import EPOCHS, Moment, Run, check_equal, check_status
from launcher.local.host.faults import ALGORITHM

MAX_DELAY = 0.4


class Fault:
    """What a kind's function gets.

    Args:
        planned: its place in the plan.
        lane: what it may use.
    """

    def __init__(self, planned: Planned, lane: Lane) -> None:
        self.planned = planned
        self.lane = lane
        self.random: random.Random = planned.random()
        self.findings = lane.findings = Findings()

    @property
    def cloud(self) -> Cloud:
        """The lane's cloud with its embedded store."""
        return self.lane.cloud

    @property
    def dataset(self) -> Path:
        """The file of logged episodes."""
        return self.lane.references.dataset

    @property
    def reference(self) -> Outcome:
        """What an undisturbed training leaves."""
        return self.lane.references.training

    def moment(self, *phases: str) -> Moment:
        """A moment within the phases; by default while the script runs."""
        phase = self.random.choice(phases or ("running", "epoch", "epoch", "epoch"))
        return Moment(phase, self.random.randint(1, EPOCHS - 1), self.random.uniform(0, MAX_DELAY))

    def training(self, cloud: Cloud | None = None, instance_type: str = "local_process") -> Run:
        """A training job, started."""
        run = Run(cloud or self.cloud, self.findings, self.dataset, instance_type=instance_type)
        run.start()
        return run

    def disturb(
        self,
        strike: Callable[[Run], object],
        *,
        moment: Moment,
        ends: Sequence[str] = ("Completed",),
        reasons: str = "",
        run: Run | None = None,
        after: Callable[[Run], object] = lambda run: None,
    ) -> Run:
        """Start a training, hit it, judge it, let it go on from its checkpoints, and compare.

        Args:
            strike: the fault.
            moment: when it comes.
            ends: the statuses that can be true afterwards.
            reasons: a pattern that the reason of a failure holds.
            run: the job, where it runs elsewhere than on the lane's cloud.
            after: between the end of the job and its resumption.

        Returns:
            The run that ended well.

        Raises:
            TooLate: the job had ended.
        """
        run = run or self.training()
        run.until(moment)
        known = run.announced()
        strike(run)
        self.judge(run, known, ends, reasons, after)
        return run

    def judge(
        self,
        run: Run,
        known: int,
        ends: Sequence[str] = ("Completed",),
        reasons: str = "",
        after: Callable[[Run], object] = lambda run: None,
    ) -> None:
        """Judge a run that was hit when the epoch ``known`` had been announced; see ``disturb``."""
        record = check_status(run, ends, reasons)
        known = max(known, run.announced())
        if (record.failure_reason or "").startswith(ALGORITHM):
            known = max(known, run.told())  # the shim lived on, and uploads what the script has left
        after(run)
        if record.status != "Completed":
            run = run.again()
            check_status(run, ("Completed",))
            came_back = run.resumed_after()
            text = f"epoch {known} was announced, and the run went on after epoch {came_back}"
            self.findings.check(came_back >= known, LOST, text)
        check_equal(run, self.reference)
