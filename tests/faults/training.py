"""The training job that faults hit: started, watched, disturbed, judged, resumed and compared."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchrl.contract.files import TEMPORARY_SUFFIX
from batchrl.contract.layout import S3Url
from batchrl.contract.store import list_objects
from faults import targets
from faults.clouds import Cloud
from faults.content import Damaged, Outcome, announced, outcome
from faults.findings import HUNG, LEFT, LOST, UNTRUE, Findings, Given, TooLate, eventually
from launcher import RLEstimator
from launcher.jobs.training import Job
from launcher.local.host.processes import ProcessId
from launcher.local.records.records import JobRecord

EPOCHS = 16
# Enough work that checkpoints are synced between two epochs, and no more.
SETTINGS: dict[str, Any] = {
    "epochs": EPOCHS,
    "reward_model.epochs": 1,
    "ope.bootstrap_resamples": 20,
    "agent.updates_per_epoch": 20,
    "tensorboard": False,
}
# What chooses the kernels that compute is the same in containers as in the undisturbed run, which is a process: others
# give other last digits.
KERNELS = {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")}
PRESET = "cartpole-ddqn-bcq"
# A job of these takes 4 s; on a machine that does much else, or that waits for its store, it may take longer.
END_SECONDS = 300.0
START_SECONDS = 240.0
ENDED = ("Completed", "Failed", "Stopped")
_RESUMED = re.compile(r"resumed after epoch (\d+)")
_TOLD = re.compile(r"^epoch=(\d+) of ", re.MULTILINE)
_EPOCH = re.compile(r"epoch_(\d+)\.pt")

# A program's archive is made and uploaded once, by whoever comes first.
_packing = threading.Lock()


@dataclass(frozen=True)
class Moment:
    """When a fault comes, in the job's own terms: a slow machine moves it with the job.

    Args:
        phase: ``created``, ``running`` (the script's process is there), ``epoch`` (a checkpoint is on disk), or
            ``uploading``.
        epoch: which checkpoint.
        delay: seconds after that.
    """

    phase: str
    epoch: int = 0
    delay: float = 0.0

    def __str__(self) -> str:
        phase = f"epoch {self.epoch}" if self.phase == "epoch" else self.phase
        return f"{phase} + {self.delay:.2f} s"


class Run:
    """One training job.

    Args:
        cloud: where it runs.
        findings: where to note what is wrong.
        dataset: file of logged episodes.
        checkpoints: its prefix; a new one by default.
        instance_type: ``local_process`` or ``local``.
    """

    def __init__(
        self,
        cloud: Cloud,
        findings: Findings,
        dataset: Path,
        checkpoints: str | None = None,
        instance_type: str = "local_process",
    ) -> None:
        self.cloud = cloud
        self.findings = findings
        self.dataset = dataset
        self.instance_type = instance_type
        self.checkpoints = checkpoints or cloud.fresh_prefix()
        self.prefix = S3Url.parse(self.checkpoints)
        self.job: Job | None = None
        self.name = ""

    def options(self) -> dict[str, Any]:
        """What ``RLEstimator`` is told, beside the session."""
        return {
            "entry_point": "train.py",
            "preset": PRESET,
            "hyperparameters": SETTINGS,
            "instance_type": self.instance_type,
            "checkpoint_s3_uri": self.checkpoints,
            "output_path": f"{self.checkpoints}-out",
            "environment": KERNELS,
        }

    def start(self) -> None:
        """Submit it."""
        estimator = RLEstimator(**self.options(), session=self.cloud.session)
        with _packing:
            plan = estimator.plan({"training": str(self.dataset)}, job_name=f"job-{self.checkpoints[-12:]}-{_count()}")
        self.job = estimator.submit(plan, wait=False)
        self.name = self.job.name

    @property
    def root(self) -> Path:
        """Its ``/opt/ml``."""
        return self.cloud.paths.job(self.name).ml

    def record(self) -> JobRecord:
        """Its record."""
        record = self.cloud.record(self.name)
        if record is None:
            self.findings.check(False, LOST, f"the record of {self.name} is gone")
            raise Given
        return record

    def epoch_on_disk(self) -> int:
        """The newest checkpoint in its folder."""
        try:
            names = [path.name for path in (self.root / "checkpoints").iterdir()]
        except OSError:
            return 0
        return max((int(found[1]) for name in names if (found := _EPOCH.fullmatch(name))), default=0)

    def until(self, moment: Moment) -> None:
        """Wait for a moment.

        Raises:
            TooLate: the job ended before.
        """
        self.findings.note(f"moment: {moment}")
        there: Callable[[], object] = {
            "created": lambda: self.record().shim_pid,
            "running": lambda: self.script(),
            "epoch": lambda: self.epoch_on_disk() >= moment.epoch,
            "uploading": lambda: self.record().secondary_status == "Uploading",
        }[moment.phase]
        reached = threading.Event()

        def happened() -> bool:
            if there():
                reached.set()
            return reached.is_set() or self.record().status in ENDED

        if not eventually(happened, START_SECONDS):
            self.findings.check(False, HUNG, f"{self.name} did not come to '{moment}'")
            raise Given
        if not reached.is_set():
            raise TooLate
        threading.Event().wait(moment.delay)

    def processes(self) -> Sequence[targets.Process]:
        """Its processes."""
        return targets.of_job(self.root, self.name)

    def script(self) -> int | None:
        """Its script."""
        return targets.script(self.processes())

    def shim(self) -> ProcessId:
        """Its shim."""
        record = self.record()
        return ProcessId(record.shim_pid or 0, record.shim_started_at or 0)

    def announced(self) -> int:
        """The epoch that is announced in the store, its checkpoint whole; a finding where it is not."""
        try:
            return announced(self.cloud.truth, self.prefix)
        except Damaged as damage:
            self.findings.check(False, LOST, str(damage))
        except Exception as error:
            self.findings.note(f"the store could not be asked: {type(error).__name__}: {error}")
        return 0

    def ended(self, seconds: float = END_SECONDS) -> JobRecord:
        """Its record, once it has ended."""
        if not eventually(lambda: self.record().status in ENDED, seconds):
            record = self.record()
            self.findings.check(False, HUNG, f"{self.name} is still {record.status} ({record.secondary_status})")
            raise Given
        return self.record()

    def log(self) -> str:
        """Its log so far."""
        files = sorted(self.cloud.paths.job(self.name).logs.glob("*.log"))
        return "\n".join(file.read_text(errors="replace") for file in files)

    def outcome(self) -> Outcome:
        """What it left in the store."""
        assert self.job is not None
        return outcome(self.cloud.truth, self.prefix, self.job.layout)

    def again(self) -> Run:
        """The job that goes on from its checkpoints, started."""
        run = Run(self.cloud, self.findings, self.dataset, self.checkpoints, self.instance_type)
        run.start()
        return run

    def told(self) -> int:
        """The last epoch that its log tells of; its checkpoint was on disk before."""
        return max((int(epoch) for epoch in _TOLD.findall(self.log())), default=0)

    def resumed_after(self) -> int:
        """The epoch that its script went on from."""
        found = _RESUMED.search(self.log())
        return int(found[1]) if found else 0


def check_status(run: Run, expected: Sequence[str], reasons: str = "") -> JobRecord:
    """The record of a job that has ended, its status among those that can be true, its reason one that says why.

    Args:
        run: the job.
        expected: statuses that tell what happened.
        reasons: a pattern that the reason of a failure holds.
    """
    record = run.ended()
    run.findings.note(f"{run.name}: {record.status} {record.failure_reason or ''}")
    findings = run.findings
    findings.check(record.status in expected, UNTRUE, f"{record.status} ({record.failure_reason}), not {expected}")
    if record.status == "Failed":
        reason = record.failure_reason or ""
        findings.check(reason, UNTRUE, f"{run.name} failed without a reason")
        findings.check(re.search(reasons, reason), UNTRUE, f"the reason does not say what happened: {reason}")
    if run.cloud.revive(findings):
        try:
            told = run.job.status() if run.job else None
            findings.check(
                told and told.status == record.status, UNTRUE, f"the API says {told}, the record {record.status}"
            )
        except Exception as error:
            findings.check(False, UNTRUE, f"the API does not tell the status: {error}")
    return record


def check_equal(run: Run, reference: Outcome) -> None:
    """Note where the results of a job that ended well differ from the undisturbed ones."""
    try:
        found = run.outcome()
    except Damaged as damage:
        run.findings.check(False, LOST, str(damage))
        return
    except Exception as error:
        run.findings.check(False, LOST, f"the results cannot be read: {type(error).__name__}: {error}")
        return
    keys = [key for key, _ in list_objects(run.cloud.truth, run.prefix)]
    unfinished = [key for key in keys if key.endswith(TEMPORARY_SUFFIX)]
    run.findings.check(not unfinished, LEFT, f"temporary files in the store: {unfinished}")
    differing = found.differences(reference)
    run.findings.check(not differing, LOST, f"differs from the undisturbed run: {', '.join(differing)}")


_numbers = iter(range(1, 1_000_000))


def _count() -> int:
    return next(_numbers)
