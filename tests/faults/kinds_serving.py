"""Kinds: transform jobs and endpoints, their processes killed and stopped, their store in trouble."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from faults import targets
from faults.fault import Fault
from faults.findings import HUNG, UNTRUE, TooLate, eventually
from faults.registry import add
from faults.serving import NEVER_WELL, Served, Transform
from faults.training import ENDED, START_SECONDS

Job = Transform | Served


def _shim(job: Job) -> int | None:
    record = job.record()
    return record.shim_pid if record else None


def _worker(job: Job) -> int | None:
    """A process below PID 1 and its script: one that answers requests."""
    parents = {one.parent for one in job.processes()}
    leaves = [one.pid for one in job.processes() if one.pid not in parents]
    return max(leaves, default=None)


@dataclass(frozen=True)
class Target:
    """A process, and what may come of its death: of a transform job, of an endpoint."""

    what: str
    find: Callable[[Job], int | None]
    transform: Sequence[str] = ("Completed",)
    endpoint: Sequence[str] = ("InService",)


TARGETS = {
    "worker": Target("a worker of the model server", _worker),
    "pid1": Target("the model server's PID 1", lambda job: targets.pid_1(job.processes())),
    "shim": Target("its shim", _shim, ("Completed", "Failed"), ("Failed",)),
    "server": Target("the API server", lambda job: targets.server(job.cloud.paths)),
    "store": Target("the embedded store", lambda job: targets.store(job.cloud.paths)),
}


def _strike(job: Job, target: Target, frozen: float | None) -> None:
    pid = target.find(job)
    hit = targets.strike(pid, signal.SIGKILL) if frozen is None else targets.freeze(pid, frozen)
    if not hit:
        raise TooLate
    job.cloud.revive(job.findings)


def transform(target: Target, stop: bool, instance_type: str = "local_process") -> Callable[[Fault], None]:
    """A kind: a process of a transform job, or one that it needs, is killed or stopped."""

    def make(fault: Fault) -> None:
        frozen = fault.random.uniform(0.2, 3.0) if stop else None
        references = fault.lane.references
        job = Transform(fault.cloud, fault.findings, references.model, references.states, instance_type)
        job.start()
        served = eventually(lambda: _worker(job) is not None or job.record().status in ENDED, START_SECONDS)
        fault.findings.check(served, HUNG, "no model server came")
        threading.Event().wait(fault.random.uniform(0, 5.0))
        if job.record().status in ENDED:
            raise TooLate
        _strike(job, target, frozen)
        record = job.ended()
        ends, reason = ("Completed",) if stop else target.transform, record.failure_reason or ""
        true = record.status in ends or (not stop and NEVER_WELL in reason)
        fault.findings.check(true, UNTRUE, f"{record.status} ({reason}), not {ends}")
        job.check(references.outputs)

    return make


def endpoint(target: Target, stop: bool, instance_type: str = "local_process") -> Callable[[Fault], None]:
    """A kind: a process of an endpoint, or one that it needs, is killed or stopped."""

    def make(fault: Fault) -> None:
        frozen = fault.random.uniform(0.2, 3.0) if stop else None
        references = fault.lane.references
        job = Served(fault.cloud, fault.findings, references.model, instance_type)
        job.start()
        try:
            if fault.random.random() < 0.7:
                job.settled()
            else:
                eventually(lambda: _worker(job) is not None, START_SECONDS)
            threading.Event().wait(fault.random.uniform(0, 1.0))
            _strike(job, target, frozen)
            threading.Event().wait(fault.random.uniform(0, 1.0))
        finally:
            job.check(references.actions, ("InService",) if stop else target.endpoint)

    return make


HOW = ((False, "kill", "SIGKILL of"), (True, "stop", "SIGSTOP and, up to 3 s later, SIGCONT of"))
for _name, _target in TARGETS.items():
    for _stop, _verb, _how in HOW:
        if _stop and _name in ("server", "store"):
            continue
        add(f"{_verb}-transform-{_name}", "serving", f"Transform: {_how} {_target.what}", transform(_target, _stop))
        add(f"{_verb}-endpoint-{_name}", "serving", f"Endpoint: {_how} {_target.what}", endpoint(_target, _stop))


def transform_misbehaving(mode: str) -> Callable[[Fault], None]:
    """A kind: the store of a transform job misbehaves all through it."""

    def make(fault: Fault) -> None:
        references, proxy = fault.lane.references, fault.lane.proxy
        job = Transform(fault.lane.proxied, fault.findings, references.model, references.states)
        share, seed = fault.random.uniform(0.1, 0.4), fault.random.random()
        try:
            job.start()
            injection = proxy.inject(mode, share, seed)
            job.ended()
        finally:
            proxy.heal()
        fault.findings.note(f"{injection.hits} requests hit")
        job.check(references.outputs)

    return make


for _mode, _what in (
    ("500", "answers 500"),
    ("reset", "resets connections"),
    ("lost-answer", "loses answers"),
    ("short-body", "sends half of a body"),
    ("wrong-download", "sends an object with one bit changed"),
    ("wrong-upload", "receives an object with one bit changed"),
):
    add(f"transform-s3-{_mode}", "serving", f"Transform: the store {_what}", transform_misbehaving(_mode))
