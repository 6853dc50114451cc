"""Transform jobs and endpoints under test: a small policy that is asked about fixed states."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from batchrl.contract.layout import S3Url
from batchrl.contract.store import list_objects
from faults import containers, targets
from faults.clouds import Cloud
from faults.content import get
from faults.findings import HUNG, LOST, UNTRUE, Findings, Given, eventually
from faults.training import END_SECONDS, ENDED
from launcher import Model, Transformer
from launcher.api.constants import ENDPOINT, TRANSFORM
from launcher.api.servingoptions import DeployOptions
from launcher.jobs.transform import TransformJob
from launcher.local.records.records import JobRecord, job_key
from launcher.serving import deployment
from launcher.serving.predictor import Predictor

# A model server that ends before it was ever well is the end of its job, as on SageMaker; later it is started again.
NEVER_WELL = "before it answered /ping"
FILES = 3
LINES = 300
STATES = np.random.default_rng(7).uniform(-0.2, 0.2, size=(20, 4))


def write_states(folder: Path) -> Path:
    """A folder with files of states, a JSON line each."""
    source = random.Random(7)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(FILES):
        rows = ([source.uniform(-0.2, 0.2) for _ in range(4)] for _ in range(LINES))
        (folder / f"states-{number}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


def server_processes(cloud: Cloud, key: str, instance_type: str) -> Sequence[targets.Process]:
    """The processes of a model server, in a container or not."""
    if instance_type == "local":
        return containers.processes(cloud.paths, key)
    return targets.of_job(cloud.paths.job(key).ml, key)


class Transform:
    """One transform job: each record a request of its own, so that it lasts.

    Args:
        cloud: where it runs.
        findings: where to note what is wrong.
        model: the archive of the policy.
        states: folder of its input.
        instance_type: ``local_process`` or ``local``.
    """

    def __init__(
        self, cloud: Cloud, findings: Findings, model: Path, states: Path, instance_type: str = "local_process"
    ) -> None:
        self.cloud, self.findings, self.model, self.states = cloud, findings, model, states
        self.instance_type = instance_type
        self.job: TransformJob | None = None

    def start(self) -> None:
        """Submit it."""
        prefix = self.cloud.fresh_prefix()
        model = Model(str(self.model), session=self.cloud.session, instance_type=self.instance_type)
        transformer: Transformer = model.transformer(
            instance_type=self.instance_type,
            strategy="SingleRecord",
            max_concurrent_transforms=1,
            output_path=f"{prefix}/out",
            assemble_with="Line",
        )
        self.job = transformer.transform(str(self.states), split_type="Line", wait=False)

    @property
    def name(self) -> str:
        """Its name."""
        assert self.job is not None
        return self.job.name

    def record(self) -> JobRecord:
        """Its record."""
        record = self.cloud.record(self.name, TRANSFORM)
        if record is None:
            self.findings.check(False, LOST, f"the record of {self.name} is gone")
            raise Given
        return record

    def processes(self) -> Sequence[targets.Process]:
        """The processes of its model server."""
        return server_processes(self.cloud, job_key(TRANSFORM, self.name), self.instance_type)

    def ended(self) -> JobRecord:
        """Its record, once it has ended."""
        if not eventually(lambda: self.record().status in ENDED, END_SECONDS):
            self.findings.check(False, HUNG, f"{self.name} is still {self.record().status}")
            raise Given
        return self.record()

    def outputs(self) -> dict[str, bytes]:
        """What lies in the store of it."""
        assert self.job is not None
        place = S3Url.parse(self.job.output_uri)
        client = self.cloud.truth
        keys = [key for key, _ in list_objects(client, S3Url(place.bucket, f"{place.key.rstrip('/')}/"))]
        return {key.rpartition("/")[2]: get(client, S3Url(place.bucket, key)) for key in keys}

    def check(self, reference: dict[str, bytes]) -> None:
        """Judge its end: all outputs of a job that ended well, none but whole ones of one that failed."""
        record = self.ended()
        self.findings.note(f"{self.name}: {record.status} {record.failure_reason or ''}")
        found = self.outputs()
        wrong = sorted(name for name, body in found.items() if body != reference.get(name))
        self.findings.check(not wrong, LOST, f"outputs differ from the undisturbed job's: {', '.join(wrong)}")
        if record.status == "Completed":
            missing = sorted(reference.keys() - found.keys())
            self.findings.check(not missing, LOST, f"Completed without outputs: {', '.join(missing)}")
        else:
            self.findings.check(record.failure_reason, UNTRUE, f"{record.status} without a reason")


class Served:
    """One endpoint.

    Args:
        cloud: where it runs.
        findings: where to note what is wrong.
        model: the archive of the policy.
        instance_type: ``local_process`` or ``local``.
    """

    def __init__(self, cloud: Cloud, findings: Findings, model: Path, instance_type: str = "local_process") -> None:
        self.cloud, self.findings = cloud, findings
        self._model = Model(str(model), session=cloud.session, instance_type=instance_type)
        self._instance_type = instance_type
        self.name = ""

    def start(self) -> None:
        """Create it; it comes into service by itself."""
        options = DeployOptions(instance_type=self._instance_type, wait=False)
        self.name = deployment.deploy(self._model, options).endpoint_name

    def record(self) -> JobRecord | None:
        """Its record; None once it is deleted."""
        return self.cloud.record(self.name, ENDPOINT)

    def status(self) -> str:
        """Its status; empty once it is deleted."""
        record = self.record()
        return record.status if record else ""

    def settled(self) -> bool:
        """Whether it comes to serve, or to fail with a reason."""
        if not eventually(lambda: self.status() in ("InService", "Failed"), END_SECONDS):
            return self.findings.check(False, HUNG, f"{self.name} is still {self.status()}")
        return True

    def processes(self) -> Sequence[targets.Process]:
        """The processes of its model server."""
        return server_processes(self.cloud, job_key(ENDPOINT, self.name), self._instance_type)

    def was_never_well(self) -> bool:
        """Whether it failed because its server ended before it served, and says so."""
        record = self.record()
        return bool(record and record.status == "Failed" and NEVER_WELL in (record.failure_reason or ""))

    def actions(self) -> list[int]:
        """What it answers."""
        return [int(action) for action in Predictor(self.name, self.cloud.session).predict(STATES).actions]

    def check(self, reference: list[int], ends: Sequence[str] = ("InService",)) -> None:
        """Judge it: in service it answers as ever, failed it says why; then it can be deleted, and is gone."""
        if self.settled():
            self._check_answers(reference, ends)
        self.cloud.revive(self.findings)
        try:
            Predictor(self.name, self.cloud.session).delete()
        except Exception as error:
            self.findings.check(False, UNTRUE, f"it cannot be deleted: {error}")
        gone = eventually(lambda: self.record() is None, END_SECONDS)
        self.findings.check(gone, HUNG, f"{self.name} was deleted and is still {self.status()}")

    def _check_answers(self, reference: list[int], ends: Sequence[str]) -> None:
        answers: list[object] = []

        def right() -> bool:
            try:
                answers.append(self.actions())
            except Exception as error:
                answers.append(f"{type(error).__name__}: {error}")
            # Between a death and what notices it, requests may be refused and the status may be the old one.
            status = self.status()
            return (status in ends and (status == "Failed" or isinstance(answers[-1], list))) or self.was_never_well()

        came = eventually(right, END_SECONDS)
        status = self.status()
        if self.was_never_well():
            return
        self.findings.note(f"{self.name}: {status} after {len(answers)} requests")
        self.findings.check(status in ends, UNTRUE, f"the endpoint is {status}, not {ends}")
        if status == "Failed":
            record = self.record()
            self.findings.check(record and record.failure_reason, UNTRUE, "Failed without a reason")
        elif self.findings.check(came, HUNG, f"in service, and it does not answer: {answers[-1]}"):
            self.findings.check(answers[-1] == reference, LOST, "it answers otherwise than the undisturbed one")
